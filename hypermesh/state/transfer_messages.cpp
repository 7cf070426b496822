#include "state/transfer_messages.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace hypermesh::state {
namespace {

constexpr std::uint8_t kTransferFormat = 1;
enum class ItemKind : std::uint8_t { Nothing = 0, Node = 1, Edits = 2 };
enum class ChildKind : std::uint8_t { Same = 0, Hash = 1, Leaf = 2 };
enum class EditKind : std::uint8_t { Keep = 0, Drop = 1, Replace = 2, Insert = 3 };
// How a question begins: bits.
constexpr std::uint8_t kAsksForLeaves = 1, kExact = 2;
constexpr std::size_t kEditsMax = 2 * kSubtreeLeavesMax;

std::unexpected<base::Error> malformed(std::string why) {
  return base::fail(base::Errc::DataLoss, "a message of a state transfer: " + std::move(why));
}

base::Result<> expect_format(base::ByteReader& reader) {
  TRY(const auto format, reader.u8());
  if (format == kTransferFormat) return {};
  return malformed(fmt::format("it has format {}; this build knows {}", format, kTransferFormat));
}

void varint(std::string& out, std::uint64_t value) {
  put_varint(out, value);
}
void u16(std::string& out, std::size_t value) {
  out += static_cast<char>(value >> 8);
  out += static_cast<char>(value);
}
void sized(std::string& out, std::string_view text) {
  varint(out, text.size());
  out += text;
}

base::Result<std::string> read_sized(base::ByteReader& reader, std::size_t bytes_max) {
  TRY(const auto count, read_varint(reader));
  if (count > bytes_max)
    return malformed(
        fmt::format("{} bytes are announced; at most {} are allowed", count, bytes_max));
  TRY(const auto bytes, reader.raw(count));
  return std::string(base::as_text(bytes));
}

void put_hint(std::string& out, HashHint hint, std::size_t bytes) {
  for (std::size_t i = bytes; i > 0; --i) out += static_cast<char>(hint >> (8 * (i - 1)));
}

base::Result<HashHint> read_hint(base::ByteReader& reader, std::size_t bytes) {
  TRY(const auto read, reader.raw(bytes));
  HashHint hint = 0;
  for (const auto byte : read) hint = hint << 8 | byte;
  return hint;
}

void put(std::string& out, const TransferLeaf& leaf) {
  sized(out, leaf.key);
  varint(out, leaf.created);
  varint(out, leaf.modified);
  varint(out, leaf.lease);
  sized(out, leaf.value);
}

base::Result<TransferLeaf> read_leaf(base::ByteReader& reader) {
  TransferLeaf leaf;
  TRY(leaf.key, read_sized(reader, kFullKeyBytesMax));
  if (leaf.key.empty()) return malformed("a leaf has no key");
  TRY(leaf.created, read_varint(reader));
  TRY(leaf.modified, read_varint(reader));
  TRY(leaf.lease, read_varint(reader));
  TRY(leaf.value, read_sized(reader, kValueBytesMax));
  return leaf;
}

// The kind in the low bits, then a count or a flag.
std::uint64_t edit_head(EditKind kind, std::uint64_t rest) {
  return rest << 2 | static_cast<std::uint64_t>(kind);
}

struct EditEncoder {
  std::string& out;
  void operator()(const KeepYours& keep) const {
    varint(out, edit_head(EditKind::Keep, keep.count));
  }
  void operator()(const DropYours& drop) const {
    varint(out, edit_head(EditKind::Drop, drop.count));
  }
  void operator()(const ReplaceYours& replace) const {
    varint(out, edit_head(EditKind::Replace, replace.created ? 1 : 0));
    if (replace.created) varint(out, *replace.created);
    varint(out, replace.modified);
    varint(out, replace.lease);
    sized(out, replace.value);
  }
  void operator()(const TransferLeaf& leaf) const {
    varint(out, edit_head(EditKind::Insert, 0));
    put(out, leaf);
  }
};

struct ItemEncoder {
  std::string& out;
  void kind(ItemKind kind) const { out += static_cast<char>(kind); }
  void operator()(const NothingThere&) const { kind(ItemKind::Nothing); }
  void operator()(const TransferNode& node) const {
    kind(ItemKind::Node);
    u16(out, node.present);
    std::uint64_t kinds = 0;  // two bits a child, the first child in the lowest
    for (std::size_t i = 0; i < node.children.size(); ++i)
      kinds |= static_cast<std::uint64_t>(node.children[i].index()) << (2 * i);
    varint(out, kinds);
    for (const auto& child : node.children) {
      if (const auto* hash = std::get_if<base::Digest>(&child)) out += base::as_text(*hash);
      if (const auto* leaf = std::get_if<TransferLeaf>(&child)) put(out, *leaf);
    }
  }
  void operator()(const LeafEdits& subtree) const {
    kind(ItemKind::Edits);
    varint(out, subtree.edits.size());
    for (const auto& each : subtree.edits) std::visit(EditEncoder{out}, each);
  }
};

base::Result<TransferNode> read_node(base::ByteReader& reader) {
  TransferNode node;
  TRY(node.present, reader.u16());
  TRY(auto kinds, read_varint(reader));
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

base::Result<LeafEdits> read_edits(base::ByteReader& reader) {
  LeafEdits subtree;
  TRY(auto count, read_varint(reader));
  if (count > kEditsMax) {
    return malformed(
        fmt::format("a subtree has {} edits; at most {} are allowed", count, kEditsMax));
  }
  for (; count > 0; --count) {
    TRY(const auto head, read_varint(reader));
    const std::uint64_t rest = head >> 2;
    switch (static_cast<EditKind>(head & 3)) {
      case EditKind::Keep:
      case EditKind::Drop: {
        if (rest == 0 || rest > kListedLeavesMax)
          return malformed(fmt::format("an edit is about {} leaves", rest));
        const auto leaves = static_cast<std::uint32_t>(rest);
        if ((head & 3) == static_cast<std::uint64_t>(EditKind::Keep)) {
          subtree.edits.emplace_back(KeepYours{leaves});
        } else {
          subtree.edits.emplace_back(DropYours{leaves});
        }
        break;
      }
      case EditKind::Replace: {
        if (rest > 1) return malformed(fmt::format("an edit has the flag {}", rest));
        ReplaceYours replace;
        if (rest == 1) {
          TRY(replace.created, read_varint(reader));
        }
        TRY(replace.modified, read_varint(reader));
        TRY(replace.lease, read_varint(reader));
        TRY(replace.value, read_sized(reader, kValueBytesMax));
        subtree.edits.emplace_back(std::move(replace));
        break;
      }
      case EditKind::Insert: {
        if (rest != 0) return malformed(fmt::format("an edit has the flag {}", rest));
        TRY(auto leaf, read_leaf(reader));
        subtree.edits.emplace_back(std::move(leaf));
        break;
      }
    }
  }
  return subtree;
}

base::Result<TransferItem> read_item(base::ByteReader& reader) {
  TransferItem item;
  TRY(item.path, Path::decode(reader));
  TRY(const auto head, reader.u8());
  if (head > (kAsksForLeaves | kExact))
    return malformed(fmt::format("a question is of kind {}", head));
  item.exact = (head & kExact) != 0;
  if ((head & kAsksForLeaves) != 0) {
    auto& asked = item.asked.emplace<LeavesQuestion>();
    TRY(auto count, read_varint(reader));
    if (count > kListedLeavesMax) {
      return malformed(fmt::format("a question lists {} leaves; at most {} are allowed", count,
                                   kListedLeavesMax));
    }
    for (; count > 0; --count) {
      TRY(asked.hints.emplace_back(), read_hint(reader, item.exact ? LeavesQuestion::kExactHintBytes
                                                                   : LeavesQuestion::kHintBytes));
    }
    return item;
  }
  auto& asked = item.asked.emplace<NodeQuestion>();
  TRY(asked.known, reader.u16());
  TRY(asked.leaves, reader.u16());
  if ((asked.leaves & ~asked.known) != 0) return malformed("a leaf is named that is not there");
  for (std::size_t i = 0; i < kFanout; ++i) {
    if ((asked.known >> i & 1) == 0) continue;
    TRY(asked.hints[i],
        read_hint(reader, item.exact ? NodeQuestion::kExactHintBytes : NodeQuestion::kHintBytes));
  }
  return item;
}

void put(std::string& out, const TransferItem& item) {
  item.path.encode(out);
  const std::uint8_t exact = item.exact ? kExact : 0;
  if (const auto* leaves = std::get_if<LeavesQuestion>(&item.asked)) {
    out += static_cast<char>(kAsksForLeaves | exact);
    varint(out, leaves->hints.size());
    for (const HashHint hint : leaves->hints)
      put_hint(out, hint,
               item.exact ? LeavesQuestion::kExactHintBytes : LeavesQuestion::kHintBytes);
    return;
  }
  const auto& node = std::get<NodeQuestion>(item.asked);
  out += static_cast<char>(exact);
  u16(out, node.known);
  u16(out, node.leaves);
  for (std::size_t i = 0; i < kFanout; ++i) {
    if ((node.known >> i & 1) != 0)
      put_hint(out, node.hints[i],
               item.exact ? NodeQuestion::kExactHintBytes : NodeQuestion::kHintBytes);
  }
}

base::Bytes bytes_of(std::string_view text) {
  const auto view = base::as_bytes(text);
  return {view.begin(), view.end()};
}

}  // namespace

HashHint hint_of(const base::Digest& hash, std::size_t bytes) {
  HashHint hint = 0;
  for (std::size_t i = 0; i < bytes; ++i) hint = hint << 8 | hash[i];
  return hint;
}

Leaf TransferLeaf::leaf() const {
  return {key, created, modified, lease,
          leaf_hash(base::sha256(key), created, modified, lease, base::sha256(value))};
}

base::Bytes encode(const TransferRequest& request) {
  std::string out(1, static_cast<char>(kTransferFormat));
  varint(out, request.checkpoint);
  varint(out, request.revision);
  varint(out, request.items.size());
  for (const TransferItem& item : request.items) put(out, item);
  return bytes_of(out);
}

base::Result<TransferRequest> decode_transfer_request(base::BytesView bytes) {
  base::ByteReader reader(bytes);
  TRY_DO(expect_format(reader));
  TransferRequest request;
  TRY(request.checkpoint, read_varint(reader));
  TRY(request.revision, read_varint(reader));
  TRY(auto count, read_varint(reader));
  if (count > kTransferItemsMax) {
    return malformed(
        fmt::format("it asks for {} paths; at most {} are allowed", count, kTransferItemsMax));
  }
  for (; count > 0; --count) {
    TRY(auto item, read_item(reader));
    request.items.push_back(std::move(item));
  }
  TRY_DO(reader.end());
  return request;
}

base::Bytes encode(const TransferAnswer& answer) {
  std::string out(1, static_cast<char>(kTransferFormat));
  out += answer.kept ? '\1' : '\0';
  varint(out, answer.items.size());
  for (const auto& item : answer.items) std::visit(ItemEncoder{out}, item);
  return bytes_of(out);
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
  TRY(auto count, read_varint(reader));
  if (kept > 1 || count > kTransferItemsMax || (kept == 0 && count != 0))
    return malformed(fmt::format("it has {} items and the flag {}", count, kept));
  answer.kept = kept == 1;
  for (; count > 0; --count) {
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
      case ItemKind::Edits: {
        TRY(auto edits, read_edits(reader));
        answer.items.emplace_back(std::move(edits));
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
  std::string out(1, static_cast<char>(kTransferFormat));
  put(out, leaf);
  return out;
}

base::Result<TransferLeaf> decode_transfer_leaf(std::string_view bytes) {
  base::ByteReader reader(base::as_bytes(bytes));
  TRY_DO(expect_format(reader));
  TRY(auto leaf, read_leaf(reader));
  TRY_DO(reader.end());
  return leaf;
}

}  // namespace hypermesh::state
