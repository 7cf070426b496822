#include "state/keys.hpp"

namespace hypermesh::state {
namespace {

constexpr std::string_view kEscapedZero("\x00\xff", 2), kKeyEnd("\x00\x01", 2),
    kAfterKey("\x00\x02", 2);

}  // namespace

std::string full_key(Space space, std::string_view key) {
  std::string full(1, static_cast<char>(space));
  return full.append(key);
}

void put_u64(std::string& to, std::uint64_t value) {
  char bytes[8];
  for (int i = 7; i >= 0; --i, value >>= 8) bytes[i] = static_cast<char>(value & 0xff);
  to.append(bytes, sizeof bytes);
}

std::uint64_t get_u64(std::string_view bytes) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < 8; ++i) value = value << 8 | static_cast<unsigned char>(bytes[i]);
  return value;
}

void put_varint(std::string& to, std::uint64_t value) {
  for (; value >= 0x80; value >>= 7) to += static_cast<char>((value & 0x7f) | 0x80);
  to += static_cast<char>(value);
}

base::Result<std::uint64_t> read_varint(base::ByteReader& reader) {
  std::uint64_t value = 0;
  for (unsigned shift = 0; shift < 64; shift += 7) {
    TRY(const std::uint64_t byte, reader.u8());
    if (shift == 63 && byte > 1) break;
    value |= (byte & 0x7f) << shift;
    if (byte >= 0x80) continue;
    if (byte == 0 && shift > 0) break;
    return value;
  }
  return base::fail(base::Errc::DataLoss, "a number is not written as numbers are");
}

std::string row_prefix(std::string_view full) {
  std::string out;
  out.reserve(full.size() + 11);
  out += 'v';
  for (const char c : full) {
    if (c == 0) {
      out += kEscapedZero;
    } else {
      out += c;
    }
  }
  return out;
}

std::string row_key(std::string_view full, Stamp stamp) {
  std::string out = row_prefix(full);
  out += kKeyEnd;
  put_u64(out, ~stamp);
  return out;
}

std::string after_rows(std::string_view full) {
  return row_prefix(full).append(kAfterKey);
}

base::Result<RowName> parse_row_key(std::string_view stored) {
  RowName name;
  std::size_t at = 1;
  for (; at + 1 < stored.size(); ++at) {
    if (stored[at] != 0) {
      name.key += stored[at];
    } else if (stored[at + 1] == kEscapedZero[1]) {
      name.key += '\0';
      ++at;
    } else {
      break;
    }
  }
  if (stored.size() != at + 10 || stored.substr(at, 2) != kKeyEnd || name.key.empty())
    return base::fail(base::Errc::DataLoss, "the state holds a value under a damaged key");
  name.stamp = ~get_u64(stored.substr(at + 2));
  return name;
}

std::string event_key(Revision revision) {
  std::string key(1, 'e');
  put_u64(key, revision);
  return key;
}

std::string change_key(Slot slot) {
  std::string key(1, 'd');
  put_u64(key, slot);
  return key;
}

std::string stale_key(std::uint64_t version, Slot slot) {
  std::string key(1, 's');
  put_u64(key, version);
  put_u64(key, slot);
  return key;
}

std::string attachment_key(LeaseId lease, std::string_view full) {
  std::string key(1, 'a');
  put_u64(key, lease);
  return key.append(full);
}

}  // namespace hypermesh::state
