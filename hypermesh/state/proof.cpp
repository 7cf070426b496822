#include "state/proof.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace hypermesh::state {
namespace {

constexpr std::uint8_t kProofFormat = 1;
// What lies at the end of the path.
enum class End : std::uint8_t { Nothing = 0, OtherLeaf = 1, Value = 2 };

struct Level {
  std::uint16_t present = 0;
  int index = 0;  // of the child on the way
  std::vector<base::Digest> siblings;
};

void put(base::ByteWriter& writer, const Node& node, int on_the_way) {
  writer.u16(node.present);
  for (int i = 0; i < kFanout; ++i) {
    if (node.has(i) && i != on_the_way) writer.raw(node.children[static_cast<std::size_t>(i)].hash);
  }
}

base::Result<Level> read_level(base::ByteReader& reader, int index) {
  Level level{.index = index};
  TRY(level.present, reader.u16());
  const int siblings = __builtin_popcount(level.present & ~(1u << static_cast<unsigned>(index)));
  for (int i = 0; i < siblings; ++i) {
    TRY(const auto hash, reader.raw(32));
    std::ranges::copy(hash, level.siblings.emplace_back().begin());
  }
  return level;
}

std::unexpected<base::Error> refuse(std::string why) {
  return base::fail(base::Errc::NotVerified, "a proof does not hold: " + std::move(why));
}

}  // namespace

base::Result<base::Bytes> prove(const Reader& storage, const TreeRef& tree, std::string_view full) {
  const base::Digest key_hash = base::sha256(full);
  base::ByteWriter levels, end;
  NodeReader nodes(storage);
  Path path;
  NodeRef at{tree.version, 0};
  while (true) {
    Node node;
    if (at.version != 0) {
      TRY(node, nodes.read(at, path));
    }
    const int index = nibble(key_hash, path.depth);
    put(levels, node, index);
    const Child& child = node.children[static_cast<std::size_t>(index)];
    path = path.child(index);
    if (!node.has(index)) {
      end.u8(static_cast<std::uint8_t>(End::Nothing));
      break;
    }
    if (child.leaf) {
      const Leaf& leaf = *child.leaf;
      TRY(const Row row, read_row(storage, leaf.key, leaf.modified));
      const bool same = leaf.key == full;
      end.u8(static_cast<std::uint8_t>(same ? End::Value : End::OtherLeaf));
      if (!same) end.raw(base::sha256(leaf.key));
      end.u64(leaf.created);
      end.u64(leaf.modified);
      end.u64(leaf.lease);
      if (same) {
        end.sized(row.value);
      } else {
        end.raw(base::sha256(row.value));
      }
      break;
    }
    at = child.at;
  }
  base::ByteWriter proof;
  proof.u8(kProofFormat);
  proof.u8(path.depth);
  proof.raw(levels.view());
  proof.raw(end.view());
  return std::move(proof).take();
}

base::Result<std::optional<ProvenValue>> verify_proof(const base::Digest& root,
                                                      std::string_view full,
                                                      base::BytesView proof) {
  if (proof.size() > kProofBytesMax) {
    return base::fail(
        base::Errc::DataLoss,
        fmt::format("a proof has {} bytes; at most {} are allowed", proof.size(), kProofBytesMax));
  }
  base::ByteReader reader(proof);
  TRY(const auto format, reader.u8());
  TRY(const auto depth, reader.u8());
  if (format != kProofFormat || depth == 0 || depth > kPathNibblesMax) {
    return base::fail(
        base::Errc::DataLoss,
        fmt::format("a proof of format {} with {} levels cannot be read", format, depth));
  }
  const base::Digest key_hash = base::sha256(full);
  std::vector<Level> levels;
  for (std::size_t i = 0; i < depth; ++i) {
    TRY(levels.emplace_back(), read_level(reader, nibble(key_hash, i)));
  }
  TRY(const auto kind, reader.u8());
  std::optional<base::Digest> hash;
  std::optional<ProvenValue> value;
  if (kind != static_cast<std::uint8_t>(End::Nothing)) {
    const bool other = kind == static_cast<std::uint8_t>(End::OtherLeaf);
    if (!other && kind != static_cast<std::uint8_t>(End::Value))
      return base::fail(base::Errc::DataLoss, fmt::format("a proof ends in kind {}", kind));
    base::Digest found_key = key_hash, digest;
    if (other) {
      TRY(const auto bytes, reader.raw(found_key.size()));
      std::ranges::copy(bytes, found_key.begin());
      if (found_key == key_hash) return refuse("it hides the value of the key");
      if (Path::of(found_key, depth) != Path::of(key_hash, depth))
        return refuse("its leaf does not lie on the way to the key");
    }
    ProvenValue proven;
    TRY(proven.created, reader.u64());
    TRY(proven.modified, reader.u64());
    TRY(proven.lease, reader.u64());
    if (other) {
      TRY(const auto bytes, reader.raw(digest.size()));
      std::ranges::copy(bytes, digest.begin());
    } else {
      TRY(const auto bytes, reader.sized(kValueBytesMax));
      digest = base::sha256(bytes);
      proven.value = base::as_text(bytes);
    }
    hash = leaf_hash(found_key, proven.created, proven.modified, proven.lease, digest);
    if (!other) value = std::move(proven);
  }
  TRY_DO(reader.end());
  for (auto level = levels.rbegin(); level != levels.rend(); ++level) {
    const bool claimed = level->present >> level->index & 1;
    if (claimed != hash.has_value()) return refuse("its nodes do not fit together");
    if (hash) {
      const auto before = __builtin_popcount(level->present & ((1u << level->index) - 1));
      level->siblings.insert(level->siblings.begin() + before, *hash);
    }
    hash = inner_hash(level->present, level->siblings);
  }
  if (*hash != root) return refuse("it leads to another root");
  return value;
}

}  // namespace hypermesh::state
