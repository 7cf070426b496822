#pragma once

// How the tree is stored. A subtree of few leaves is one record, a bucket: its leaves in the order
// of their key hashes, of which the nodes between follow. Above the buckets each node is a record
// of its own. Most changes touch one bucket and, with many others, the few nodes above.
//
// What is a bucket depends on the order of the changes; the tree and its hashes do not.

#include <optional>
#include <span>
#include <vector>

#include "state/storage.hpp"
#include "state/tree_node.hpp"

namespace hypermesh::state {

struct LeafChange {
  base::Digest key_hash{};
  std::optional<Leaf> leaf;  ///< Empty: the key goes.
};

/// Leaves ascending by key hash, packed as they are stored.
class Bucket {
 public:
  std::size_t size() const { return entries_.size(); }
  const std::string& packed() const { return packed_; }
  std::size_t memory_bytes() const { return packed_.capacity() + entries_.capacity() * 16; }

  std::string_view key(std::size_t index) const;
  base::Digest hash_of(std::size_t index) const;
  LeafMeta meta(std::size_t index) const;
  Leaf leaf(std::size_t index) const;
  int nibble(std::size_t index, std::size_t depth) const;
  std::optional<LeafMeta> find(const base::Digest& key_hash, std::string_view full) const;

  /// Behind all that are there.
  void add(const base::Digest& key_hash, const Leaf& leaf);
  void add(const Bucket& from, std::size_t index);
  /// `changes` ascend by key hash, none twice.
  Bucket with(std::span<const LeafChange> changes) const;

  /// Those of [first, last) that share nibble `depth` with the first.
  std::size_t end_of_group(std::size_t first, std::size_t last, std::size_t depth) const;
  /// Of the subtree of [first, last), whose root lies at `depth`; of no leaves only at 0.
  base::Digest subtree_hash(std::size_t first, std::size_t last, std::size_t depth) const;

  /// Errors: DataLoss.
  static base::Result<Bucket> unpack(std::string_view packed);

 private:
  struct Entry {
    std::uint64_t tag;  // the first 16 nibbles of the key's hash
    std::uint32_t at;
  };
  struct Fields {
    LeafMeta meta;
    std::string_view key;
  };
  Fields fields(std::size_t index) const;
  /// Whether the key hash of `index` is below, at or above another.
  std::strong_ordering compare(std::size_t index, const base::Digest& key_hash) const;

  std::string packed_;
  std::vector<Entry> entries_;
};

struct InnerPage {
  std::uint16_t present = 0;
  std::array<base::Digest, kFanout> hashes{};
  std::array<std::uint64_t, kFanout> versions{}, leaves{};  ///< Leaves: how many below.

  bool has(int index) const { return present >> index & 1; }
  void set(int index, const base::Digest& hash, std::uint64_t version, std::uint64_t count);
  void clear(int index);
  base::Digest hash() const;
  std::uint64_t count() const;
};

/// One record: an inner node, or a bucket.
struct Page {
  std::unique_ptr<InnerPage> inner;
  Bucket bucket;  ///< Where `inner` is null.

  base::Digest hash(std::size_t depth) const {
    return inner ? inner->hash() : bucket.subtree_hash(0, bucket.size(), depth);
  }
  std::uint64_t count() const { return inner ? inner->count() : bucket.size(); }
  /// Rough, for limits on caches.
  std::size_t memory_bytes() const;
};

std::string encode_page(const Page& page);
/// Errors: DataLoss.
base::Result<Page> decode_page(std::string_view bytes);
std::string page_key(std::uint64_t version, const Path& path);
/// Errors: DataLoss (also when it is not there).
base::Result<Page> read_page(const Reader& storage, std::uint64_t version, const Path& path);

/// Reads nodes of stored trees, some of which lie in one record.
class NodeReader {
 public:
  explicit NodeReader(const Reader& storage) : storage_(storage) {}
  /// The inner node at `path`, which the record at `at` holds. Errors: DataLoss.
  base::Result<Node> read(const NodeRef& at, const Path& path);

 private:
  base::Result<const Page*> page(std::uint64_t version, const Path& path);

  const Reader& storage_;
  std::uint64_t version_ = 0;  // of the last page
  Path path_;
  Page page_;
};

}  // namespace hypermesh::state
