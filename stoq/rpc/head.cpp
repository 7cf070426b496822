#include "rpc/head.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <base/error_mapping.hpp>

#include "rpc/frames.hpp"

namespace stoq::rpc {

using base::Errc;
using base::Result;

namespace {

void copy(base::Bytes& out, base::BytesView bytes) {
  out.insert(out.end(), bytes.begin(), bytes.end());
}

// Cut at a code point's border: what a peer shows a person stays text.
std::string_view cut(std::string_view text, std::size_t bytes_max) {
  if (text.size() <= bytes_max) return text;
  std::size_t end = bytes_max;
  while (end > 0 && (static_cast<std::uint8_t>(text[end]) & 0xc0) == 0x80) --end;
  return text.substr(0, end);
}

void append_text(base::Bytes& out, std::string_view text) {
  append_varint(out, text.size());
  copy(out, base::as_bytes(text));
}

Result<std::string_view> read_text(base::ByteReader& in, std::size_t bytes_max,
                                   std::string_view what) {
  TRY(const std::uint64_t bytes, read_varint(in));
  if (bytes > bytes_max) {
    return base::fail(
        Errc::InvalidArgument,
        fmt::format("the {} has {} bytes; at most {} are taken", what, bytes, bytes_max));
  }
  TRY(const auto raw, in.raw(bytes));
  return base::as_text(raw);
}

bool visible(std::string_view name) {
  return !name.empty() && std::ranges::all_of(name, [](char c) { return c > 0x20 && c < 0x7f; });
}

}  // namespace

void append_head(base::Bytes& out, const Head& head) {
  BASE_ASSERT(visible(head.method) && head.method.size() <= kMethodNameBytesMax,
              "a method's name is ours");
  using std::chrono::microseconds;
  std::uint64_t left = 0;
  if (head.time_left) {
    // A deadline that is over is still one.
    left = static_cast<std::uint64_t>(std::max<std::int64_t>(
        1, std::chrono::duration_cast<microseconds>(*head.time_left).count()));
  }
  const std::size_t bytes = 1 + varint_bytes(head.method.size()) + head.method.size() +
                            varint_bytes(left) + head.trace.id.size() + 8;
  out.reserve(out.size() + frame_bytes(bytes));
  out.push_back(static_cast<std::uint8_t>(FrameType::Head));
  append_varint(out, bytes);
  out.push_back(static_cast<std::uint8_t>(head.kind));
  append_text(out, head.method);
  append_varint(out, left);
  copy(out, head.trace.id);
  for (int shift = 56; shift >= 0; shift -= 8)
    out.push_back(static_cast<std::uint8_t>(head.trace.span >> shift));
}

Result<Head> decode_head(base::BytesView payload) {
  base::ByteReader in(payload);
  Head head;
  TRY(const std::uint8_t kind, in.u8());
  if (kind > static_cast<std::uint8_t>(Kind::TwoWay)) {
    return base::fail(Errc::InvalidArgument,
                      fmt::format("the call is of kind {}; 0 to 3 are known", kind));
  }
  head.kind = static_cast<Kind>(kind);
  TRY(head.method, read_text(in, kMethodNameBytesMax, "method's name"));
  if (!visible(head.method)) {
    return base::fail(Errc::InvalidArgument,
                      "the method's name is empty or has bytes that cannot be shown");
  }
  TRY(const std::uint64_t left, read_varint(in));
  if (left > 0) {
    constexpr auto kLongest = std::chrono::hours(24 * 365);
    const auto longest = std::chrono::microseconds(kLongest).count();
    head.time_left = std::chrono::microseconds(
        std::min<std::uint64_t>(left, static_cast<std::uint64_t>(longest)));
  }
  TRY(const auto id, in.raw(head.trace.id.size()));
  std::ranges::copy(id, head.trace.id.begin());
  TRY(head.trace.span, in.u64());
  return head;
}

void append_status(base::Bytes& out, const base::Error* error) {
  base::Bytes payload;
  if (error == nullptr) {
    *append_frame(out, FrameType::Status, 1) = 0;
    return;
  }
  payload.push_back(base::rpc_status(error->code));
  append_text(payload, cut(error->describe(), kStatusMessageBytesMax));
  const std::size_t hints = std::min(error->hints.size(), kStatusHintsMax);
  append_varint(payload, hints);
  for (std::size_t i = 0; i < hints; ++i)
    append_text(payload, cut(error->hints[i], kStatusHintBytesMax));
  std::ranges::copy(payload, append_frame(out, FrameType::Status, payload.size()));
}

Result<> decode_status(base::BytesView payload, Result<>& status) {
  base::ByteReader in(payload);
  TRY(const std::uint8_t code, in.u8());
  if (code == 0) {
    status = {};
    return {};
  }
  base::Error error;
  error.code = base::errc_of_rpc_status(code);
  TRY(error.message, read_text(in, kStatusMessageBytesMax, "error's message"));
  TRY(const std::uint64_t hints, read_varint(in));
  if (hints > kStatusHintsMax) {
    return base::fail(Errc::DataLoss, fmt::format("an error with {} hints; at most {} are taken",
                                                  hints, kStatusHintsMax));
  }
  for (std::uint64_t i = 0; i < hints; ++i) {
    TRY(const auto hint, read_text(in, kStatusHintBytesMax, "error's hint"));
    error.hints.emplace_back(hint);
  }
  if (base::rpc_status(error.code) != code) {
    error.hints.push_back(
        fmt::format("the peer gave status {}, which this build does not know", code));
  }
  status = std::unexpected(std::move(error));
  return {};
}

}  // namespace stoq::rpc
