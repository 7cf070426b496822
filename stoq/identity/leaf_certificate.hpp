#pragma once

#include <base/random.hpp>
#include <mutex>
#include <optional>
#include <stoq/certificates.hpp>

#include "identity/identity_file.hpp"
#include "identity/verified_leaves.hpp"

namespace stoq {

/// A short-lived certificate over a key of its own, signed by the identity. Its authority key
/// identifier (RFC 5280, section 4.2.1.1) is the identity's public key itself, so that one
/// certificate proves a NodeId. Valid from five minutes ago, for peers whose clocks lag.
CertificateChain issue_leaf(const Identity& identity, base::Rng& rng, base::WallTime now,
                            base::Duration life);

/// Renews the leaf when two thirds of its life are over, at the next handshake.
class LeafRotation final : public CertificateProvider {
 public:
  /// `identity` and `rng` outlive it; `rng` is used under its lock.
  LeafRotation(const Identity& identity, base::Rng& rng, base::Duration life)
      : identity_(identity), rng_(rng), life_(life) {}
  base::Result<std::shared_ptr<const CertificateChain>> current(base::WallTime now) override;

 private:
  const Identity& identity_;
  base::Rng& rng_;
  base::Duration life_;
  std::mutex mutex_;
  std::shared_ptr<const CertificateChain> leaf_;
  base::WallTime issued_{};
};

/// Verifies what issue_leaf() makes: leaf -> identity -> NodeId. Remembers leaves that held, so
/// that a peer's next handshakes cost a hash.
class IdentityVerifier final : public PeerVerifier {
 public:
  /// `revocations` may be null; it outlives the verifier.
  explicit IdentityVerifier(RevocationCheck* revocations = nullptr,
                            std::size_t remembered_max = VerifiedLeaves::kRememberedMax)
      : revocations_(revocations), leaves_(remembered_max) {}
  base::Result<NodeId> verify(std::span<const base::BytesView> chain, base::WallTime now) override;
  std::size_t remembered() const { return leaves_.size(); }

  /// What a leaf (DER) says, its signature being right. Errors: NotVerified.
  static base::Result<VerifiedLeaf> examine(base::BytesView certificate);

 private:
  RevocationCheck* revocations_;
  VerifiedLeaves leaves_;
};

}  // namespace stoq
