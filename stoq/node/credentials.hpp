#pragma once

#include <base/log.hpp>
#include <stoq/certificates.hpp>

#include "identity/identity_file.hpp"
#include "node/node_config.hpp"

namespace stoq {

/// What a node shows of itself, and what it believes of others: both by the nodes' own keys, or
/// both by an authority.
class Credentials {
 public:
  virtual ~Credentials() = default;
  virtual CertificateProvider& certificates() = 0;
  virtual PeerVerifier& verifier() = 0;
};

/// By config.certificate_path. `identity`, `rng` and `revocations` (null: none) outlive the answer.
/// Errors: those of FileCertificates::open.
base::Result<std::unique_ptr<Credentials>> make_credentials(const Identity& identity,
                                                            const NodeConfig& config,
                                                            RevocationCheck* revocations,
                                                            base::Rng& rng, base::WallTime now,
                                                            const base::Log& log);

}  // namespace stoq
