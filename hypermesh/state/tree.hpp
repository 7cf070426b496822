#pragma once

#include <boost/unordered/unordered_flat_map.hpp>
#include <span>
#include <unordered_map>

#include "state/tree_page.hpp"

namespace hypermesh::state {

/// A stored tree: where its root lies and what it hashes to. Version 0: the empty tree, of which
/// nothing is stored.
struct TreeRef {
  std::uint64_t version = 0;
  base::Digest root = empty_root();
  bool operator==(const TreeRef&) const = default;
};

/// The tree of the newest state, with a cache of its pages.
///
/// Changes wait until they are folded in, many at once: then what they share on the way to the
/// root is hashed once. Changed pages in turn gather in memory until `store`; until then the
/// storage has an older tree. A page is stored under (version, path). A version is the time
/// between two checkpoints: a page that changes twice within it is overwritten, one of an earlier
/// version is left to the trees that refer to it and reported as stale.
class Tree {
 public:
  /// `storage` is borrowed; reads go to it directly, so batches of `store` must have been written
  /// before the next call.
  Tree(const Reader& storage, std::size_t cache_bytes_max)
      : storage_(storage), cache_bytes_max_(cache_bytes_max) {}

  /// Goes on from a stored tree; everything else is forgotten. Errors: DataLoss.
  base::Result<> load(const TreeRef& tree);
  /// As of the last fold.
  const TreeRef& ref() const { return ref_; }

  /// Of the newest state; empty: the key is not there.
  base::Result<std::optional<LeafMeta>> find(const base::Digest& key_hash, std::string_view full);
  /// Replaces a leaf, or takes it away.
  void change(const base::Digest& key_hash, std::optional<Leaf> leaf) {
    waiting_.insert_or_assign(key_hash, std::move(leaf));
  }
  /// Changed keys that are not folded in.
  std::size_t waiting() const { return waiting_.size(); }

  /// Folds in what waits. Between two calls of `store` the version stays the same. After an error
  /// the tree is good for `load` only. Errors: DataLoss, Unavailable.
  base::Result<> fold(std::uint64_t version);
  /// Changed pages that the storage does not have.
  std::size_t changed_pages() const { return changed_count_ + (root_changed_ ? 1 : 0); }
  /// When nothing waits: puts them into `batch`, and the keys of pages that only older versions
  /// refer to into `stale`.
  void store(Storage::Batch& batch, std::vector<std::string>& stale);

 private:
  struct PathHash {
    std::size_t operator()(const Path& path) const;
  };
  struct DigestHash {
    std::size_t operator()(const base::Digest& digest) const;
  };
  struct Held {
    std::unique_ptr<Page> page;
    bool changed = false;
    std::uint64_t used = 0;  // The generation in which it was looked at last, if not changed.
  };

  base::Result<const Page*> page_at(const Path& path, std::uint64_t version);
  base::Result<Page*> changing(const Path& path, std::uint64_t version);
  void remove_page(const Path& path, std::uint64_t version);
  Page* put_changed(const Path& path, std::unique_ptr<Page> page);
  void mark_changed(const Path& path, Held& held);
  const Page* use(Held& held);
  void disuse(const Held& held);
  void trim();

  base::Result<> update(Page& page, const Path& path, std::span<LeafChange> changes);
  base::Result<> update_child(InnerPage& parent, int index, const Path& path,
                              std::span<LeafChange> changes);
  void split(Page& page, const Path& path, const Bucket& leaves);
  base::Result<> join(Page& page, const Path& path);

  const Reader& storage_;
  std::size_t cache_bytes_max_;
  TreeRef ref_;
  Page root_;
  bool root_changed_ = false;
  std::unordered_map<base::Digest, std::optional<Leaf>, DigestHash> waiting_;
  std::uint64_t version_ = 0;  // of what is changed now
  // Pages by path. Changed ones stay until they are stored; of the others, when those that were
  // used in this generation have half of the limit, all that were not go.
  boost::unordered_flat_map<Path, Held, PathHash> pages_;
  std::vector<Path> changed_;  // Some were removed since, or are here twice.
  std::size_t changed_count_ = 0;
  std::vector<Path> removed_;  // pages of this version that may be stored
  std::vector<std::string> stale_;
  std::uint64_t generation_ = 1;
  std::size_t used_bytes_ = 0;  // Of this generation.
};

}  // namespace hypermesh::state
