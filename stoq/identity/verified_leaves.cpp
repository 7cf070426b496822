#include "identity/verified_leaves.hpp"

#include <fmt/format.h>

#include <cstring>

namespace stoq {

using base::Errc;
using base::fail;
using base::Result;

Result<NodeId> holds(const VerifiedLeaf& leaf, base::WallTime now, RevocationCheck* revocations) {
  if (now < leaf.from) {
    return fail(Errc::NotVerified,
                fmt::format("the certificate is valid from {} only; it is {} here",
                            base::to_rfc3339(leaf.from), base::to_rfc3339(now)));
  }
  if (now > leaf.until) {
    return fail(Errc::NotVerified,
                fmt::format("the certificate expired at {}; it is {} here",
                            base::to_rfc3339(leaf.until), base::to_rfc3339(now)));
  }
  if (revocations != nullptr && revocations->revoked(leaf.node))
    return fail(Errc::NotVerified, fmt::format("the node {} is revoked", leaf.node.text()));
  return leaf.node;
}

std::size_t VerifiedLeaves::Hash::operator()(const base::Digest& digest) const {
  std::size_t value;
  std::memcpy(&value, digest.data(), sizeof value);
  return value;
}

std::optional<VerifiedLeaf> VerifiedLeaves::find(const base::Digest& certificate) const {
  const std::lock_guard lock(mutex_);
  const auto found = remembered_.find(certificate);
  if (found == remembered_.end()) return std::nullopt;
  return found->second;
}

void VerifiedLeaves::remember(const base::Digest& certificate, const VerifiedLeaf& leaf) {
  const std::lock_guard lock(mutex_);
  // Which one goes does not matter much: it costs its peer one verification.
  if (remembered_.size() >= remembered_max_) remembered_.erase(remembered_.begin());
  remembered_.emplace(certificate, leaf);
}

void VerifiedLeaves::clear() {
  const std::lock_guard lock(mutex_);
  remembered_.clear();
}

std::size_t VerifiedLeaves::size() const {
  const std::lock_guard lock(mutex_);
  return remembered_.size();
}

}  // namespace stoq
