#include "audit/chain.hpp"

#include <fmt/format.h>

namespace nexus {
namespace {

constexpr std::uint8_t kCheckpointVersion = 1;
constexpr std::uint32_t kPeaksMax = 64;

base::Result<base::Digest> read_digest(base::ByteReader& reader) {
  TRY(const auto bytes, reader.raw(32));
  base::Digest digest;
  std::copy(bytes.begin(), bytes.end(), digest.begin());
  return digest;
}

void append_to(base::Bytes& to, const base::Bytes& more) {
  to.insert(to.end(), more.begin(), more.end());
}

}  // namespace

std::string encode_checkpoint(const AuditCheckpoint& checkpoint) {
  base::ByteWriter writer;
  writer.u8(kCheckpointVersion);
  writer.u64(checkpoint.records);
  writer.u64(checkpoint.log_bytes);
  writer.u64(checkpoint.revision);
  writer.raw(checkpoint.last_hash);
  writer.u32(static_cast<std::uint32_t>(checkpoint.peaks.size()));
  for (const auto& peak : checkpoint.peaks) writer.raw(peak);
  return std::string(base::as_text(writer.view()));
}

base::Result<AuditCheckpoint> decode_checkpoint(std::string_view bytes) {
  base::ByteReader reader(base::as_bytes(bytes));
  TRY(const auto version, reader.u8());
  if (version != kCheckpointVersion) {
    return base::fail(base::Errc::Unsupported,
                      fmt::format("the audit checkpoint has format {}; this build reads {}",
                                  version, kCheckpointVersion));
  }
  AuditCheckpoint checkpoint;
  TRY(checkpoint.records, reader.u64());
  TRY(checkpoint.log_bytes, reader.u64());
  TRY(checkpoint.revision, reader.u64());
  TRY(checkpoint.last_hash, read_digest(reader));
  TRY(const auto peaks, reader.u32());
  if (peaks > kPeaksMax)
    return base::fail(base::Errc::DataLoss,
                      fmt::format("the audit checkpoint has {} peaks", peaks));
  for (std::uint32_t i = 0; i < peaks; ++i) {
    TRY(const auto peak, read_digest(reader));
    checkpoint.peaks.push_back(peak);
  }
  TRY_DO(reader.end());
  return checkpoint;
}

void AuditGrowth::add(AuditGrowth more) {
  append_to(frames, more.frames);
  append_to(nodes, more.nodes);
  append_to(offsets, more.offsets);
}

base::Result<AuditChain> AuditChain::restore(AuditCheckpoint checkpoint) {
  AuditChain chain;
  TRY(chain.frontier_, MerkleFrontier::restore(checkpoint.records, std::move(checkpoint.peaks)));
  chain.log_bytes_ = checkpoint.log_bytes;
  chain.revision_ = checkpoint.revision;
  chain.last_hash_ = checkpoint.last_hash;
  return chain;
}

AuditGrowth AuditChain::append(AuditEntry entry, Revision revision) {
  const AuditRecord record{frontier_.size() + 1, revision, std::move(entry), last_hash_};
  const base::Bytes encoded = encode_record(record);
  last_hash_ = audit_record_hash(encoded);
  revision_ = revision;
  AuditGrowth growth;
  base::ByteWriter offset;
  offset.u64(log_bytes_);
  growth.offsets = std::move(offset).take();
  base::ByteWriter frame;
  frame.sized(base::BytesView(encoded));
  frame.raw(last_hash_);
  growth.frames = std::move(frame).take();
  log_bytes_ += growth.frames.size();
  frontier_.append(merkle_leaf_hash(encoded), [&growth](const base::Digest& hash) {
    growth.nodes.insert(growth.nodes.end(), hash.begin(), hash.end());
  });
  return growth;
}

AuditCheckpoint AuditChain::checkpoint() const {
  return {frontier_.size(), log_bytes_, revision_, last_hash_, frontier_.peaks()};
}

}  // namespace nexus
