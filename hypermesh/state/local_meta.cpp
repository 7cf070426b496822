#include "state/local_meta.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace hypermesh::state {
namespace {

constexpr std::uint8_t kMetaFormat = 3;

void put(base::ByteWriter& writer, const TreeRef& tree) {
  writer.u64(tree.version);
  writer.raw(tree.root);
}

base::Result<TreeRef> read_tree(base::ByteReader& reader) {
  TreeRef tree;
  TRY(tree.version, reader.u64());
  TRY(const auto root, reader.raw(tree.root.size()));
  std::ranges::copy(root, tree.root.begin());
  return tree;
}

}  // namespace

std::string encode_meta(const LocalMeta& meta) {
  base::ByteWriter writer;
  writer.u8(kMetaFormat);
  writer.u64(meta.applied);
  writer.u64(meta.revision);
  put(writer, meta.tree);
  writer.u64(meta.stored_slot);
  writer.u64(meta.stored_revision);
  writer.u64(meta.version);
  writer.u64(meta.compacted);
  writer.u64(meta.history_bytes);
  writer.u64(meta.certified);
  writer.u8(static_cast<std::uint8_t>(meta.checkpoints.size()));
  for (const Checkpoint& checkpoint : meta.checkpoints) {
    writer.u64(checkpoint.slot);
    writer.u64(checkpoint.revision);
    put(writer, checkpoint.tree);
    writer.u64(checkpoint.version);
  }
  return std::string(base::as_text(writer.view()));
}

base::Result<LocalMeta> decode_meta(std::string_view bytes) {
  base::ByteReader reader(base::as_bytes(bytes));
  TRY(const auto format, reader.u8());
  if (format != kMetaFormat) {
    return base::fail(
        format > kMetaFormat ? base::Errc::Unsupported : base::Errc::DataLoss,
        fmt::format("the state has format {}; this build knows {}", format, kMetaFormat));
  }
  LocalMeta meta;
  TRY(meta.applied, reader.u64());
  TRY(meta.revision, reader.u64());
  TRY(meta.tree, read_tree(reader));
  TRY(meta.stored_slot, reader.u64());
  TRY(meta.stored_revision, reader.u64());
  TRY(meta.version, reader.u64());
  TRY(meta.compacted, reader.u64());
  TRY(meta.history_bytes, reader.u64());
  TRY(meta.certified, reader.u64());
  TRY(const auto checkpoints, reader.u8());
  if (checkpoints > kCheckpointsMax) {
    return base::fail(base::Errc::DataLoss,
                      fmt::format("the state claims {} checkpoints; at most {} are kept",
                                  checkpoints, kCheckpointsMax));
  }
  for (int i = 0; i < checkpoints; ++i) {
    Checkpoint checkpoint;
    TRY(checkpoint.slot, reader.u64());
    TRY(checkpoint.revision, reader.u64());
    TRY(checkpoint.tree, read_tree(reader));
    TRY(checkpoint.version, reader.u64());
    meta.checkpoints.push_back(checkpoint);
  }
  TRY_DO(reader.end());
  return meta;
}

}  // namespace hypermesh::state
