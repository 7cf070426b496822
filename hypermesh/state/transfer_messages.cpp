#include "state/transfer_messages.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace hypermesh::state {
namespace {

constexpr std::uint8_t kTransferFormat = 1;
enum class ItemKind : std::uint8_t { Nothing = 0, Node = 1, Leaves = 2 };
enum class ChildKind : std::uint8_t { Same = 0, Hash = 1, Leaf = 2 };

std::unexpected<base::Error> malformed(std::string why) {
  return base::fail(base::Errc::DataLoss, "a message of a state transfer: " + std::move(why));
}

base::Result<> expect_format(base::ByteReader& reader) {
  TRY(const auto format, reader.u8());
  if (format == kTransferFormat) return {};
  return malformed(fmt::format("it has format {}; this build knows {}", format, kTransferFormat));
}

void put(base::ByteWriter& writer, const TransferLeaf& leaf) {
  writer.sized(leaf.key);
  writer.u64(leaf.created);
  writer.u64(leaf.modified);
  writer.u64(leaf.lease);
  writer.sized(leaf.value);
}

base::Result<TransferLeaf> read_leaf(base::ByteReader& reader) {
  TransferLeaf leaf;
  TRY(const auto key, reader.sized(kFullKeyBytesMax));
  if (key.empty()) return malformed("a leaf has no key");
  leaf.key = base::as_text(key);
  TRY(leaf.created, reader.u64());
  TRY(leaf.modified, reader.u64());
  TRY(leaf.lease, reader.u64());
  TRY(const auto value, reader.sized(kValueBytesMax));
  leaf.value = base::as_text(value);
  return leaf;
}

struct ItemEncoder {
  base::ByteWriter& writer;
  void kind(ItemKind kind) const { writer.u8(static_cast<std::uint8_t>(kind)); }
  void operator()(const NothingThere&) const { kind(ItemKind::Nothing); }
  void operator()(const TransferNode& node) const {
    kind(ItemKind::Node);
    writer.u16(node.present);
    std::uint32_t kinds = 0;  // two bits a child, the first child in the lowest
    for (std::size_t i = 0; i < node.children.size(); ++i)
      kinds |= static_cast<std::uint32_t>(node.children[i].index()) << (2 * i);
    writer.u32(kinds);
    for (const auto& child : node.children) {
      if (const auto* hash = std::get_if<base::Digest>(&child)) writer.raw(*hash);
      if (const auto* leaf = std::get_if<TransferLeaf>(&child)) put(writer, *leaf);
    }
  }
  void operator()(const TransferLeaves& subtree) const {
    kind(ItemKind::Leaves);
    writer.u16(static_cast<std::uint16_t>(subtree.leaves.size()));
    for (const auto& each : subtree.leaves) {
      const auto* leaf = std::get_if<TransferLeaf>(&each);
      writer.u8(leaf ? 1 : 0);
      if (leaf) put(writer, *leaf);
    }
  }
};

base::Result<TransferNode> read_node(base::ByteReader& reader) {
  TransferNode node;
  TRY(node.present, reader.u16());
  TRY(auto kinds, reader.u32());
  for (int i = __builtin_popcount(node.present); i > 0; --i, kinds >>= 2) {
    switch (static_cast<ChildKind>(kinds & 3)) {
      case ChildKind::Same:
        node.children.emplace_back(SameAsYours());
        break;
      case ChildKind::Hash: {
        base::Digest hash;
        TRY(const auto bytes, reader.raw(hash.size()));
        std::ranges::copy(bytes, hash.begin());
        node.children.emplace_back(hash);
        break;
      }
      case ChildKind::Leaf: {
        TRY(auto leaf, read_leaf(reader));
        node.children.emplace_back(std::move(leaf));
        break;
      }
      default:
        return malformed("a child is of no known kind");
    }
  }
  if (kinds != 0) return malformed("it describes children that are not there");
  return node;
}

base::Result<TransferLeaves> read_leaves(base::ByteReader& reader) {
  TransferLeaves subtree;
  TRY(const auto count, reader.u16());
  if (count > kSubtreeLeavesMax) {
    return malformed(
        fmt::format("a subtree has {} leaves; at most {} are allowed", count, kSubtreeLeavesMax));
  }
  for (int i = 0; i < count; ++i) {
    TRY(const auto whole, reader.u8());
    if (whole > 1) return malformed(fmt::format("a leaf has the flag {}", whole));
    if (whole == 0) {
      subtree.leaves.emplace_back(SameAsYours());
      continue;
    }
    TRY(auto leaf, read_leaf(reader));
    subtree.leaves.emplace_back(std::move(leaf));
  }
  return subtree;
}

base::Result<TransferItem> read_item(base::ByteReader& reader) {
  TransferItem item;
  TRY(item.path, Path::decode(reader));
  TRY(item.known, reader.u16());
  TRY(item.leaves, reader.u16());
  if ((item.leaves & ~item.known) != 0) return malformed("a leaf is named that is not there");
  for (std::size_t i = 0; i < kFanout; ++i) {
    if ((item.known >> i & 1) == 0) continue;
    TRY(const auto bytes, reader.raw(item.hints[i].size()));
    std::ranges::copy(bytes, item.hints[i].begin());
  }
  TRY(const auto has_leaf, reader.u8());
  if (has_leaf > 1) return malformed(fmt::format("a question has the flag {}", has_leaf));
  if (has_leaf == 1) {
    TRY(const auto bytes, reader.raw(8));
    std::ranges::copy(bytes, item.leaf.emplace().begin());
  }
  return item;
}

}  // namespace

HashHint hint_of(const base::Digest& hash) {
  return {hash[0], hash[1]};
}

Leaf TransferLeaf::leaf() const {
  return {key, created, modified, lease,
          leaf_hash(base::sha256(key), created, modified, lease, base::sha256(value))};
}

base::Bytes encode(const TransferRequest& request) {
  base::ByteWriter writer;
  writer.u8(kTransferFormat);
  writer.u64(request.checkpoint);
  writer.u16(static_cast<std::uint16_t>(request.items.size()));
  for (const TransferItem& item : request.items) {
    std::string path;
    item.path.encode(path);
    writer.raw(base::as_bytes(path));
    writer.u16(item.known);
    writer.u16(item.leaves);
    for (std::size_t i = 0; i < kFanout; ++i) {
      if ((item.known >> i & 1) != 0) writer.raw(item.hints[i]);
    }
    writer.u8(item.leaf ? 1 : 0);
    if (item.leaf) writer.raw(*item.leaf);
  }
  return std::move(writer).take();
}

base::Result<TransferRequest> decode_transfer_request(base::BytesView bytes) {
  base::ByteReader reader(bytes);
  TRY_DO(expect_format(reader));
  TransferRequest request;
  TRY(request.checkpoint, reader.u64());
  TRY(const auto count, reader.u16());
  if (count > kTransferItemsMax) {
    return malformed(
        fmt::format("it asks for {} paths; at most {} are allowed", count, kTransferItemsMax));
  }
  for (int i = 0; i < count; ++i) {
    TRY(auto item, read_item(reader));
    request.items.push_back(item);
  }
  TRY_DO(reader.end());
  return request;
}

base::Bytes encode(const TransferAnswer& answer) {
  base::ByteWriter writer;
  writer.u8(kTransferFormat);
  writer.u8(answer.kept ? 1 : 0);
  writer.u16(static_cast<std::uint16_t>(answer.items.size()));
  for (const auto& item : answer.items) std::visit(ItemEncoder{writer}, item);
  return std::move(writer).take();
}

base::Result<TransferAnswer> decode_transfer_answer(base::BytesView bytes) {
  if (bytes.size() > kAnswerBytesHardMax) {
    return malformed(
        fmt::format("it has {} bytes; at most {} are allowed", bytes.size(), kAnswerBytesHardMax));
  }
  base::ByteReader reader(bytes);
  TRY_DO(expect_format(reader));
  TransferAnswer answer;
  TRY(const auto kept, reader.u8());
  TRY(const auto count, reader.u16());
  if (kept > 1 || count > kTransferItemsMax || (kept == 0 && count != 0))
    return malformed(fmt::format("it has {} items and the flag {}", count, kept));
  answer.kept = kept == 1;
  for (int i = 0; i < count; ++i) {
    TRY(const auto kind, reader.u8());
    switch (static_cast<ItemKind>(kind)) {
      case ItemKind::Nothing:
        answer.items.emplace_back(NothingThere());
        break;
      case ItemKind::Node: {
        TRY(auto node, read_node(reader));
        answer.items.emplace_back(std::move(node));
        break;
      }
      case ItemKind::Leaves: {
        TRY(auto leaves, read_leaves(reader));
        answer.items.emplace_back(std::move(leaves));
        break;
      }
      default:
        return malformed(fmt::format("an item is of kind {}", kind));
    }
  }
  TRY_DO(reader.end());
  return answer;
}

std::string encode_transfer_leaf(const TransferLeaf& leaf) {
  base::ByteWriter writer;
  writer.u8(kTransferFormat);
  put(writer, leaf);
  return std::string(base::as_text(writer.view()));
}

base::Result<TransferLeaf> decode_transfer_leaf(std::string_view bytes) {
  base::ByteReader reader(base::as_bytes(bytes));
  TRY_DO(expect_format(reader));
  TRY(auto leaf, read_leaf(reader));
  TRY_DO(reader.end());
  return leaf;
}

}  // namespace hypermesh::state
