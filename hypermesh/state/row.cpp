#include "state/row.hpp"

#include <fmt/format.h>

namespace hypermesh::state {
namespace {

constexpr char kRowFormat = 1;
constexpr std::size_t kRowHeadBytes = 2 + 16;

}  // namespace

std::string encode_row(Stamp created, LeaseId lease, std::string_view value) {
  std::string out;
  out.reserve(kRowHeadBytes + value.size());
  out += kRowFormat;
  out += '\0';
  put_u64(out, created);
  put_u64(out, lease);
  return out.append(value);
}

std::string encode_deletion() {
  std::string out = encode_row(0, 0, {});
  out[1] = '\1';
  return out;
}

base::Result<Row> decode_row(std::string_view bytes) {
  if (bytes.size() < kRowHeadBytes || bytes[0] != kRowFormat ||
      static_cast<unsigned char>(bytes[1]) > 1 || bytes.size() > kRowHeadBytes + kValueBytesMax) {
    return base::fail(base::Errc::DataLoss,
                      fmt::format("a stored value of {} bytes has no head of format {}",
                                  bytes.size(), static_cast<int>(kRowFormat)));
  }
  Row row;
  row.deleted = bytes[1] == 1;
  row.created = get_u64(bytes.substr(2));
  row.lease = get_u64(bytes.substr(10));
  row.value = bytes.substr(kRowHeadBytes);
  return row;
}

base::Result<Row> read_row(const Reader& storage, std::string_view full, Stamp stamp) {
  TRY(const auto bytes, storage.get(row_key(full, stamp)));
  if (!bytes)
    return base::fail(base::Errc::DataLoss, fmt::format("the value of {} is gone", full.substr(1)));
  TRY(Row row, decode_row(*bytes));
  if (row.deleted) {
    return base::fail(base::Errc::DataLoss,
                      fmt::format("the value of {} is stored as deleted", full.substr(1)));
  }
  return row;
}

base::Result<std::optional<std::pair<Stamp, Row>>> read_row_at(const Reader& storage,
                                                               std::string_view full, Stamp stamp) {
  base::Result<std::optional<std::pair<Stamp, Row>>> found;
  TRY_DO(storage.scan(row_key(full, stamp), after_rows(full),
                      [&](std::string_view key, std::string_view value) {
                        auto row = decode_row(value);
                        if (!row) {
                          found = std::unexpected(std::move(row).error());
                        } else {
                          found->emplace(~get_u64(key.substr(key.size() - 8)), std::move(*row));
                        }
                        return false;
                      }));
  return found;
}

base::Digest hash_of(const base::Digest& key_hash, Stamp modified, const Row& row) {
  return leaf_hash(key_hash, row.created, modified, row.lease, base::sha256(row.value));
}

}  // namespace hypermesh::state
