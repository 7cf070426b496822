#include "stream_adapter.hpp"

#include <algorithm>
#include <cstring>

namespace base::http {
namespace {

boost::system::error_code as_code(const Error& error) {
  if (error.code == Errc::Cancelled) return asio::error::operation_aborted;
  return asio::error::connection_reset;
}

}  // namespace

Task<StreamAdapter::Outcome> StreamAdapter::read_some(asio::mutable_buffer target) {
  if (target.size() == 0) co_return Outcome{};
  if (ready_.empty()) {
    auto bytes = co_await stream_->read();
    if (!bytes) co_return Outcome{as_code(bytes.error()), 0};
    if (bytes->empty()) co_return Outcome{asio::error::eof, 0};
    ready_ = *std::move(bytes);
  }
  const std::size_t count = std::min(ready_.size(), target.size());
  std::memcpy(target.data(), ready_.data(), count);
  ready_.erase(ready_.begin(), ready_.begin() + static_cast<std::ptrdiff_t>(count));
  co_return Outcome{{}, count};
}

Task<StreamAdapter::Outcome> StreamAdapter::write_some(std::vector<asio::const_buffer> parts) {
  Bytes bytes;
  for (const asio::const_buffer& part : parts) {
    const auto* data = static_cast<const std::uint8_t*>(part.data());
    bytes.insert(bytes.end(), data, data + part.size());
  }
  if (bytes.empty()) co_return Outcome{};
  const auto written = co_await stream_->write(bytes);
  if (!written) co_return Outcome{as_code(written.error()), 0};
  co_return Outcome{{}, bytes.size()};
}

void teardown(boost::beast::role_type, StreamAdapter& stream, boost::system::error_code& code) {
  stream.stream().close();
  code = {};
}

void beast_close_socket(StreamAdapter& stream) {
  stream.stream().close();
}

}  // namespace base::http
