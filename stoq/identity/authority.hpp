#pragma once

#include <mutex>
#include <optional>
#include <stoq/certificates.hpp>
#include <vector>

#include "identity/verified_leaves.hpp"

namespace stoq {

/// Certificates, DER, whose signatures are believed.
using Authorities = std::vector<base::Bytes>;

/// Says whom to believe; asked at every handshake, from every core at once. Another pointer means
/// other authorities.
class AuthoritySource {
 public:
  virtual ~AuthoritySource() = default;
  virtual base::Result<std::shared_ptr<const Authorities>> authorities(base::WallTime now) = 0;
};

/// Verifies peers whose certificates an injected authority issued, instead of the nodes themselves:
/// leaf -> intermediates that the peer shows -> authority (RFC 5280), with the key usages of a TLS
/// client and of a server, since a node is both.
///
/// The leaf's key is the node's for this handshake only, so the NodeId cannot be its hash. The
/// authority says it in the subject's alternative names: exactly one
/// `URI:urn:hypermesh:node:<NodeId>`.
class AuthorityVerifier final : public PeerVerifier {
 public:
  static constexpr std::size_t kChainMax = 5;  ///< Certificates that a peer may show.
  static constexpr std::size_t kCertificateBytesMax = 16 * 1024;

  /// Both outlive it; `revocations` may be null.
  explicit AuthorityVerifier(AuthoritySource& source, RevocationCheck* revocations = nullptr,
                             std::size_t remembered_max = VerifiedLeaves::kRememberedMax)
      : source_(source), revocations_(revocations), leaves_(remembered_max) {}
  base::Result<NodeId> verify(std::span<const base::BytesView> chain, base::WallTime now) override;
  std::size_t remembered() const { return leaves_.size(); }

 private:
  AuthoritySource& source_;
  RevocationCheck* revocations_;
  std::mutex mutex_;
  std::shared_ptr<const Authorities> authorities_;  // Of those who are remembered.
  VerifiedLeaves leaves_;
};

/// What `chain` proves by `authorities`, at any time. Errors: NotVerified.
base::Result<VerifiedLeaf> verify_by_authority(const Authorities& authorities,
                                               std::span<const base::BytesView> chain);

}  // namespace stoq
