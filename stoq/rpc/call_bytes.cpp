#include "rpc/call_bytes.hpp"

#include <fmt/format.h>

namespace stoq::rpc {

using base::Errc;
using base::Result;

Result<> CallBytes::hold(std::size_t bytes) {
  const auto full = [&](std::string_view where, std::size_t limit) {
    return base::fail(Errc::ResourceExhausted,
                      fmt::format("calls {} hold {} bytes at most: try again", where, limit));
  };
  if (held_ + bytes > connection_max_) return full("of a connection", connection_max_);
  if (all_ + bytes > all_max_) return full("of this node", all_max_);
  held_ += bytes;
  all_ += bytes;
  return {};
}

void CallBytes::let_go(std::size_t bytes) {
  BASE_ASSERT(bytes <= held_, "what is let go was held");
  held_ -= bytes;
  all_ -= bytes;
}

Result<> CallBytes::Held::resize(std::size_t bytes) {
  if (of_ == nullptr) return {};
  if (bytes > bytes_) {
    TRY_DO(of_->hold(bytes - bytes_));
  } else if (bytes < bytes_) {
    of_->let_go(bytes_ - bytes);
  }
  bytes_ = bytes;
  return {};
}

}  // namespace stoq::rpc
