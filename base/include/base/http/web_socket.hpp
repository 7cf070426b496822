#pragma once

#include <base/async/byte_stream.hpp>
#include <base/http/message.hpp>
#include <memory>
#include <optional>
#include <string>

namespace base::http {

struct WebSocketLimits {
  std::size_t message_bytes_max = 1u << 20;
  Duration handshake_max = std::chrono::seconds(10);
  Duration idle_max = std::chrono::seconds(90);  ///< A ping goes out at half of it.
};

/// A WebSocket (RFC 6455) over any stream. One reader and one writer at a time.
class WebSocket {
 public:
  virtual ~WebSocket() = default;
  /// The next binary or text message. Empty: closed by the peer in an orderly way.
  /// Errors: Unavailable (the connection is gone or silent), InvalidArgument (protocol violation,
  /// too large).
  virtual Task<Result<std::optional<Bytes>>> read() = 0;
  /// Sends `bytes` as one binary message.
  virtual Task<Result<>> write(BytesView bytes) = 0;
  /// Sends a close frame and waits for the peer's, within the handshake's limit.
  virtual Task<> close(std::uint16_t code, std::string reason) = 0;
  /// Ends the connection at once; pending calls fail.
  virtual void abort() = 0;
  virtual const std::string& subprotocol() const = 0;
};

/// Answers an upgrade request that was read from `stream`; `leftover` are bytes read beyond its
/// head. `head` must be a web_socket request.
Task<Result<std::unique_ptr<WebSocket>>> accept_web_socket(std::unique_ptr<ByteStream> stream,
                                                           Bytes leftover, const RequestHead& head,
                                                           std::string subprotocol,
                                                           Headers response_headers,
                                                           WebSocketLimits limits = {});

/// What a server answered instead of an upgrade.
struct UpgradeRefusal {
  ResponseHead head;
  std::string body;
};
/// Asks for `target` with `subprotocols` (most wanted first) on a connected stream. When the server
/// answers with something else, `refusal` holds it and the error is FailedPrecondition.
Task<Result<std::unique_ptr<WebSocket>>> connect_web_socket(
    std::unique_ptr<ByteStream> stream, std::string host, std::string target, Headers headers,
    std::vector<std::string> subprotocols, UpgradeRefusal& refusal, WebSocketLimits limits = {});

}  // namespace base::http
