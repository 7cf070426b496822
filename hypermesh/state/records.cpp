#include "state/records.hpp"

#include <fmt/format.h>

#include "state/row.hpp"

namespace hypermesh::state {
namespace {

constexpr std::uint8_t kListFormat = 1;
constexpr std::size_t kBytesKept = 8u << 20;
constexpr std::size_t kBytesOfEach = 128;

std::size_t bytes_of(std::string_view full, const Records::Record& record) {
  return kBytesOfEach + full.size() + record.value.size();
}

}  // namespace

void append_change(std::string& list, RecordChange::Kind kind, std::string_view full, Stamp created,
                   std::string_view value) {
  if (list.empty()) list += static_cast<char>(kListFormat);
  list += static_cast<char>(kind);
  put_varint(list, full.size());
  list += full;
  if (kind != RecordChange::Kind::InList) return;
  put_varint(list, created);
  put_varint(list, value.size());
  list += value;
}

base::Result<std::vector<RecordChange>> decode_changes(std::string_view list) {
  base::ByteReader reader(base::as_bytes(list));
  TRY(const auto format, reader.u8());
  if (format != kListFormat) {
    return base::fail(base::Errc::DataLoss,
                      fmt::format("a list of changed records has format {}; this build reads {}",
                                  format, kListFormat));
  }
  std::vector<RecordChange> changes;
  while (reader.remaining() > 0) {
    RecordChange change;
    TRY(const auto kind, reader.u8());
    TRY(const auto key_bytes, read_varint(reader));
    if (kind > 2 || key_bytes == 0 || key_bytes > kFullKeyBytesMax) {
      return base::fail(
          base::Errc::DataLoss,
          fmt::format("a changed record is of kind {} and has a key of {} bytes", kind, key_bytes));
    }
    change.kind = static_cast<RecordChange::Kind>(kind);
    TRY(const auto key, reader.raw(key_bytes));
    change.key = base::as_text(key);
    if (change.kind == RecordChange::Kind::InList) {
      TRY(change.created, read_varint(reader));
      TRY(const auto value_bytes, read_varint(reader));
      TRY(const auto value, reader.raw(value_bytes));
      change.value = base::as_text(value);
    }
    changes.push_back(std::move(change));
  }
  return changes;
}

const Records::Record* Records::find(std::string_view full) const {
  const auto found = records_.find(full);
  return found == records_.end() ? nullptr : &found->second;
}

void Records::set(std::string_view full, Record record) {
  bytes_ += bytes_of(full, record);
  unwritten_ += record.unwritten ? 1 : 0;
  if (const auto found = records_.find(full); found != records_.end()) {
    bytes_ -= bytes_of(full, found->second);
    unwritten_ -= found->second.unwritten ? 1 : 0;
    found->second = std::move(record);
  } else {
    records_.emplace(full, std::move(record));
  }
}

void Records::erase(std::string_view full) {
  const auto found = records_.find(full);
  if (found == records_.end()) return;
  bytes_ -= bytes_of(full, found->second);
  unwritten_ -= found->second.unwritten ? 1 : 0;
  records_.erase(found);
}

void Records::clear() {
  records_.clear();
  bytes_ = unwritten_ = 0;
}

void Records::write(Storage::Batch& batch,
                    const std::function<void(std::string, Stamp)>& replaced) {
  for (auto& [full, record] : records_) {  // in any order: a batch is one change
    if (!record.unwritten) continue;
    if (record.row != 0 && record.row != record.modified)
      replaced(row_key(full, record.row), record.row);
    batch.put(row_key(full, record.modified), encode_row(record.created, 0, record.value));
    record.row = record.modified;
    record.unwritten = false;
  }
  unwritten_ = 0;
  if (bytes_ > kBytesKept) clear();
}

}  // namespace hypermesh::state
