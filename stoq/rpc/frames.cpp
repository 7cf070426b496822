#include "rpc/frames.hpp"

#include <fmt/format.h>

#include <bit>

namespace stoq::rpc {

using base::Errc;
using base::Result;

namespace {

constexpr std::uint64_t kVarintEnd = std::uint64_t{1} << 62;

std::string_view name_of(FrameType type) {
  switch (type) {
    case FrameType::Head:
      return "head";
    case FrameType::Message:
      return "message";
    case FrameType::Status:
      return "status";
  }
  return "frame";
}

// The integer at the start of `bytes` and its width; width 0 when there are too few bytes.
struct Varint {
  std::uint64_t value = 0;
  std::size_t width = 0;
};
Varint peek_varint(base::BytesView bytes) {
  if (bytes.empty()) return {};
  const std::size_t width = std::size_t{1} << (bytes[0] >> 6);
  if (bytes.size() < width) return {};
  std::uint64_t value = bytes[0] & 0x3f;
  for (std::size_t i = 1; i < width; ++i) value = value << 8 | bytes[i];
  return {value, width};
}

}  // namespace

std::size_t varint_bytes(std::uint64_t value) {
  if (value < 1u << 6) return 1;
  if (value < 1u << 14) return 2;
  return value < 1u << 30 ? 4 : 8;
}

void append_varint(base::Bytes& out, std::uint64_t value) {
  BASE_ASSERT(value < kVarintEnd, "a variable-length integer has 62 bits");
  const std::size_t width = varint_bytes(value);
  const auto mark = static_cast<std::uint8_t>(std::countr_zero(width) << 6);
  for (std::size_t i = width; i > 0; --i) {
    const auto byte = static_cast<std::uint8_t>(value >> (8 * (i - 1)));
    out.push_back(i == width ? byte | mark : byte);
  }
}

Result<std::uint64_t> read_varint(base::ByteReader& in) {
  TRY(const std::uint8_t first, in.u8());
  std::uint64_t value = first & 0x3f;
  TRY(const auto rest, in.raw((std::size_t{1} << (first >> 6)) - 1));
  for (const std::uint8_t byte : rest) value = value << 8 | byte;
  return value;
}

std::size_t frame_bytes(std::size_t payload_bytes) {
  return 1 + varint_bytes(payload_bytes) + payload_bytes;
}

std::uint8_t* append_frame(base::Bytes& out, FrameType type, std::size_t payload_bytes) {
  out.reserve(out.size() + frame_bytes(payload_bytes));
  out.push_back(static_cast<std::uint8_t>(type));
  append_varint(out, payload_bytes);
  out.resize(out.size() + payload_bytes);
  return out.data() + out.size() - payload_bytes;
}

void FrameDecoder::feed(base::Bytes piece) {
  if (pending() == 0) {
    bytes_ = std::move(piece);
    used_ = 0;
    return;
  }
  if (used_ > 0) {
    bytes_.erase(bytes_.begin(), bytes_.begin() + static_cast<std::ptrdiff_t>(used_));
    used_ = 0;
  }
  bytes_.insert(bytes_.end(), piece.begin(), piece.end());
}

Result<std::optional<Frame>> FrameDecoder::next() {
  const auto rest = base::BytesView(bytes_).subspan(used_);
  if (rest.empty()) return std::nullopt;
  const auto type = static_cast<FrameType>(rest[0]);
  std::size_t bytes_max = 0;
  switch (type) {
    case FrameType::Head:
      bytes_max = limits_.head_bytes_max;
      break;
    case FrameType::Message:
      bytes_max = limits_.message_bytes_max;
      break;
    case FrameType::Status:
      bytes_max = limits_.status_bytes_max;
      break;
    default:
      return base::fail(Errc::DataLoss,
                        fmt::format("there is no frame of type {}; want 1 (head), 2 (message) or 3 "
                                    "(status)",
                                    rest[0]));
  }
  const auto [length, width] = peek_varint(rest.subspan(1));
  if (width == 0) return std::nullopt;
  if (length > bytes_max) {
    return base::fail(Errc::ResourceExhausted, fmt::format("a {} of {} bytes; at most {} are taken",
                                                           name_of(type), length, bytes_max));
  }
  if (rest.size() - 1 - width < length) return std::nullopt;
  used_ += 1 + width + length;
  return Frame{type, rest.subspan(1 + width, length)};
}

Result<> FrameDecoder::end() const {
  if (pending() == 0) return {};
  return base::fail(Errc::DataLoss,
                    fmt::format("the stream ended in the middle of a frame, {} bytes after its "
                                "start",
                                pending()));
}

}  // namespace stoq::rpc
