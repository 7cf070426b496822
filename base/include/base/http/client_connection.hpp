#pragma once

#include <base/async/byte_stream.hpp>
#include <base/http/message.hpp>
#include <memory>
#include <optional>
#include <string>

namespace base::http {

/// The client's end of one HTTP/1.1 connection: one request at a time. Time limits are the caller's
/// (base::with_timeout); after an error or a cancelled call the connection is of no use.
class ClientConnection {
 public:
  explicit ClientConnection(std::unique_ptr<ByteStream> stream);
  ~ClientConnection();
  ClientConnection(const ClientConnection&) = delete;
  ClientConnection& operator=(const ClientConnection&) = delete;

  /// Sends a request whose body is `body` (Content-Length is added when there is one).
  Task<Result<>> send(std::string method, std::string target, Headers headers, std::string body);
  /// Sends a head; the body follows in pieces and is chunked.
  Task<Result<>> begin_send(std::string method, std::string target, Headers headers);
  Task<Result<>> send_some(BytesView piece);
  Task<Result<>> end_send();

  /// The answer's head; interim answers (100) are skipped.
  /// Errors: Unavailable (closed before an answer), DataLoss (malformed).
  Task<Result<ResponseHead>> read_head();
  /// Some bytes of its body; empty at the end. Errors: Unavailable (cut off), DataLoss.
  Task<Result<Bytes>> read_body_some();
  /// Errors: also ResourceExhausted (above `bytes_max`).
  Task<Result<std::string>> read_body(std::size_t bytes_max);

  /// Whether another request can be sent: the last answer was read to its end and keeps the
  /// connection.
  bool reusable() const;
  void close();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace base::http
