#pragma once

// Bytes in, an HTTP/1.1 message out: Beast's parser behind plain values. Pure.

#include <base/http/message.hpp>
#include <base/http/server_connection.hpp>
#include <expected>
#include <memory>
#include <string>
#include <string_view>

namespace base::http {

struct DecoderLimits {
  std::size_t target_bytes_max = 8 * 1024;
  std::size_t header_bytes_max = 16 * 1024;
  /// A chunk's size line, and what follows the last chunk.
  std::size_t chunk_line_bytes_max = 4 * 1024;
};

/// Decodes one message. Bytes are fed as they come; what belongs to the next message stays inside.
class Decoder {
 public:
  enum class Kind : std::uint8_t { Request, Response };
  Decoder(Kind kind, DecoderLimits limits);
  ~Decoder();

  /// Takes `bytes` in and decodes as far as possible: up to the end of the head, and beyond it once
  /// go_on_to_body() was called.
  std::expected<void, Fault> feed(std::string_view bytes);
  /// The stream ended. Fails unless a message may end there.
  std::expected<void, Fault> end();
  std::expected<void, Fault> go_on_to_body();

  bool head_done() const;
  bool done() const;
  /// Whether any byte of a message has come.
  bool started() const;
  const RequestHead& request() const;
  const ResponseHead& response() const;
  /// The decoded body so far; taking it leaves nothing behind.
  std::string take_body();
  std::size_t body_bytes() const;
  /// Bytes after what was decoded.
  std::string take_rest();
  std::size_t rest_bytes() const;

 private:
  class Parser;
  class RequestParser;
  class ResponseParser;
  std::unique_ptr<Parser> parser_;
};

}  // namespace base::http
