#include <base/http/client_connection.hpp>

#include "decoder.hpp"

namespace base::http {
namespace {

// An answer's head of ours is small; this bounds what a stranger on the port can make us keep.
constexpr std::size_t kHeaderBytesMax = 64 * 1024;
constexpr std::size_t kInterimAnswersMax = 8;

std::string chunk_head(std::size_t bytes) {
  static constexpr char kHex[] = "0123456789abcdef";
  std::string head;
  for (; bytes > 0; bytes >>= 4) head.insert(head.begin(), kHex[bytes & 15]);
  return head + "\r\n";
}

}  // namespace

struct ClientConnection::State {
  explicit State(std::unique_ptr<ByteStream> bytes) : stream(std::move(bytes)) {}

  void expect_answer(std::string first) {
    decoder = std::make_unique<Decoder>(Decoder::Kind::Response,
                                        DecoderLimits{.header_bytes_max = kHeaderBytesMax});
    early = std::move(first);
  }
  static Error damaged(Fault fault) {
    if (fault.status != 0) fault.error.code = Errc::DataLoss;
    return std::move(fault.error);
  }
  Task<Result<>> write(std::string_view bytes) {
    co_return co_await stream->write(as_bytes(bytes));
  }

  std::unique_ptr<ByteStream> stream;
  std::unique_ptr<Decoder> decoder;
  std::string early;
  bool sent = false;
  bool ended = false;  // The peer closed its side.
};

ClientConnection::ClientConnection(std::unique_ptr<ByteStream> stream)
    : state_(std::make_unique<State>(std::move(stream))) {}
ClientConnection::~ClientConnection() = default;

Task<Result<>> ClientConnection::send(std::string method, std::string target, Headers headers,
                                      std::string body) {
  State& s = *state_;
  if (!body.empty() || method == "POST" || method == "PUT" || method == "PATCH") {
    headers.add("Content-Length", std::to_string(body.size()));
  }
  s.expect_answer(s.decoder ? s.decoder->take_rest() : std::string{});
  s.sent = true;
  co_return co_await s.write(format_request_head(method, target, headers) + body);
}

Task<Result<>> ClientConnection::begin_send(std::string method, std::string target,
                                            Headers headers) {
  State& s = *state_;
  headers.add("Transfer-Encoding", "chunked");
  s.expect_answer(s.decoder ? s.decoder->take_rest() : std::string{});
  s.sent = true;
  co_return co_await s.write(format_request_head(method, target, headers));
}

Task<Result<>> ClientConnection::send_some(BytesView piece) {
  if (piece.empty()) co_return Result<>{};
  std::string chunk = chunk_head(piece.size());
  chunk += as_text(piece);
  chunk += "\r\n";
  co_return co_await state_->write(chunk);
}

Task<Result<>> ClientConnection::end_send() {
  co_return co_await state_->write("0\r\n\r\n");
}

Task<Result<ResponseHead>> ClientConnection::read_head() {
  State& s = *state_;
  BASE_ASSERT(s.sent, "an answer is read before a request is sent");
  std::size_t interim = 0;
  for (;;) {
    if (!s.early.empty()) {
      if (auto fed = s.decoder->feed(std::exchange(s.early, {})); !fed)
        co_return std::unexpected(State::damaged(std::move(fed).error()));
    }
    if (s.decoder->head_done()) {
      const int status = s.decoder->response().status;
      if (status >= 200 || status == 101) co_return s.decoder->response();
      if (++interim > kInterimAnswersMax)
        co_return fail(Errc::DataLoss, "the server only sends interim answers");
      s.expect_answer(s.decoder->take_rest());
      continue;
    }
    CO_TRY(const Bytes bytes, co_await s.stream->read());
    if (bytes.empty()) {
      s.ended = true;
      co_return fail(Errc::Unavailable, s.decoder->started()
                                            ? "the server closed the connection within its answer"
                                            : "the server closed the connection without an answer");
    }
    s.early.assign(as_text(bytes));
  }
}

Task<Result<Bytes>> ClientConnection::read_body_some() {
  State& s = *state_;
  if (auto more = s.decoder->go_on_to_body(); !more)
    co_return std::unexpected(State::damaged(std::move(more).error()));
  for (;;) {
    if (s.decoder->body_bytes() > 0) {
      const std::string body = s.decoder->take_body();
      const auto view = as_bytes(body);
      co_return Bytes(view.begin(), view.end());
    }
    if (s.decoder->done()) co_return Bytes{};
    CO_TRY(const Bytes bytes, co_await s.stream->read());
    if (bytes.empty()) {
      s.ended = true;
      if (auto end = s.decoder->end(); !end)
        co_return fail(Errc::Unavailable, "the server cut its answer off");
      co_return Bytes{};
    }
    if (auto fed = s.decoder->feed(as_text(bytes)); !fed)
      co_return std::unexpected(State::damaged(std::move(fed).error()));
  }
}

Task<Result<std::string>> ClientConnection::read_body(std::size_t bytes_max) {
  std::string body;
  for (;;) {
    CO_TRY(const Bytes bytes, co_await read_body_some());
    if (bytes.empty()) co_return body;
    if (body.size() + bytes.size() > bytes_max) {
      co_return fail(Errc::ResourceExhausted,
                     "the server's answer is larger than " + std::to_string(bytes_max) + " bytes");
    }
    body += as_text(bytes);
  }
}

bool ClientConnection::reusable() const {
  const State& s = *state_;
  if (s.ended) return false;
  if (!s.sent) return true;
  return s.decoder->done() && s.decoder->response().keep_alive;
}

void ClientConnection::close() {
  state_->stream->close();
}

}  // namespace base::http
