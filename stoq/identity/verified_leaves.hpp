#pragma once

#include <mutex>
#include <optional>
#include <stoq/certificates.hpp>
#include <unordered_map>

namespace stoq {

/// What a certificate proves, and when.
struct VerifiedLeaf {
  NodeId node;
  base::WallTime from, until;
};

/// Whether it holds now. Errors: NotVerified. `revocations` may be null.
base::Result<NodeId> holds(const VerifiedLeaf& leaf, base::WallTime now,
                           RevocationCheck* revocations);

/// Leaves that were verified, by the SHA-256 of their DER: a peer's next handshakes cost a hash.
/// Bounded; used from every core at once.
class VerifiedLeaves {
 public:
  static constexpr std::size_t kRememberedMax = 16'384;  ///< Default.

  explicit VerifiedLeaves(std::size_t remembered_max) : remembered_max_(remembered_max) {}
  std::optional<VerifiedLeaf> find(const base::Digest& certificate) const;
  void remember(const base::Digest& certificate, const VerifiedLeaf& leaf);
  void clear();
  std::size_t size() const;

 private:
  struct Hash {
    std::size_t operator()(const base::Digest& digest) const;
  };

  std::size_t remembered_max_;
  mutable std::mutex mutex_;
  std::unordered_map<base::Digest, VerifiedLeaf, Hash> remembered_;
};

}  // namespace stoq
