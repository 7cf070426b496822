#include "state/transfer_staging.hpp"

#include <algorithm>

namespace hypermesh::state {
namespace {

std::string staged_key(char kind, const Path& path) {
  std::string key(kStagingPrefix);
  key += kind;
  path.encode(key);
  return key;
}

std::string encode_staged(const StagedNode& node) {
  base::ByteWriter writer;
  writer.u16(node.present);
  for (int i = 0; i < kFanout; ++i) {
    if (node.has(i)) writer.raw(node.hashes[static_cast<std::size_t>(i)]);
  }
  return std::string(base::as_text(writer.view()));
}

base::Result<StagedNode> decode_staged(std::string_view bytes) {
  base::ByteReader reader(base::as_bytes(bytes));
  StagedNode node;
  TRY(node.present, reader.u16());
  for (int i = 0; i < kFanout; ++i) {
    if (!node.has(i)) continue;
    TRY(const auto hash, reader.raw(32));
    std::ranges::copy(hash, node.hashes[static_cast<std::size_t>(i)].begin());
  }
  TRY_DO(reader.end());
  return node;
}

}  // namespace

base::Digest StagedNode::hash() const {
  std::array<base::Digest, kFanout> there;
  std::size_t count = 0;
  for (int i = 0; i < kFanout; ++i) {
    if (has(i)) there[count++] = hashes[static_cast<std::size_t>(i)];
  }
  return inner_hash(present, std::span(there).first(count));
}

void stage(Storage::Batch& batch, const Path& path, const StagedNode& node) {
  batch.put(staged_key('n', path), encode_staged(node));
}

void stage(Storage::Batch& batch, const Path& path, const TransferLeaf& leaf) {
  batch.put(staged_key('l', path), encode_transfer_leaf(leaf));
}

base::Result<std::optional<StagedNode>> staged_node(const Reader& storage, const Path& path,
                                                    const base::Digest& hash) {
  TRY(const auto bytes, storage.get(staged_key('n', path)));
  if (!bytes) return std::optional<StagedNode>();
  TRY(const auto node, decode_staged(*bytes));
  if (node.hash() != hash) return std::optional<StagedNode>();
  return node;
}

base::Result<std::optional<TransferLeaf>> staged_leaf(const Reader& storage, const Path& path,
                                                      const base::Digest& hash) {
  TRY(const auto bytes, storage.get(staged_key('l', path)));
  if (!bytes) return std::optional<TransferLeaf>();
  TRY(auto leaf, decode_transfer_leaf(*bytes));
  if (leaf.leaf().hash != hash) return std::optional<TransferLeaf>();
  return leaf;
}

}  // namespace hypermesh::state
