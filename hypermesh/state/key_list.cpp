#include "state/key_list.hpp"

#include <fmt/format.h>

#include <base/bytes.hpp>

namespace hypermesh::state {
namespace {

constexpr std::uint8_t kKeysFormat = 1;
constexpr std::size_t kStoredKeyBytesMax = 16 * 1024;

}  // namespace

std::string encode_keys(const std::vector<std::string>& keys) {
  base::ByteWriter writer;
  writer.u8(kKeysFormat);
  for (const auto& key : keys) writer.sized(key);
  return std::string(base::as_text(writer.view()));
}

base::Result<std::vector<std::string>> decode_keys(std::string_view bytes) {
  base::ByteReader reader(base::as_bytes(bytes));
  TRY(const auto format, reader.u8());
  if (format != kKeysFormat) {
    return base::fail(
        base::Errc::DataLoss,
        fmt::format("a list of keys has format {}; this build reads {}", format, kKeysFormat));
  }
  std::vector<std::string> keys;
  while (reader.remaining() > 0) {
    TRY(const auto key, reader.sized(kStoredKeyBytesMax));
    keys.emplace_back(base::as_text(key));
  }
  return keys;
}

}  // namespace hypermesh::state
