#pragma once

#include <span>
#include <unordered_map>

#include "state/storage.hpp"
#include "state/tree_node.hpp"

namespace hypermesh::state {

struct LeafChange {
  base::Digest key_hash{};
  std::optional<Leaf> leaf;  ///< Empty: the key goes.
};

/// A stored tree: where its root lies and what it hashes to. Version 0: the empty tree, of which
/// nothing is stored.
struct TreeRef {
  std::uint64_t version = 0;
  base::Digest root = empty_root();
  bool operator==(const TreeRef&) const = default;
};

/// The tree of the newest state, with a cache of its nodes.
///
/// A node is stored under (version, path). A version is the time between two checkpoints: a node
/// that changes twice within it is overwritten, one of an earlier version is left to the trees that
/// refer to it and reported as stale. Changed nodes gather in memory until `store`, so that those
/// near the root are not written with every slot; until then the storage has an older tree.
class Tree {
 public:
  /// `storage` is borrowed; reads go to it directly, so batches of `store` must have been written
  /// before the next call.
  Tree(const Reader& storage, std::size_t cache_bytes_max)
      : storage_(storage), cache_bytes_max_(cache_bytes_max) {}

  /// Goes on from a stored tree; what was cached is forgotten. Errors: DataLoss.
  base::Result<> load(const TreeRef& tree);
  const TreeRef& ref() const { return ref_; }

  /// Null: the key is not there. Valid until the next `update` or `load`.
  base::Result<const Leaf*> find(const base::Digest& key_hash, std::string_view full);

  /// Folds in the changes of a slot, ascending by key_hash and none twice. Between two calls of
  /// `store` the version stays the same. After an error the tree is good for `load` only.
  /// Errors: DataLoss, Unavailable.
  base::Result<> update(std::uint64_t version, std::span<LeafChange> changes);
  /// Changed nodes that the storage does not have.
  std::size_t changed_nodes() const { return changed_.size() + (root_changed_ ? 1 : 0); }
  /// Puts them into `batch`, and the keys of nodes that only older versions refer to into `stale`.
  void store(Storage::Batch& batch, std::vector<std::string>& stale);

 private:
  struct PathHash {
    std::size_t operator()(const Path& path) const;
  };
  using Cache = std::unordered_map<Path, std::unique_ptr<Node>, PathHash>;

  base::Result<const Node*> node_at(const Path& path, std::uint64_t version);
  base::Result<Node*> changing(const Path& path, std::uint64_t version);
  void remove_node(const Path& path, std::uint64_t version);
  const Node* keep(const Path& path, std::unique_ptr<Node> node);
  void trim();

  base::Result<std::optional<Child>> update_child(Child* old, const Path& path,
                                                  std::span<LeafChange> changes);
  base::Result<> update_node(Node& node, const Path& path, std::span<LeafChange> changes);
  Child build(const Path& path, std::span<LeafChange> leaves);

  const Reader& storage_;
  std::size_t cache_bytes_max_;
  TreeRef ref_;
  Node root_;
  bool root_changed_ = false;
  std::uint64_t version_ = 0;  // of what is changed now
  Cache changed_;
  std::vector<Path> removed_;  // nodes of this version that may be stored
  std::vector<std::string> stale_;
  // Two generations: what is used moves to the young one; the old one goes when the young one has
  // half of the limit.
  Cache young_, old_;
  std::size_t young_bytes_ = 0;
};

/// A node of any stored tree, not cached. Errors: DataLoss (also when it is not there).
base::Result<Node> read_node(const Reader& storage, std::uint64_t version, const Path& path);

}  // namespace hypermesh::state
