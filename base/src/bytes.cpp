#include <fmt/format.h>

#include <array>
#include <base/bytes.hpp>

namespace base {
namespace {

constexpr std::string_view kHex = "0123456789abcdef";
constexpr std::string_view kBase64 =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::string_view kBase32 = "abcdefghijklmnopqrstuvwxyz234567";

// Value of each character in an alphabet, 0xff where it is not in it.
constexpr std::array<std::uint8_t, 256> inverse(std::string_view alphabet) {
  std::array<std::uint8_t, 256> table{};
  table.fill(0xff);
  for (std::size_t i = 0; i < alphabet.size(); ++i) {
    table[static_cast<std::uint8_t>(alphabet[i])] = static_cast<std::uint8_t>(i);
  }
  return table;
}
constexpr auto kBase64Values = inverse(kBase64);
constexpr auto kBase32Values = inverse(kBase32);

std::unexpected<Error> bad_character(std::string_view what, char c, std::size_t at) {
  return fail(Errc::InvalidArgument, fmt::format("{}: byte 0x{:02x} at {} is not of the alphabet",
                                                 what, static_cast<std::uint8_t>(c), at));
}

}  // namespace

std::string to_hex(BytesView bytes) {
  std::string text;
  text.reserve(bytes.size() * 2);
  for (std::uint8_t byte : bytes) {
    text += kHex[byte >> 4];
    text += kHex[byte & 15];
  }
  return text;
}

Result<Bytes> from_hex(std::string_view hex) {
  if (hex.size() % 2 != 0) return fail(Errc::InvalidArgument, "hex text has an odd length");
  Bytes bytes;
  bytes.reserve(hex.size() / 2);
  for (std::size_t i = 0; i < hex.size(); i += 2) {
    const auto high = kHex.find(hex[i]), low = kHex.find(hex[i + 1]);
    if (high == kHex.npos) return bad_character("hex", hex[i], i);
    if (low == kHex.npos) return bad_character("hex", hex[i + 1], i + 1);
    bytes.push_back(static_cast<std::uint8_t>(high << 4 | low));
  }
  return bytes;
}

std::string to_base64(BytesView bytes) {
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const std::size_t have = std::min<std::size_t>(3, bytes.size() - i);
    std::uint32_t group = bytes[i] << 16;
    if (have > 1) group |= bytes[i + 1] << 8;
    if (have > 2) group |= bytes[i + 2];
    text += kBase64[group >> 18];
    text += kBase64[group >> 12 & 63];
    text += have > 1 ? kBase64[group >> 6 & 63] : '=';
    text += have > 2 ? kBase64[group & 63] : '=';
  }
  return text;
}

Result<Bytes> from_base64(std::string_view text) {
  if (text.size() % 4 != 0)
    return fail(Errc::InvalidArgument, "base64 text's length is not a multiple of 4");
  std::size_t padding = 0;
  while (padding < 2 && padding < text.size() && text[text.size() - 1 - padding] == '=') ++padding;
  Bytes bytes;
  bytes.reserve(text.size() / 4 * 3);
  const std::size_t digits = text.size() - padding;
  std::uint32_t group = 0;
  for (std::size_t i = 0; i < digits; ++i) {
    const std::uint8_t value = kBase64Values[static_cast<std::uint8_t>(text[i])];
    if (value == 0xff) return bad_character("base64", text[i], i);
    group = group << 6 | value;
    if (i % 4 == 3) {
      bytes.push_back(static_cast<std::uint8_t>(group >> 16));
      bytes.push_back(static_cast<std::uint8_t>(group >> 8));
      bytes.push_back(static_cast<std::uint8_t>(group));
      group = 0;
    }
  }
  // Bits that no byte takes must be zero: one text for one value.
  if (padding == 1) {
    if (group & 3) return fail(Errc::InvalidArgument, "base64: trailing bits are not zero");
    bytes.push_back(static_cast<std::uint8_t>(group >> 10));
    bytes.push_back(static_cast<std::uint8_t>(group >> 2));
  } else if (padding == 2) {
    if (group & 15) return fail(Errc::InvalidArgument, "base64: trailing bits are not zero");
    bytes.push_back(static_cast<std::uint8_t>(group >> 4));
  }
  return bytes;
}

std::string to_base32(BytesView bytes) {
  std::string text;
  std::uint32_t buffer = 0;
  int bits = 0;
  for (std::uint8_t byte : bytes) {
    buffer = (buffer << 8 | byte) & 0xfffff;
    bits += 8;
    while (bits >= 5) {
      bits -= 5;
      text += kBase32[buffer >> bits & 31];
    }
  }
  if (bits > 0) text += kBase32[buffer << (5 - bits) & 31];
  return text;
}

Result<Bytes> from_base32(std::string_view text) {
  Bytes bytes;
  std::uint32_t buffer = 0;
  int bits = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const std::uint8_t value = kBase32Values[static_cast<std::uint8_t>(text[i])];
    if (value == 0xff) return bad_character("base32", text[i], i);
    buffer = (buffer << 5 | value) & 0xfffff;
    bits += 5;
    if (bits >= 8) {
      bits -= 8;
      bytes.push_back(static_cast<std::uint8_t>(buffer >> bits));
    }
  }
  if (bits >= 5 || (buffer & ((1u << bits) - 1)) != 0) {
    return fail(Errc::InvalidArgument, "base32: the length or the trailing bits are wrong");
  }
  return bytes;
}

void ByteWriter::sized(BytesView bytes) {
  BASE_ASSERT(bytes.size() <= UINT32_MAX, "field is longer than its length can say");
  u32(static_cast<std::uint32_t>(bytes.size()));
  raw(bytes);
}

void ByteWriter::integer(std::uint64_t value, int width) {
  std::uint8_t written[8];
  for (int i = 0; i < width; ++i)
    written[i] = static_cast<std::uint8_t>(value >> ((width - 1 - i) * 8));
  bytes_.insert(bytes_.end(), written, written + width);
}

Result<std::uint64_t> ByteReader::integer(int width) {
  TRY(BytesView bytes, raw(static_cast<std::size_t>(width)));
  std::uint64_t value = 0;
  for (std::uint8_t byte : bytes) value = value << 8 | byte;
  return value;
}

Result<std::uint8_t> ByteReader::u8() {
  TRY(std::uint64_t value, integer(1));
  return static_cast<std::uint8_t>(value);
}
Result<std::uint16_t> ByteReader::u16() {
  TRY(std::uint64_t value, integer(2));
  return static_cast<std::uint16_t>(value);
}
Result<std::uint32_t> ByteReader::u32() {
  TRY(std::uint64_t value, integer(4));
  return static_cast<std::uint32_t>(value);
}
Result<std::uint64_t> ByteReader::u64() {
  return integer(8);
}

Result<BytesView> ByteReader::raw(std::size_t count) {
  if (count > remaining()) {
    return fail(Errc::DataLoss,
                fmt::format("{} bytes wanted at offset {}, {} left", count, offset_, remaining()));
  }
  BytesView view = bytes_.subspan(offset_, count);
  offset_ += count;
  return view;
}

Result<BytesView> ByteReader::sized(std::size_t bytes_max) {
  TRY(std::uint32_t size, u32());
  if (size > bytes_max) {
    return fail(Errc::DataLoss, fmt::format("field of {} bytes at offset {}, at most {} allowed",
                                            size, offset_ - 4, bytes_max));
  }
  return raw(size);
}

Result<> ByteReader::end() const {
  if (remaining() != 0) {
    return fail(Errc::DataLoss,
                fmt::format("{} bytes left over at offset {}", remaining(), offset_));
  }
  return {};
}

}  // namespace base
