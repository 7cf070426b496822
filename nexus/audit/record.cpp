#include "audit/record.hpp"

#include <fmt/format.h>

namespace nexus {
namespace {

constexpr std::uint8_t kRecordVersion = 1;
constexpr std::uint8_t kStagedVersion = 1;
constexpr std::string_view kHeadContext = "hypermesh audit tree head 1";

void write_text(base::ByteWriter& writer, std::string_view text) {
  if (text.size() <= kAuditTextBytesMax) return writer.sized(text);
  writer.sized(std::string(text.substr(0, kAuditTextBytesMax - 3)) + "...");
}

base::Result<> read_text(base::ByteReader& reader, std::string& text) {
  TRY(const auto bytes, reader.sized(kAuditTextBytesMax));
  text = base::as_text(bytes);
  return {};
}

template <std::size_t N>
base::Result<std::array<std::uint8_t, N>> read_array(base::ByteReader& reader) {
  TRY(const auto bytes, reader.raw(N));
  std::array<std::uint8_t, N> array;
  std::copy(bytes.begin(), bytes.end(), array.begin());
  return array;
}

void write_time(base::ByteWriter& writer, base::WallTime time) {
  writer.u64(static_cast<std::uint64_t>(time.time_since_epoch().count()));
}
base::Result<base::WallTime> read_time(base::ByteReader& reader) {
  TRY(const auto count, reader.u64());
  return base::WallTime(base::Duration(static_cast<std::int64_t>(count)));
}

void write_entry(base::ByteWriter& writer, const AuditEntry& entry) {
  write_time(writer, entry.time);
  for (const auto* text : {&entry.who, &entry.role, &entry.action, &entry.name_space, &entry.object,
                           &entry.result, &entry.detail, &entry.origin, &entry.trace_id}) {
    write_text(writer, *text);
  }
  writer.u8(entry.digest ? 1 : 0);
  if (entry.digest) writer.raw(*entry.digest);
}

base::Result<AuditEntry> read_entry(base::ByteReader& reader) {
  AuditEntry entry;
  TRY(entry.time, read_time(reader));
  for (auto* text : {&entry.who, &entry.role, &entry.action, &entry.name_space, &entry.object,
                     &entry.result, &entry.detail, &entry.origin, &entry.trace_id}) {
    TRY_DO(read_text(reader, *text));
  }
  TRY(const auto has_digest, reader.u8());
  if (has_digest > 1)
    return base::fail(base::Errc::DataLoss,
                      fmt::format("an audit entry has the flag {}", has_digest));
  if (has_digest == 1) {
    TRY(const auto digest, read_array<32>(reader));
    entry.digest = digest;
  }
  return entry;
}

base::Result<> expect_version(base::ByteReader& reader, std::uint8_t known) {
  TRY(const auto version, reader.u8());
  if (version == known) return {};
  return base::fail(
      version > known ? base::Errc::Unsupported : base::Errc::DataLoss,
      fmt::format("an audit record has format {}; this build reads {}", version, known));
}

base::Bytes head_bytes(const TreeHead& head) {
  base::ByteWriter writer;
  writer.sized(kHeadContext);
  writer.u64(head.size);
  writer.raw(head.root);
  write_time(writer, head.time);
  return std::move(writer).take();
}

}  // namespace

AuditEntry audit_entry(const Actor& actor, std::string action, base::WallTime time) {
  AuditEntry entry;
  entry.time = time;
  entry.who = actor.user;
  entry.role = actor.role;
  entry.action = std::move(action);
  entry.result = "ok";
  entry.origin = actor.origin;
  entry.trace_id = actor.trace_id;
  return entry;
}

base::Bytes encode_record(const AuditRecord& record) {
  base::ByteWriter writer;
  writer.u8(kRecordVersion);
  writer.u64(record.sequence);
  writer.u64(record.revision);
  write_entry(writer, record.entry);
  writer.raw(record.previous);
  return std::move(writer).take();
}

base::Result<AuditRecord> decode_record(base::BytesView bytes) {
  base::ByteReader reader(bytes);
  TRY_DO(expect_version(reader, kRecordVersion));
  AuditRecord record;
  TRY(record.sequence, reader.u64());
  TRY(record.revision, reader.u64());
  TRY(record.entry, read_entry(reader));
  TRY(record.previous, read_array<32>(reader));
  TRY_DO(reader.end());
  return record;
}

std::string encode_staged(const std::vector<AuditEntry>& entries) {
  base::ByteWriter writer;
  writer.u8(kStagedVersion);
  writer.u32(static_cast<std::uint32_t>(entries.size()));
  for (const AuditEntry& entry : entries) write_entry(writer, entry);
  return std::string(base::as_text(writer.view()));
}

base::Result<std::vector<AuditEntry>> decode_staged(std::string_view bytes) {
  base::ByteReader reader(base::as_bytes(bytes));
  TRY_DO(expect_version(reader, kStagedVersion));
  TRY(const auto count, reader.u32());
  if (count > kAuditStagedMax) {
    return base::fail(
        base::Errc::DataLoss,
        fmt::format("{} staged audit entries; at most {} can be", count, kAuditStagedMax));
  }
  std::vector<AuditEntry> entries;
  for (std::uint32_t i = 0; i < count; ++i) {
    TRY(auto entry, read_entry(reader));
    entries.push_back(std::move(entry));
  }
  TRY_DO(reader.end());
  return entries;
}

SignedTreeHead sign_tree_head(const TreeHead& head, const base::SigningKey& key) {
  return {head, key.public_key(), key.sign(head_bytes(head))};
}

base::Result<> verify_tree_head(const SignedTreeHead& head) {
  if (base::verify(head.key, head_bytes(head.head), head.signature)) return {};
  return base::fail(base::Errc::NotVerified,
                    fmt::format("the signature of the audit tree head of {} records does not hold",
                                head.head.size));
}

base::Bytes encode_signed_tree_head(const SignedTreeHead& head) {
  base::ByteWriter writer;
  writer.u64(head.head.size);
  writer.raw(head.head.root);
  write_time(writer, head.head.time);
  writer.raw(head.key);
  writer.raw(head.signature);
  return std::move(writer).take();
}

base::Result<SignedTreeHead> decode_signed_tree_head(base::BytesView bytes) {
  base::ByteReader reader(bytes);
  SignedTreeHead head;
  TRY(head.head.size, reader.u64());
  TRY(head.head.root, read_array<32>(reader));
  TRY(head.head.time, read_time(reader));
  TRY(head.key, read_array<32>(reader));
  TRY(head.signature, read_array<64>(reader));
  TRY_DO(reader.end());
  return head;
}

}  // namespace nexus
