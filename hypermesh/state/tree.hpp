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
/// refer to it and reported as stale. So what is written grows with the nodes that change, and
/// what must be removed later with those that change between checkpoints.
class Tree {
 public:
  /// `storage` is borrowed; reads go to it directly, so batches must have been written before the
  /// next call.
  Tree(const Reader& storage, std::size_t cache_bytes_max)
      : storage_(storage), cache_bytes_max_(cache_bytes_max) {}

  /// Goes on from a stored tree; what was cached is forgotten. Errors: DataLoss.
  base::Result<> load(const TreeRef& tree);
  const TreeRef& ref() const { return ref_; }

  /// Null: the key is not there. Valid until the next `update` or `load`.
  base::Result<const Leaf*> find(const base::Digest& key_hash, std::string_view full);

  /// Folds in the changes of a slot, ascending by key_hash and none twice; nodes go into `batch`,
  /// keys of nodes that only older versions refer to into `stale`. After an error the tree is
  /// good for `load` only. Errors: DataLoss, Unavailable.
  base::Result<> update(std::uint64_t version, std::span<LeafChange> changes, Storage::Batch& batch,
                        std::vector<std::string>& stale);

 private:
  struct Update;
  struct PathHash {
    std::size_t operator()(const Path& path) const;
  };
  using Cache = std::unordered_map<Path, std::unique_ptr<Node>, PathHash>;

  base::Result<Node*> node_at(const Path& path, std::uint64_t version);
  Node* keep(const Path& path, std::unique_ptr<Node> node);
  void forget(const Path& path);
  void trim();

  base::Result<std::optional<Child>> update_child(Update& update, Child* old, const Path& path,
                                                  std::span<LeafChange> changes);
  base::Result<> update_node(Update& update, Node& node, const Path& path,
                             std::span<LeafChange> changes);
  Child build(Update& update, const Path& path, std::span<LeafChange> leaves);
  void write(Update& update, const Path& path, const Node& node);

  const Reader& storage_;
  std::size_t cache_bytes_max_;
  TreeRef ref_;
  Node root_;
  // Two generations: what is used moves to the young one; the old one goes when the young one has
  // half of the limit.
  Cache young_, old_;
  std::size_t young_bytes_ = 0;
};

/// A node of any stored tree, not cached. Errors: DataLoss (also when it is not there).
base::Result<Node> read_node(const Reader& storage, std::uint64_t version, const Path& path);

}  // namespace hypermesh::state
