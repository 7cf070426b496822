#include <fmt/format.h>

#include <limits>
#include <stoq/rpc_method.hpp>

#include "rpc/frames.hpp"

namespace stoq::rpc {

namespace {

// Room for the status of success behind a message, so that it is appended in place.
constexpr std::size_t kStatusRoom = 8;

}  // namespace

base::Result<std::uint8_t*> append_message(base::Bytes& out, const Method& method,
                                           std::size_t bytes, std::size_t bytes_max) {
  if (bytes > bytes_max) {
    return base::fail(
        base::Errc::ResourceExhausted,
        fmt::format("{}: a message of {} bytes; at most {} travel", method.name, bytes, bytes_max));
  }
  out.reserve(out.size() + frame_bytes(bytes) + kStatusRoom);
  return append_frame(out, FrameType::Message, bytes);
}

base::Error unreadable(const Method& method, std::size_t bytes) {
  return base::make_error(
      base::Errc::DataLoss,
      fmt::format("{}: {} bytes are not the message it takes or gives", method.name, bytes));
}

}  // namespace stoq::rpc
