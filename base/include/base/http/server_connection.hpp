#pragma once

#include <base/async/byte_stream.hpp>
#include <base/http/message.hpp>
#include <base/http/web_socket.hpp>
#include <expected>
#include <memory>
#include <optional>
#include <string>

namespace base::http {

struct ServerLimits {
  std::size_t target_bytes_max = 8 * 1024;
  std::size_t header_bytes_max = 16 * 1024;       ///< Request line and all fields.
  Duration idle_max = std::chrono::seconds(120);  ///< Between two requests.
  Duration head_max =
      std::chrono::seconds(10);  ///< First byte of a request to its empty line, TLS included.
  Duration body_max = std::chrono::seconds(60);   ///< A whole body that read_body collects.
  Duration stall_max = std::chrono::seconds(30);  ///< One read of a streamed body, one write.
};

/// A request that cannot be read. `status` is what to answer before closing; 0: nobody is there.
struct Fault {
  Error error;
  int status = 0;
};

/// The server's end of one HTTP/1.1 connection: requests one after the other, each answered before
/// the next is read. Holds slow peers to its limits. One task uses it.
class ServerConnection {
 public:
  ServerConnection(const Executor& executor, std::unique_ptr<ByteStream> stream,
                   ServerLimits limits);
  ~ServerConnection();
  ServerConnection(const ServerConnection&) = delete;
  ServerConnection& operator=(const ServerConnection&) = delete;

  /// The next request's head. Empty: the peer closed, was idle for too long, or the last answer
  /// ended the connection. What the last handler left unread of its body is skipped, if it is
  /// little.
  Task<std::expected<std::optional<RequestHead>, Fault>> next_request();

  /// Some bytes of the body; empty at its end. Sends "100 Continue" first when it is awaited.
  /// Errors: InvalidArgument (malformed), TimedOut, Unavailable (the peer is gone).
  Task<Result<Bytes>> read_body_some();
  /// All of it. Errors: also ResourceExhausted (above `bytes_max`).
  Task<Result<std::string>> read_body(std::size_t bytes_max);

  /// Answers with a body of known length (Content-Length is added).
  Task<Result<>> respond(int status, Headers headers, std::string body);
  /// Answers with a body that comes in pieces: chunked, or for HTTP/1.0 up to the end of the
  /// connection.
  Task<Result<>> begin_stream(int status, Headers headers);
  Task<Result<>> write_stream(std::string_view piece);
  Task<Result<>> end_stream();
  /// True once an answer has begun: an error can only end the connection.
  bool answered() const;
  /// Resumes when the peer has closed its side. Next to a stream that may be silent for long; not
  /// while a body is read.
  Task<> peer_gone();

  /// Turns the connection into a WebSocket; nothing else may be called then.
  Task<Result<std::unique_ptr<WebSocket>>> upgrade(const RequestHead& head, std::string subprotocol,
                                                   Headers headers, WebSocketLimits limits);

  /// After the answer under way the connection ends.
  void close_after_answer();
  /// At once.
  void close();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace base::http
