#include "state/tree_page.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

namespace hypermesh::state {
namespace {

constexpr std::uint8_t kPageFormat = 1;
enum class PageKind : std::uint8_t { Inner = 0, Bucket = 1 };

constexpr std::size_t kHashBytes = sizeof(base::Digest);
constexpr std::size_t kTagNibbles = 16;

std::uint64_t tag_of(const base::Digest& key_hash) {
  std::uint64_t tag = 0;
  for (std::size_t i = 0; i < 8; ++i) tag = tag << 8 | key_hash[i];
  return tag;
}

// Of bytes that were checked when they were unpacked.
std::uint64_t take_varint(const char*& at) {
  std::uint64_t value = 0;
  for (unsigned shift = 0;; shift += 7) {
    const auto byte = static_cast<unsigned char>(*at++);
    value |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
    if (byte < 0x80) return value;
  }
}

std::unexpected<base::Error> damaged(std::string why) {
  return base::fail(base::Errc::DataLoss, "a record of the state's tree " + std::move(why));
}

}  // namespace

Bucket::Fields Bucket::fields(std::size_t index) const {
  const char* at = packed_.data() + entries_[index].at + kHashBytes;
  Fields fields;
  fields.meta.created = take_varint(at);
  fields.meta.modified = take_varint(at);
  fields.meta.lease = take_varint(at);
  const std::uint64_t key_bytes = take_varint(at);
  fields.key = {at, key_bytes};
  return fields;
}

std::string_view Bucket::key(std::size_t index) const {
  return fields(index).key;
}

LeafMeta Bucket::meta(std::size_t index) const {
  return fields(index).meta;
}

base::Digest Bucket::hash_of(std::size_t index) const {
  base::Digest hash;
  std::memcpy(hash.data(), packed_.data() + entries_[index].at, hash.size());
  return hash;
}

Leaf Bucket::leaf(std::size_t index) const {
  const auto [meta, key] = fields(index);
  return {std::string(key), meta.created, meta.modified, meta.lease, hash_of(index)};
}

int Bucket::nibble(std::size_t index, std::size_t depth) const {
  if (depth < kTagNibbles)
    return static_cast<int>(entries_[index].tag >> (4 * (kTagNibbles - 1 - depth)) & 15);
  return state::nibble(base::sha256(key(index)), depth);
}

std::strong_ordering Bucket::compare(std::size_t index, const base::Digest& key_hash) const {
  const auto order = entries_[index].tag <=> tag_of(key_hash);
  if (order != std::strong_ordering::equal) return order;
  return base::sha256(key(index)) <=> key_hash;
}

std::optional<LeafMeta> Bucket::find(const base::Digest& key_hash, std::string_view full) const {
  const std::uint64_t tag = tag_of(key_hash);
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    if (entries_[i].tag != tag) continue;
    const auto [meta, key] = fields(i);
    if (key == full) return meta;
  }
  return std::nullopt;
}

void Bucket::add(const base::Digest& key_hash, const Leaf& leaf) {
  entries_.push_back({tag_of(key_hash), static_cast<std::uint32_t>(packed_.size())});
  packed_.append(reinterpret_cast<const char*>(leaf.hash.data()), leaf.hash.size());
  put_varint(packed_, leaf.created);
  put_varint(packed_, leaf.modified);
  put_varint(packed_, leaf.lease);
  put_varint(packed_, leaf.key.size());
  packed_ += leaf.key;
}

void Bucket::add(const Bucket& from, std::size_t index) {
  const std::size_t begin = from.entries_[index].at;
  const std::size_t end =
      index + 1 < from.size() ? from.entries_[index + 1].at : from.packed_.size();
  entries_.push_back({from.entries_[index].tag, static_cast<std::uint32_t>(packed_.size())});
  packed_.append(from.packed_, begin, end - begin);
}

Bucket Bucket::with(std::span<const LeafChange> changes) const {
  Bucket result;
  std::size_t added = 0;
  for (const LeafChange& change : changes)
    added += change.leaf ? kHashBytes + 24 + change.leaf->key.size() : 0;
  result.packed_.reserve(packed_.size() + added);
  result.entries_.reserve(size() + changes.size());
  std::size_t at = 0;
  for (const LeafChange& change : changes) {
    for (; at < size(); ++at) {
      const auto order = compare(at, change.key_hash);
      if (order == std::strong_ordering::less) {
        result.add(*this, at);
        continue;
      }
      if (order == std::strong_ordering::equal) ++at;
      break;
    }
    if (change.leaf) result.add(change.key_hash, *change.leaf);
  }
  for (; at < size(); ++at) result.add(*this, at);
  return result;
}

std::size_t Bucket::end_of_group(std::size_t first, std::size_t last, std::size_t depth) const {
  const int index = nibble(first, depth);
  std::size_t end = first + 1;
  while (end < last && nibble(end, depth) == index) ++end;
  return end;
}

base::Digest Bucket::subtree_hash(std::size_t first, std::size_t last, std::size_t depth) const {
  if (last - first == 1 && depth > 0) return hash_of(first);
  std::array<base::Digest, kFanout> hashes;
  std::size_t count = 0;
  std::uint16_t present = 0;
  while (first < last) {
    const std::size_t end = end_of_group(first, last, depth);
    present = static_cast<std::uint16_t>(present | 1u << nibble(first, depth));
    hashes[count++] = subtree_hash(first, end, depth + 1);
    first = end;
  }
  return inner_hash(present, std::span(hashes).first(count));
}

base::Result<Bucket> Bucket::unpack(std::string_view packed) {
  Bucket bucket;
  bucket.packed_ = packed;
  base::ByteReader reader(base::as_bytes(packed));
  base::Digest last{};
  while (reader.remaining() > 0) {
    const auto at = static_cast<std::uint32_t>(reader.offset());
    TRY_DO(reader.raw(kHashBytes));
    for (int i = 0; i < 3; ++i) TRY_DO(read_varint(reader));
    TRY(const auto key_bytes, read_varint(reader));
    if (key_bytes == 0 || key_bytes > kFullKeyBytesMax)
      return damaged(fmt::format("has a key of {} bytes", key_bytes));
    TRY(const auto key, reader.raw(key_bytes));
    const auto key_hash = base::sha256(key);
    if (!bucket.entries_.empty() && key_hash <= last) return damaged("has leaves out of order");
    last = key_hash;
    bucket.entries_.push_back({tag_of(key_hash), at});
  }
  return bucket;
}

void InnerPage::set(int index, const base::Digest& hash, std::uint64_t version,
                    std::uint64_t count) {
  const auto at = static_cast<std::size_t>(index);
  present = static_cast<std::uint16_t>(present | 1u << index);
  hashes[at] = hash;
  versions[at] = version;
  leaves[at] = count;
}

void InnerPage::clear(int index) {
  set(index, {}, 0, 0);
  present = static_cast<std::uint16_t>(present & ~(1u << index));
}

base::Digest InnerPage::hash() const {
  std::array<base::Digest, kFanout> there;
  std::size_t count = 0;
  for (int i = 0; i < kFanout; ++i) {
    if (has(i)) there[count++] = hashes[static_cast<std::size_t>(i)];
  }
  return inner_hash(present, std::span(there).first(count));
}

std::uint64_t InnerPage::count() const {
  std::uint64_t sum = 0;
  for (const std::uint64_t each : leaves) sum += each;
  return sum;
}

std::size_t Page::memory_bytes() const {
  return 128 + (inner ? sizeof(InnerPage) : bucket.memory_bytes());
}

std::string encode_page(const Page& page) {
  std::string out;
  out.reserve(2 + (page.inner ? 2 + kFanout * (kHashBytes + 10) : page.bucket.packed().size()));
  out += static_cast<char>(kPageFormat);
  out += static_cast<char>(page.inner ? PageKind::Inner : PageKind::Bucket);
  if (!page.inner) return out.append(page.bucket.packed());
  const InnerPage& inner = *page.inner;
  out += static_cast<char>(inner.present >> 8);
  out += static_cast<char>(inner.present);
  for (std::size_t i = 0; i < kFanout; ++i) {
    if (!inner.has(static_cast<int>(i))) continue;
    out.append(reinterpret_cast<const char*>(inner.hashes[i].data()), kHashBytes);
    put_varint(out, inner.versions[i]);
    put_varint(out, inner.leaves[i]);
  }
  return out;
}

base::Result<Page> decode_page(std::string_view bytes) {
  base::ByteReader reader(base::as_bytes(bytes));
  TRY(const auto format, reader.u8());
  TRY(const auto kind, reader.u8());
  if (format != kPageFormat || kind > static_cast<std::uint8_t>(PageKind::Bucket)) {
    return damaged(
        fmt::format("has format {} and kind {}; this build reads {}", format, kind, kPageFormat));
  }
  Page page;
  if (kind == static_cast<std::uint8_t>(PageKind::Bucket)) {
    TRY(page.bucket, Bucket::unpack(bytes.substr(reader.offset())));
    return page;
  }
  page.inner = std::make_unique<InnerPage>();
  TRY(const auto present, reader.u16());
  for (int i = 0; i < kFanout; ++i) {
    if ((present >> i & 1) == 0) continue;
    TRY(const auto bytes_of_hash, reader.raw(kHashBytes));
    base::Digest hash;
    std::ranges::copy(bytes_of_hash, hash.begin());
    TRY(const auto version, read_varint(reader));
    TRY(const auto leaves, read_varint(reader));
    if (version == 0 || leaves == 0) return damaged("has a child without leaves");
    page.inner->set(i, hash, version, leaves);
  }
  TRY_DO(reader.end());
  return page;
}

std::string page_key(std::uint64_t version, const Path& path) {
  std::string key;
  key.reserve(10 + (path.depth + 1u) / 2);
  key += 'n';
  put_u64(key, version);
  path.encode(key);
  return key;
}

base::Result<Page> read_page(const Reader& storage, std::uint64_t version, const Path& path) {
  TRY(const auto bytes, storage.get(page_key(version, path)));
  if (!bytes) {
    return base::fail(base::Errc::DataLoss,
                      fmt::format("the state's tree lacks a node {} levels deep", path.depth));
  }
  return decode_page(*bytes);
}

base::Result<const Page*> NodeReader::page(std::uint64_t version, const Path& path) {
  if (version_ != version || path_ != path) {
    TRY(page_, read_page(storage_, version, path));
    version_ = version;
    path_ = path;
  }
  return &page_;
}

base::Result<Node> NodeReader::read(const NodeRef& at, const Path& path) {
  if (at.depth > path.depth) return damaged("is looked for in a record below it");
  TRY(const Page* const page, this->page(at.version, Path::of(path.nibbles, at.depth)));
  Node node;
  if (!page->inner) {
    const Bucket& bucket = page->bucket;
    std::size_t first = 0, last = bucket.size();
    for (std::size_t depth = at.depth; depth < path.depth; ++depth) {
      const int wanted = nibble(path.nibbles, depth);
      while (first < last && bucket.nibble(first, depth) < wanted) ++first;
      std::size_t end = first;
      while (end < last && bucket.nibble(end, depth) == wanted) ++end;
      last = end;
    }
    while (first < last) {
      const std::size_t end = bucket.end_of_group(first, last, path.depth);
      Child child{.hash = bucket.subtree_hash(first, end, path.depth + 1u),
                  .at = at,
                  .leaves = end - first,
                  .leaf = {}};
      if (end - first == 1) child.leaf = std::make_unique<Leaf>(bucket.leaf(first));
      node.set(bucket.nibble(first, path.depth), std::move(child));
      first = end;
    }
    return node;
  }
  if (at.depth != path.depth) return damaged("is not where it is looked for");
  const InnerPage inner = *page->inner;
  for (int i = 0; i < kFanout; ++i) {
    if (!inner.has(i)) continue;
    const auto index = static_cast<std::size_t>(i);
    Child child{.hash = inner.hashes[index],
                .at = {inner.versions[index], static_cast<std::uint8_t>(path.depth + 1)},
                .leaves = inner.leaves[index],
                .leaf = {}};
    if (inner.leaves[index] == 1) {
      TRY(const Page only, read_page(storage_, child.at.version, path.child(i)));
      if (only.bucket.size() != 1) return damaged("does not have the leaf that is looked for");
      child.leaf = std::make_unique<Leaf>(only.bucket.leaf(0));
    }
    node.set(i, std::move(child));
  }
  return node;
}

}  // namespace hypermesh::state
