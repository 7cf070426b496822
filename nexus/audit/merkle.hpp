#pragma once

// The append-only hash tree of RFC 6962, section 2.1: who knows a root can check that a record is
// under it (inclusion) and that a later root only added records (consistency).

#include <base/crypto.hpp>
#include <functional>
#include <span>
#include <vector>

namespace nexus {

base::Digest merkle_leaf_hash(base::BytesView record);
base::Digest merkle_node_hash(const base::Digest& left, const base::Digest& right);
/// SHA-256 of nothing.
base::Digest merkle_empty_root();

/// A complete subtree: 2^level leaves, the first of them index * 2^level.
struct MerkleNode {
  unsigned level = 0;
  std::uint64_t index = 0;
  auto operator<=>(const MerkleNode&) const = default;
};

/// Where the node stands when complete subtrees are written in the order in which they become
/// complete: after its last leaf, below its parent. Nothing that was written ever moves.
std::uint64_t merkle_node_position(MerkleNode node);
/// Nodes written for `leaves` leaves.
std::uint64_t merkle_nodes_written(std::uint64_t leaves);

/// The right edge of a tree: enough to append to it and to know its root. O(log n) memory and time.
class MerkleFrontier {
 public:
  MerkleFrontier() = default;
  /// Errors: DataLoss (the number of peaks is not that of `size`).
  static base::Result<MerkleFrontier> restore(std::uint64_t size, std::vector<base::Digest> peaks);

  /// Appends a leaf and tells `completed` the hashes of the subtrees that it completes, lowest
  /// first.
  void append(const base::Digest& leaf_hash,
              const std::function<void(const base::Digest& hash)>& completed);
  base::Digest root() const;
  std::uint64_t size() const { return size_; }
  /// Hashes of the complete subtrees that make up the tree, largest first.
  const std::vector<base::Digest>& peaks() const { return peaks_; }

 private:
  std::uint64_t size_ = 0;
  std::vector<base::Digest> peaks_;
};

/// Reads the hash of a complete subtree.
using MerkleReader = std::function<base::Result<base::Digest>(MerkleNode node)>;

/// Root of the first `size` leaves.
base::Result<base::Digest> merkle_root(std::uint64_t size, const MerkleReader& read);
/// The audit path of leaf `index` in the tree of `size` leaves. Errors: InvalidArgument (index >=
/// size).
base::Result<std::vector<base::Digest>> merkle_inclusion_proof(std::uint64_t index,
                                                               std::uint64_t size,
                                                               const MerkleReader& read);
/// Errors: InvalidArgument (not 0 < old_size <= new_size).
base::Result<std::vector<base::Digest>> merkle_consistency_proof(std::uint64_t old_size,
                                                                 std::uint64_t new_size,
                                                                 const MerkleReader& read);

/// Errors: NotVerified, with what is wrong.
base::Result<> verify_inclusion(const base::Digest& leaf_hash, std::uint64_t index,
                                std::uint64_t size, std::span<const base::Digest> proof,
                                const base::Digest& root);
/// Errors: NotVerified. An `old_size` of 0 proves nothing and is refused.
base::Result<> verify_consistency(std::uint64_t old_size, const base::Digest& old_root,
                                  std::uint64_t new_size, const base::Digest& new_root,
                                  std::span<const base::Digest> proof);

}  // namespace nexus
