#include <base/http/web_socket.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/websocket/rfc6455.hpp>
#include <boost/beast/websocket/stream.hpp>

#include "stream_adapter.hpp"

namespace base::http {
namespace {

namespace beast = boost::beast;
namespace bhttp = boost::beast::http;
namespace websocket = boost::beast::websocket;
using Stream =
    websocket::stream<StreamAdapter, false>;  // false: no compression, nothing to inflate.

Error web_socket_error(const boost::system::error_code& code, std::string doing) {
  if (code.category() == boost::system::error_code(websocket::error::bad_opcode).category()) {
    return make_error(Errc::InvalidArgument, std::move(doing) + ": " + code.message());
  }
  if (code == beast::error::timeout)
    return make_error(Errc::Unavailable, std::move(doing) + ": the peer is silent");
  return from_system_error(code, std::move(doing));
}

class BeastWebSocket final : public WebSocket {
 public:
  BeastWebSocket(std::shared_ptr<Stream> stream, std::string subprotocol)
      : stream_(std::move(stream)), subprotocol_(std::move(subprotocol)) {}
  ~BeastWebSocket() override { abort(); }

  Task<Result<std::optional<Bytes>>> read() override { return read_from(stream_); }
  Task<Result<>> write(BytesView bytes) override { return write_to(stream_, bytes); }
  Task<> close(std::uint16_t code, std::string reason) override {
    return close_on(stream_, code, std::move(reason));
  }
  void abort() override { stream_->next_layer().stream().close(); }
  const std::string& subprotocol() const override { return subprotocol_; }

 private:
  static Task<Result<std::optional<Bytes>>> read_from(std::shared_ptr<Stream> stream) {
    beast::flat_buffer buffer;
    auto [code, count] = co_await stream->async_read(buffer, use_result);
    if (code == websocket::error::closed) co_return std::nullopt;
    if (code) co_return std::unexpected(web_socket_error(code, "reading from a WebSocket"));
    const auto* data = static_cast<const std::uint8_t*>(buffer.data().data());
    co_return Bytes(data, data + buffer.size());
  }
  static Task<Result<>> write_to(std::shared_ptr<Stream> stream, BytesView bytes) {
    auto [code, count] =
        co_await stream->async_write(asio::buffer(bytes.data(), bytes.size()), use_result);
    if (code) co_return std::unexpected(web_socket_error(code, "writing to a WebSocket"));
    co_return Result<>{};
  }
  static Task<> close_on(std::shared_ptr<Stream> stream, std::uint16_t code, std::string reason) {
    websocket::close_reason why(code);
    reason.resize(std::min<std::size_t>(reason.size(), 120));  // A control frame holds 125 bytes.
    why.reason.assign(reason.data(), reason.size());
    if (stream->is_open()) co_await stream->async_close(why, use_result);
    stream->next_layer().stream().close();
  }

  std::shared_ptr<Stream> stream_;
  std::string subprotocol_;
};

std::shared_ptr<Stream> make_stream(Executor executor, std::unique_ptr<ByteStream> bytes,
                                    Bytes leftover, const WebSocketLimits& limits) {
  auto stream =
      std::make_shared<Stream>(std::move(executor), std::move(bytes), std::move(leftover));
  const auto in_steady = [](Duration limit) {
    return std::chrono::duration_cast<websocket::stream_base::duration>(limit);
  };
  stream->set_option(websocket::stream_base::timeout{in_steady(limits.handshake_max),
                                                     in_steady(limits.idle_max), true});
  stream->read_message_max(limits.message_bytes_max);
  stream->auto_fragment(false);
  stream->binary(true);
  return stream;
}

}  // namespace

Task<Result<std::unique_ptr<WebSocket>>> accept_web_socket(std::unique_ptr<ByteStream> stream,
                                                           Bytes leftover, const RequestHead& head,
                                                           std::string subprotocol,
                                                           Headers response_headers,
                                                           WebSocketLimits limits) {
  bhttp::request<bhttp::empty_body> request;
  request.method_string(head.method);
  request.target(head.target);
  request.version(static_cast<unsigned>(head.version));
  for (const Header& entry : head.headers.entries()) request.insert(entry.name, entry.value);
  auto socket = make_stream(co_await asio::this_coro::executor, std::move(stream),
                            std::move(leftover), limits);
  socket->set_option(websocket::stream_base::decorator(
      [subprotocol, response_headers](websocket::response_type& response) {
        if (!subprotocol.empty()) response.set(bhttp::field::sec_websocket_protocol, subprotocol);
        for (const Header& entry : response_headers.entries())
          response.insert(entry.name, entry.value);
      }));
  auto [code] = co_await socket->async_accept(request, use_result);
  if (code) co_return std::unexpected(web_socket_error(code, "accepting a WebSocket"));
  co_return std::make_unique<BeastWebSocket>(std::move(socket), std::move(subprotocol));
}

Task<Result<std::unique_ptr<WebSocket>>> connect_web_socket(
    std::unique_ptr<ByteStream> stream, std::string host, std::string target, Headers headers,
    std::vector<std::string> subprotocols, UpgradeRefusal& refusal, WebSocketLimits limits) {
  auto socket = make_stream(co_await asio::this_coro::executor, std::move(stream), {}, limits);
  std::string wanted;
  for (const std::string& protocol : subprotocols)
    wanted += (wanted.empty() ? "" : ", ") + protocol;
  socket->set_option(
      websocket::stream_base::decorator([wanted, headers](websocket::request_type& request) {
        if (!wanted.empty()) request.set(bhttp::field::sec_websocket_protocol, wanted);
        for (const Header& entry : headers.entries()) request.set(entry.name, entry.value);
      }));
  websocket::response_type response;
  auto [code] = co_await socket->async_handshake(response, host, target, use_result);
  if (code == websocket::error::upgrade_declined) {
    refusal.head.status = static_cast<int>(response.result_int());
    for (const auto& field : response)
      refusal.head.headers.add(std::string(field.name_string()), std::string(field.value()));
    refusal.body = response.body();
    co_return fail(Errc::FailedPrecondition, "the server does not open a WebSocket");
  }
  if (code) co_return std::unexpected(web_socket_error(code, "opening a WebSocket"));
  const auto chosen = response[bhttp::field::sec_websocket_protocol];
  co_return std::make_unique<BeastWebSocket>(std::move(socket),
                                             std::string(chosen.data(), chosen.size()));
}

}  // namespace base::http
