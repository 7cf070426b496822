#pragma once

// A ByteStream as Asio's AsyncReadStream and AsyncWriteStream, for Beast.

#include <base/async/byte_stream.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/error.hpp>
#include <boost/beast/core/role.hpp>
#include <memory>

namespace base::http {

class StreamAdapter {
 public:
  using executor_type = Executor;
  /// `first` are bytes that were read from `stream` before.
  StreamAdapter(Executor executor, std::unique_ptr<ByteStream> stream, Bytes first)
      : executor_(std::move(executor)), stream_(std::move(stream)), ready_(std::move(first)) {}

  executor_type get_executor() const { return executor_; }
  ByteStream& stream() { return *stream_; }

  template <class Buffers, class Token>
  auto async_read_some(const Buffers& buffers, Token&& token) {
    // Beast passes a sequence; filling its first part is enough for "some".
    asio::mutable_buffer target;
    for (auto it = asio::buffer_sequence_begin(buffers); it != asio::buffer_sequence_end(buffers);
         ++it) {
      target = *it;
      if (target.size() > 0) break;
    }
    return start([this, target] { return read_some(target); }, token);
  }
  template <class Buffers, class Token>
  auto async_write_some(const Buffers& buffers, Token&& token) {
    std::vector<asio::const_buffer> parts(asio::buffer_sequence_begin(buffers),
                                          asio::buffer_sequence_end(buffers));
    return start(
        [this, parts = std::move(parts)]() mutable { return write_some(std::move(parts)); }, token);
  }

 private:
  struct Outcome {
    boost::system::error_code code;
    std::size_t count = 0;
  };
  Task<Outcome> read_some(asio::mutable_buffer target);
  Task<Outcome> write_some(std::vector<asio::const_buffer> parts);

  template <class Make, class Token>
  auto start(Make make, Token& token) {
    return asio::async_initiate<Token, void(boost::system::error_code, std::size_t)>(
        [this](auto handler, Make make_task) {
          const auto slot = asio::get_associated_cancellation_slot(handler);
          const auto executor = asio::get_associated_executor(handler, executor_);
          asio::co_spawn(executor_, make_task(),
                         asio::bind_cancellation_slot(
                             slot, [handler = std::move(handler), executor](
                                       std::exception_ptr thrown, Outcome outcome) mutable {
                               if (thrown) outcome = {asio::error::operation_aborted, 0};
                               asio::dispatch(executor,
                                              [handler = std::move(handler), outcome]() mutable {
                                                std::move(handler)(outcome.code, outcome.count);
                                              });
                             }));
        },
        token, std::move(make));
  }

  Executor executor_;
  std::unique_ptr<ByteStream> stream_;
  Bytes ready_;
};

// What Beast's WebSocket asks of a stream that is not a socket.
void teardown(boost::beast::role_type role, StreamAdapter& stream, boost::system::error_code& code);
void beast_close_socket(StreamAdapter& stream);
template <class Handler>
void async_teardown(boost::beast::role_type, StreamAdapter& stream, Handler&& handler) {
  stream.stream().close_write();
  asio::dispatch(stream.get_executor(), [handler = std::forward<Handler>(handler)]() mutable {
    std::move(handler)(boost::system::error_code{});
  });
}

}  // namespace base::http
