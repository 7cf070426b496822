#include "state/tree_node.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

namespace hypermesh::state {
namespace {

constexpr std::uint8_t kNodeFormat = 1;
// Domains of hashes; no two inputs of different kinds are equal.
constexpr std::uint8_t kLeafDomain = 0x11, kInnerDomain = 0x12;

void put_u64_at(std::uint8_t* at, std::uint64_t value) {
  for (int i = 7; i >= 0; --i, value >>= 8) at[i] = static_cast<std::uint8_t>(value);
}

}  // namespace

Path Path::child(int index) const {
  BASE_ASSERT(depth < kPathNibblesMax, "two keys have one SHA-256");
  Path next = *this;
  next.nibbles[depth / 2] |= static_cast<std::uint8_t>(depth % 2 == 0 ? index << 4 : index);
  ++next.depth;
  return next;
}

Path Path::of(const base::Digest& key_hash, std::size_t depth) {
  Path path;
  path.depth = static_cast<std::uint8_t>(depth);
  std::copy_n(key_hash.begin(), (depth + 1) / 2, path.nibbles.begin());
  if (depth % 2 == 1) path.nibbles[depth / 2] &= 0xf0;
  return path;
}

bool Path::covers(const base::Digest& key_hash) const {
  return of(key_hash, depth).nibbles == nibbles;
}

void Path::encode(std::string& to) const {
  to += static_cast<char>(depth);
  to.append(reinterpret_cast<const char*>(nibbles.data()), (depth + 1u) / 2);
}

base::Result<Path> Path::decode(base::ByteReader& reader) {
  Path path;
  TRY(path.depth, reader.u8());
  if (path.depth > kPathNibblesMax) {
    return base::fail(
        base::Errc::DataLoss,
        fmt::format("a path has {} nibbles; at most {} are allowed", path.depth, kPathNibblesMax));
  }
  TRY(const auto bytes, reader.raw((path.depth + 1u) / 2));
  std::ranges::copy(bytes, path.nibbles.begin());
  if (of(path.nibbles, path.depth) != path)
    return base::fail(base::Errc::DataLoss, "a path has bits behind its end");
  return path;
}

base::Digest leaf_hash(const base::Digest& key_hash, Stamp created, Stamp modified, LeaseId lease,
                       const base::Digest& value_digest) {
  std::array<std::uint8_t, 1 + 32 + 24 + 32> input;
  input[0] = kLeafDomain;
  std::ranges::copy(key_hash, input.data() + 1);
  put_u64_at(input.data() + 33, created);
  put_u64_at(input.data() + 41, modified);
  put_u64_at(input.data() + 49, lease);
  std::ranges::copy(value_digest, input.data() + 57);
  return base::sha256(input);
}

base::Digest inner_hash(std::uint16_t present, std::span<const base::Digest> hashes) {
  std::array<std::uint8_t, 3 + kFanout * 32> input;
  input[0] = kInnerDomain;
  input[1] = static_cast<std::uint8_t>(present >> 8);
  input[2] = static_cast<std::uint8_t>(present);
  BASE_ASSERT(hashes.size() <= kFanout, "a node has 16 children at most");
  if (!hashes.empty()) std::memcpy(input.data() + 3, hashes.data(), hashes.size_bytes());
  return base::sha256(base::BytesView(input).first(3 + hashes.size_bytes()));
}

base::Digest empty_root() {
  return inner_hash(0, {});
}

base::Digest Node::hash() const {
  std::array<base::Digest, kFanout> hashes;
  std::size_t count = 0;
  for (int i = 0; i < kFanout; ++i) {
    if (has(i)) hashes[count++] = children[static_cast<std::size_t>(i)].hash;
  }
  return inner_hash(present, std::span(hashes).first(count));
}

std::size_t Node::memory_bytes() const {
  std::size_t bytes = sizeof(Node) + 64;
  for (const Child& child : children) {
    if (child.leaf) bytes += sizeof(Leaf) + 16 + child.leaf->key.size();
  }
  return bytes;
}

std::string encode_node(const Node& node) {
  std::uint16_t leaves = 0;
  std::size_t bytes = 5;
  for (int i = 0; i < kFanout; ++i) {
    const Child& child = node.children[static_cast<std::size_t>(i)];
    if (child.leaf) leaves = static_cast<std::uint16_t>(leaves | 1u << i);
    if (node.has(i)) bytes += child.leaf ? 32 + 24 + 2 + child.leaf->key.size() : 32 + 8;
  }
  std::string out;
  out.reserve(bytes);
  const auto u16 = [&](std::size_t value) {
    out += static_cast<char>(value >> 8);
    out += static_cast<char>(value);
  };
  out += static_cast<char>(kNodeFormat);
  u16(node.present);
  u16(leaves);
  for (int i = 0; i < kFanout; ++i) {
    if (!node.has(i)) continue;
    const Child& child = node.children[static_cast<std::size_t>(i)];
    out.append(reinterpret_cast<const char*>(child.hash.data()), child.hash.size());
    if (!child.leaf) {
      put_u64(out, child.version);
      continue;
    }
    put_u64(out, child.leaf->created);
    put_u64(out, child.leaf->modified);
    put_u64(out, child.leaf->lease);
    u16(child.leaf->key.size());
    out += child.leaf->key;
  }
  return out;
}

base::Result<Node> decode_node(std::string_view bytes) {
  base::ByteReader reader(base::as_bytes(bytes));
  TRY(const auto format, reader.u8());
  if (format != kNodeFormat) {
    return base::fail(base::Errc::DataLoss,
                      fmt::format("a node of the state's tree has format {}; this build reads {}",
                                  format, kNodeFormat));
  }
  Node node;
  TRY(node.present, reader.u16());
  TRY(const auto leaves, reader.u16());
  if ((leaves & ~node.present) != 0)
    return base::fail(base::Errc::DataLoss, "a node of the state's tree has a leaf that is absent");
  for (int i = 0; i < kFanout; ++i) {
    if (!node.has(i)) continue;
    Child& child = node.children[static_cast<std::size_t>(i)];
    TRY(const auto hash, reader.raw(child.hash.size()));
    std::ranges::copy(hash, child.hash.begin());
    if ((leaves >> i & 1) == 0) {
      TRY(child.version, reader.u64());
      continue;
    }
    auto leaf = std::make_unique<Leaf>();
    leaf->hash = child.hash;
    TRY(leaf->created, reader.u64());
    TRY(leaf->modified, reader.u64());
    TRY(leaf->lease, reader.u64());
    TRY(const auto key_bytes, reader.u16());
    if (key_bytes == 0 || key_bytes > kFullKeyBytesMax) {
      return base::fail(base::Errc::DataLoss,
                        fmt::format("a leaf of the state's tree has a key of {} bytes", key_bytes));
    }
    TRY(const auto key, reader.raw(key_bytes));
    leaf->key = base::as_text(key);
    child.leaf = std::move(leaf);
  }
  TRY_DO(reader.end());
  return node;
}

std::string node_key(std::uint64_t version, const Path& path) {
  std::string key;
  key.reserve(10 + (path.depth + 1u) / 2);
  key += 'n';
  put_u64(key, version);
  path.encode(key);
  return key;
}

}  // namespace hypermesh::state
