#pragma once

// Bytes, and bounded readers and writers of fixed little-layout formats. Integers travel big
// endian.

#include <base/error.hpp>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace base {

using Bytes = std::vector<std::uint8_t>;
using BytesView = std::span<const std::uint8_t>;

inline BytesView as_bytes(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}
inline std::string_view as_text(BytesView bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::string to_hex(BytesView bytes);
Result<Bytes> from_hex(std::string_view hex);
/// RFC 4648 section 4, with padding. Decoding refuses anything else.
std::string to_base64(BytesView bytes);
Result<Bytes> from_base64(std::string_view text);
/// RFC 4648 section 6, lower case, no padding: how a NodeId is shown.
std::string to_base32(BytesView bytes);
Result<Bytes> from_base32(std::string_view text);

/// Writes the canonical layout that is signed or stored: what is written is a function of the
/// values only.
class ByteWriter {
 public:
  ByteWriter() = default;
  /// Space for as many bytes at once.
  explicit ByteWriter(std::size_t bytes_expected) { bytes_.reserve(bytes_expected); }

  void u8(std::uint8_t value) { bytes_.push_back(value); }
  void u16(std::uint16_t value) { integer(value, 2); }
  void u32(std::uint32_t value) { integer(value, 4); }
  void u64(std::uint64_t value) { integer(value, 8); }
  void raw(BytesView bytes) { bytes_.insert(bytes_.end(), bytes.begin(), bytes.end()); }
  /// Length (u32), then the bytes.
  void sized(BytesView bytes);
  void sized(std::string_view text) { sized(as_bytes(text)); }

  const Bytes& view() const& { return bytes_; }
  Bytes take() && { return std::move(bytes_); }

 private:
  void integer(std::uint64_t value, int width);
  Bytes bytes_;
};

/// Reads untrusted bytes. A read past the end fails with DataLoss that names the offset; nothing is
/// allocated beyond the bytes that are there. Views point into the input.
class ByteReader {
 public:
  explicit ByteReader(BytesView bytes) : bytes_(bytes) {}

  Result<std::uint8_t> u8();
  Result<std::uint16_t> u16();
  Result<std::uint32_t> u32();
  Result<std::uint64_t> u64();
  Result<BytesView> raw(std::size_t count);
  /// What ByteWriter::sized wrote, refused above `bytes_max`.
  Result<BytesView> sized(std::size_t bytes_max);

  std::size_t remaining() const { return bytes_.size() - offset_; }
  std::size_t offset() const { return offset_; }
  /// Fails unless everything was read.
  Result<> end() const;

 private:
  Result<std::uint64_t> integer(int width);
  BytesView bytes_;
  std::size_t offset_ = 0;
};

}  // namespace base
