#include "state/tree_node.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

namespace hypermesh::state {
namespace {

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

}  // namespace hypermesh::state
