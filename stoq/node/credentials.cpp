#include "node/credentials.hpp"

#include "identity/authority.hpp"
#include "identity/file_certificates.hpp"
#include "identity/leaf_certificate.hpp"

namespace stoq {

namespace {

class OwnCredentials final : public Credentials {
 public:
  OwnCredentials(const Identity& identity, base::Rng& rng, base::Duration life,
                 RevocationCheck* revocations)
      : leaf_(identity, rng, life), verifier_(revocations) {}
  CertificateProvider& certificates() override { return leaf_; }
  PeerVerifier& verifier() override { return verifier_; }

 private:
  LeafRotation leaf_;
  IdentityVerifier verifier_;
};

class InjectedCredentials final : public Credentials {
 public:
  InjectedCredentials(std::unique_ptr<FileCertificates> files, RevocationCheck* revocations)
      : files_(std::move(files)), verifier_(*files_, revocations) {}
  CertificateProvider& certificates() override { return *files_; }
  PeerVerifier& verifier() override { return verifier_; }

 private:
  std::unique_ptr<FileCertificates> files_;
  AuthorityVerifier verifier_;
};

}  // namespace

base::Result<std::unique_ptr<Credentials>> make_credentials(const Identity& identity,
                                                            const NodeConfig& config,
                                                            RevocationCheck* revocations,
                                                            base::Rng& rng, base::WallTime now,
                                                            const base::Log& log) {
  if (config.certificate_path.empty()) {
    return std::make_unique<OwnCredentials>(identity, rng, config.certificate_life, revocations);
  }
  TRY(auto files, FileCertificates::open(
                      config.certificate_path, identity.id, now, [log](const base::Error& problem) {
                        log.warning("new certificates are not used", {{"error", problem}});
                      }));
  return std::make_unique<InjectedCredentials>(std::move(files), revocations);
}

}  // namespace stoq
