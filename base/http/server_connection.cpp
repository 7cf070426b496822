#include <algorithm>
#include <base/async/event.hpp>
#include <base/http/server_connection.hpp>

#include "decoder.hpp"
#include "watchdog.hpp"

namespace base::http {
namespace {

// What is skipped of a body that nobody wanted, so that the connection can be kept.
constexpr std::size_t kSkippedBodyBytesMax = 256 * 1024;
// How long and how much is read and thrown away before a connection with unread bytes is closed:
// closed at once, the kernel would send a reset, and the peer might never see the answer.
constexpr Duration kLingerMax = std::chrono::seconds(2);
constexpr std::size_t kLingerBytesMax = 8u << 20;
constexpr std::size_t kWriteSliceBytes = 256 * 1024;
// What a peer may send ahead while it is being answered.
constexpr std::size_t kEarlyBytesMax = 64 * 1024;

}  // namespace

struct ServerConnection::State {
  State(const Executor& on, std::unique_ptr<ByteStream> bytes, ServerLimits bounds)
      : executor(on),
        stream(std::move(bytes)),
        limits(bounds),
        watchdog(std::make_unique<Watchdog>(on, *stream)) {
    reset_decoder({});
  }

  void reset_decoder(std::string first) {
    decoder = std::make_unique<Decoder>(Decoder::Kind::Request,
                                        DecoderLimits{.target_bytes_max = limits.target_bytes_max,
                                                      .header_bytes_max = limits.header_bytes_max});
    early = std::move(first);
  }

  Error read_failure(Error error) const {
    if (watchdog->expired()) return make_error(Errc::TimedOut, "the peer was too slow");
    return error;
  }

  Task<Result<>> write(std::string_view bytes) {
    while (!bytes.empty()) {
      const std::string_view slice = bytes.substr(0, kWriteSliceBytes);
      watchdog->arm(limits.stall_max);
      auto written = co_await stream->write(as_bytes(slice));
      watchdog->disarm();
      if (!written) {
        broken = true;
        co_return std::unexpected(read_failure(std::move(written).error()));
      }
      bytes.remove_prefix(slice.size());
    }
    co_return Result<>{};
  }

  Task<> linger() {
    stream->close_write();
    watchdog->arm(kLingerMax);
    std::size_t read = 0;
    while (read < kLingerBytesMax) {
      const auto bytes = co_await stream->read();
      if (!bytes || bytes->empty()) break;
      read += bytes->size();
    }
    watchdog->disarm();
  }

  Executor executor;
  std::unique_ptr<ByteStream> stream;
  ServerLimits limits;
  std::unique_ptr<Watchdog> watchdog;
  std::unique_ptr<Decoder> decoder;
  std::string early;  // Read ahead of the decoder.
  bool first = true;
  bool in_request = false;
  bool continue_sent = false;
  bool answered = false;
  bool chunked = false;
  bool closing = false;  // The answer under way is the last.
  bool broken = false;   // The stream is of no use.
};

ServerConnection::ServerConnection(const Executor& executor, std::unique_ptr<ByteStream> stream,
                                   ServerLimits limits)
    : state_(std::make_unique<State>(executor, std::move(stream), limits)) {}
ServerConnection::~ServerConnection() = default;

Task<std::expected<std::optional<RequestHead>, Fault>> ServerConnection::next_request() {
  State& s = *state_;
  if (s.broken) co_return std::nullopt;
  if (s.in_request) {
    std::size_t skipped = 0;
    while (!s.broken && !s.closing && !s.decoder->done()) {
      // Nobody who waits for leave to send a body sends one after the answer.
      if (s.decoder->request().headers.has_token("Expect", "100-continue") && !s.continue_sent)
        s.closing = true;
      if (s.closing) break;
      auto bytes = co_await read_body_some();
      if (!bytes) s.broken = true;
      if (!bytes || bytes->empty()) break;
      skipped += bytes->size();
      if (skipped > kSkippedBodyBytesMax) s.closing = true;
    }
    if (s.closing && !s.broken && !s.decoder->done()) co_await s.linger();
    if (s.closing || s.broken) co_return std::nullopt;
    s.reset_decoder(s.decoder->take_rest() + s.early);
  }
  s.in_request = s.continue_sent = s.answered = s.chunked = false;

  bool head_armed = false;
  const auto arm_head = [&] {
    if (!head_armed) s.watchdog->arm(s.limits.head_max);
    head_armed = true;
  };
  if (s.first) {
    arm_head();  // A connection is made to ask something.
  } else {
    s.watchdog->arm(s.limits.idle_max);
  }
  s.first = false;
  for (;;) {
    if (!s.early.empty()) {
      arm_head();
      if (auto fed = s.decoder->feed(std::exchange(s.early, {})); !fed) {
        s.watchdog->disarm();
        s.in_request = s.closing = true;
        co_return std::unexpected(std::move(fed).error());
      }
    }
    if (s.decoder->head_done()) break;
    auto bytes = co_await s.stream->read();
    if (!bytes || bytes->empty()) {
      s.broken = true;
      if (!s.decoder->started()) co_return std::nullopt;
      co_return std::unexpected(Fault{
          bytes ? make_error(Errc::Unavailable, "the peer closed the connection within a request")
                : s.read_failure(std::move(bytes).error()),
          0});
    }
    s.early.assign(as_text(*bytes));
  }
  s.watchdog->disarm();
  s.in_request = true;
  const RequestHead& head = s.decoder->request();
  s.closing = !head.keep_alive;
  co_return head;
}

Task<Result<Bytes>> ServerConnection::read_body_some() {
  State& s = *state_;
  const auto bad = [&](Fault fault) {
    s.closing = true;
    return std::unexpected(std::move(fault.error));
  };
  if (auto more = s.decoder->go_on_to_body(); !more) co_return bad(std::move(more).error());
  for (;;) {
    if (s.decoder->body_bytes() > 0) {
      const std::string body = s.decoder->take_body();
      const auto view = as_bytes(body);
      co_return Bytes(view.begin(), view.end());
    }
    if (s.decoder->done()) co_return Bytes{};
    if (!s.continue_sent && !s.answered &&
        s.decoder->request().headers.has_token("Expect", "100-continue")) {
      s.continue_sent = true;
      CO_TRY_DO(co_await s.write("HTTP/1.1 100 Continue\r\n\r\n"));
    }
    s.watchdog->arm(s.limits.stall_max);
    auto bytes = co_await s.stream->read();
    s.watchdog->disarm();
    if (!bytes || bytes->empty()) {
      s.broken = true;
      if (!bytes) co_return std::unexpected(s.read_failure(std::move(bytes).error()));
      co_return fail(Errc::Unavailable, "the peer closed the connection within a body");
    }
    if (auto fed = s.decoder->feed(as_text(*bytes)); !fed) co_return bad(std::move(fed).error());
  }
}

Task<Result<std::string>> ServerConnection::read_body(std::size_t bytes_max) {
  State& s = *state_;
  const auto too_large = [&] {
    s.closing = true;
    return fail(Errc::ResourceExhausted,
                "the body is larger than " + std::to_string(bytes_max) + " bytes");
  };
  if (s.decoder->request().content_length.value_or(0) > bytes_max) co_return too_large();
  const auto deadline = std::chrono::steady_clock::now() + s.limits.body_max;
  std::string body;
  for (;;) {
    CO_TRY(const Bytes bytes, co_await read_body_some());
    if (bytes.empty()) co_return body;
    if (body.size() + bytes.size() > bytes_max) co_return too_large();
    body += as_text(bytes);
    if (std::chrono::steady_clock::now() > deadline) {
      s.closing = true;
      co_return fail(Errc::TimedOut, "the body did not arrive in time");
    }
  }
}

Task<Result<>> ServerConnection::respond(int status, Headers headers, std::string body) {
  State& s = *state_;
  BASE_ASSERT(!s.answered, "a request was answered twice");
  s.answered = true;
  headers.add("Content-Length", std::to_string(body.size()));
  if (s.closing) headers.add("Connection", "close");
  std::string head = format_response_head(status, headers);
  if (body.size() <= kWriteSliceBytes) {
    head += body;
    co_return co_await s.write(head);
  }
  CO_TRY_DO(co_await s.write(head));
  co_return co_await s.write(body);
}

Task<Result<>> ServerConnection::begin_stream(int status, Headers headers) {
  State& s = *state_;
  BASE_ASSERT(!s.answered, "a request was answered twice");
  s.answered = true;
  s.chunked = s.decoder->request().version >= 11;
  if (!s.chunked) s.closing = true;
  if (s.chunked) headers.add("Transfer-Encoding", "chunked");
  if (s.closing) headers.add("Connection", "close");
  co_return co_await s.write(format_response_head(status, headers));
}

Task<Result<>> ServerConnection::write_stream(std::string_view piece) {
  State& s = *state_;
  if (piece.empty()) co_return Result<>{};
  if (!s.chunked) co_return co_await s.write(piece);
  std::string chunk;
  static constexpr char kHex[] = "0123456789abcdef";
  for (std::size_t rest = piece.size(); rest > 0; rest >>= 4)
    chunk.insert(chunk.begin(), kHex[rest & 15]);
  chunk.reserve(piece.size() + 24);
  chunk += "\r\n";
  chunk += piece;
  chunk += "\r\n";
  co_return co_await s.write(chunk);
}

Task<Result<>> ServerConnection::end_stream() {
  if (!state_->chunked) co_return Result<>{};
  co_return co_await state_->write("0\r\n\r\n");
}

bool ServerConnection::answered() const {
  return state_->answered;
}

Task<> ServerConnection::peer_gone() {
  State& s = *state_;
  while (s.early.size() < kEarlyBytesMax) {
    const auto bytes = co_await s.stream->read();
    if (!bytes || bytes->empty()) {
      s.broken = true;
      co_return;
    }
    s.early += as_text(*bytes);
  }
  // It sends instead of listening; whether it goes shows in the next write.
  Event never(s.executor);
  co_await never.wait();
}

Task<Result<std::unique_ptr<WebSocket>>> ServerConnection::upgrade(const RequestHead& head,
                                                                   std::string subprotocol,
                                                                   Headers headers,
                                                                   WebSocketLimits limits) {
  State& s = *state_;
  s.answered = s.closing = s.broken = true;
  s.watchdog.reset();
  const std::string rest = s.decoder->take_rest() + std::exchange(s.early, {});
  const auto view = as_bytes(rest);
  co_return co_await accept_web_socket(std::move(s.stream), Bytes(view.begin(), view.end()), head,
                                       std::move(subprotocol), std::move(headers), limits);
}

void ServerConnection::close_after_answer() {
  state_->closing = true;
}
void ServerConnection::close() {
  state_->broken = true;
  if (state_->stream) state_->stream->close();
}

}  // namespace base::http
