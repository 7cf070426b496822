#include "state/stored_state.hpp"

#include <fmt/format.h>

#include <base/bytes.hpp>

#include "state/limits.hpp"

namespace nexus {
namespace {

constexpr std::uint8_t kEntryVersion = 1;
constexpr std::uint8_t kCommitVersion = 1;

std::string text_of(const base::ByteWriter& writer) {
  return std::string(base::as_text(writer.view()));
}

base::Result<> expect_version(base::ByteReader& reader, std::uint8_t wanted, const char* what) {
  TRY(const auto version, reader.u8());
  if (version == wanted) return {};
  return base::fail(base::Errc::DataLoss,
                    fmt::format("{} has format {}; this build reads {}", what, version, wanted));
}

std::string numbered(char table, std::uint64_t number) {
  base::ByteWriter writer;
  writer.u8(static_cast<std::uint8_t>(table));
  writer.u64(number);
  return text_of(writer);
}

}  // namespace

std::string encode_entry(const StoredEntry& entry) {
  base::ByteWriter writer;
  writer.u8(kEntryVersion);
  writer.u64(entry.created);
  writer.u64(entry.modified);
  writer.u64(entry.lease);
  writer.raw(base::as_bytes(entry.value));
  return text_of(writer);
}

base::Result<StoredEntry> decode_entry(std::string_view bytes) {
  base::ByteReader reader(base::as_bytes(bytes));
  TRY_DO(expect_version(reader, kEntryVersion, "a stored entry"));
  StoredEntry entry;
  TRY(entry.created, reader.u64());
  TRY(entry.modified, reader.u64());
  TRY(entry.lease, reader.u64());
  TRY(const auto value, reader.raw(reader.remaining()));
  entry.value = base::as_text(value);
  return entry;
}

std::string encode_commit(const LoggedCommit& commit) {
  base::ByteWriter writer;
  writer.u8(kCommitVersion);
  writer.u64(commit.bytes_before);
  writer.u32(static_cast<std::uint32_t>(commit.changes.size()));
  for (const LoggedChange& change : commit.changes) {
    writer.sized(change.key);
    writer.u64(change.previous);
    writer.u8(change.value ? 1 : 0);
    if (change.value) writer.sized(*change.value);
  }
  return text_of(writer);
}

base::Result<LoggedCommit> decode_commit(std::string_view bytes) {
  base::ByteReader reader(base::as_bytes(bytes));
  TRY_DO(expect_version(reader, kCommitVersion, "a logged commit"));
  LoggedCommit commit;
  TRY(commit.bytes_before, reader.u64());
  TRY(const auto count, reader.u32());
  if (count > kStateWritesMax) {
    return base::fail(base::Errc::DataLoss,
                      fmt::format("a logged commit claims {} changes; at most {} can be", count,
                                  kStateWritesMax));
  }
  for (std::uint32_t i = 0; i < count; ++i) {
    LoggedChange change;
    TRY(const auto key, reader.sized(kStateKeyBytesMax));
    change.key = base::as_text(key);
    TRY(change.previous, reader.u64());
    TRY(const auto has_value, reader.u8());
    if (has_value > 1)
      return base::fail(base::Errc::DataLoss,
                        fmt::format("a logged change has the flag {}", has_value));
    if (has_value == 1) {
      TRY(const auto value, reader.sized(kStateValueBytesMax));
      change.value.emplace(base::as_text(value));
    }
    commit.changes.push_back(std::move(change));
  }
  TRY_DO(reader.end());
  return commit;
}

std::string entry_key(std::string_view key) {
  return "k" + std::string(key);
}
std::string commit_key(Revision revision) {
  return numbered('e', revision);
}
std::string lease_key(std::uint64_t lease) {
  return numbered('l', lease);
}
std::string attachment_key(std::uint64_t lease, std::string_view key) {
  return numbered('a', lease) + std::string(key);
}

std::string encode_number(std::uint64_t value) {
  base::ByteWriter writer;
  writer.u64(value);
  return text_of(writer);
}

base::Result<std::uint64_t> decode_number(std::string_view bytes) {
  base::ByteReader reader(base::as_bytes(bytes));
  TRY(const auto value, reader.u64());
  TRY_DO(reader.end());
  return value;
}

base::Result<std::uint64_t> number_of_key(std::string_view key) {
  if (key.size() < 9)
    return base::fail(base::Errc::DataLoss,
                      fmt::format("a key of {} bytes holds no number", key.size()));
  return decode_number(key.substr(1, 8));
}

std::string end_of_prefix(std::string prefix) {
  while (!prefix.empty()) {
    auto& last = reinterpret_cast<unsigned char&>(prefix.back());
    if (last != 0xff) {
      ++last;
      return prefix;
    }
    prefix.pop_back();
  }
  return prefix;
}

}  // namespace nexus
