#pragma once

#include <base/async/byte_stream.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/write.hpp>
#include <memory>

namespace base::http {

/// A plain stream socket (unix or TCP) as a ByteStream. The socket is shared with pending calls, so
/// that the stream may be destroyed while one waits.
template <class Socket>
class SocketStream final : public ByteStream {
 public:
  explicit SocketStream(Socket socket) : socket_(std::make_shared<Socket>(std::move(socket))) {}
  ~SocketStream() override { close(); }

  Task<Result<Bytes>> read() override { return read_from(socket_); }
  Task<Result<>> write(BytesView bytes) override { return write_to(socket_, bytes); }
  void close_write() override {
    boost::system::error_code ignored;
    socket_->shutdown(Socket::shutdown_send, ignored);
  }
  void close() override {
    boost::system::error_code ignored;
    socket_->close(ignored);
  }

 private:
  // Nothing is allocated while nothing has come: an idle connection costs no buffer.
  static Task<Result<Bytes>> read_from(std::shared_ptr<Socket> socket) {
    static constexpr std::size_t kReadBytesMin = 1024, kReadBytesMax = 64 * 1024;
    for (;;) {
      auto [waited] = co_await socket->async_wait(Socket::wait_read, use_result);
      if (waited) co_return std::unexpected(from_system_error(waited, "reading from a connection"));
      boost::system::error_code code;
      Bytes bytes(std::clamp(socket->available(code), kReadBytesMin, kReadBytesMax));
      const std::size_t count = socket->read_some(asio::buffer(bytes), code);
      if (code == asio::error::would_block || code == asio::error::try_again) continue;
      if (code == asio::error::eof) co_return Bytes{};
      if (code) co_return std::unexpected(from_system_error(code, "reading from a connection"));
      bytes.resize(count);
      co_return bytes;
    }
  }
  static Task<Result<>> write_to(std::shared_ptr<Socket> socket, BytesView bytes) {
    auto [code, count] =
        co_await asio::async_write(*socket, asio::buffer(bytes.data(), bytes.size()), use_result);
    if (code) co_return std::unexpected(from_system_error(code, "writing to a connection"));
    co_return Result<>{};
  }

  std::shared_ptr<Socket> socket_;
};

/// Makes `socket` non-blocking and wraps it.
template <class Socket>
Result<std::unique_ptr<ByteStream>> wrap_socket(Socket socket) {
  boost::system::error_code code;
  socket.non_blocking(true, code);
  if (code) return std::unexpected(from_system_error(code, "a connection"));
  return std::make_unique<SocketStream<Socket>>(std::move(socket));
}

}  // namespace base::http
