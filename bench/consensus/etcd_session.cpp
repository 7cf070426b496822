#include "etcd_session.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>

namespace bench {

namespace {

constexpr std::size_t kOutgoingBytes = 64u << 10;  // Gathered for one send, at least.
constexpr std::size_t kReasonBytesMax = 512;

nghttp2_nv header(std::string_view name, std::string_view value) {
  // nghttp2 only reads them, and copies them when it keeps them.
  return {reinterpret_cast<std::uint8_t*>(const_cast<char*>(name.data())),
          reinterpret_cast<std::uint8_t*>(const_cast<char*>(value.data())), name.size(),
          value.size(), NGHTTP2_NV_FLAG_NONE};
}

std::optional<int> number(std::string_view text) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace

/// A request and what has come of its answer.
struct EtcdSession::Call {
  Operation operation;
  base::Bytes request;
  std::size_t request_sent = 0;
  base::Bytes answer;
  bool too_long = false;
  std::optional<int> http_status, grpc_status;
  std::string grpc_message;

  base::Result<> outcome(std::uint32_t stream_error) const {
    if (stream_error != 0)
      return base::fail(base::Errc::Unavailable, fmt::format("the stream was reset: {}",
                                                             nghttp2_http2_strerror(stream_error)));
    if (http_status != 200)
      return base::fail(base::Errc::Unavailable,
                        fmt::format("the HTTP status is {}; must be 200", http_status.value_or(0)));
    if (!grpc_status) return base::fail(base::Errc::DataLoss, "an answer without a grpc-status");
    if (grpc_status != 0)
      return base::fail(base::Errc::Unavailable,
                        fmt::format("gRPC status {}: {}", *grpc_status, grpc_message));
    if (too_long)
      return base::fail(base::Errc::DataLoss,
                        fmt::format("an answer of more than {} bytes", kAnswerBytesMax));
    return check_answer(operation, answer);
  }
};

// nghttp2's calls. The user data is the session; a stream's is its Call.
struct EtcdSession::Callbacks {
  static EtcdSession& self(void* user) { return *static_cast<EtcdSession*>(user); }
  static Call* call_of(nghttp2_session* session, std::int32_t stream) {
    return static_cast<Call*>(nghttp2_session_get_stream_user_data(session, stream));
  }

  static ssize_t request(nghttp2_session*, std::int32_t, std::uint8_t* out, std::size_t room,
                         std::uint32_t* flags, nghttp2_data_source* source, void*) {
    auto& call = *static_cast<Call*>(source->ptr);
    const std::size_t bytes = std::min(room, call.request.size() - call.request_sent);
    std::copy_n(call.request.begin() + static_cast<std::ptrdiff_t>(call.request_sent), bytes, out);
    call.request_sent += bytes;
    if (call.request_sent == call.request.size()) *flags |= NGHTTP2_DATA_FLAG_EOF;
    return static_cast<ssize_t>(bytes);
  }

  static int header(nghttp2_session* session, const nghttp2_frame* frame, const std::uint8_t* name,
                    std::size_t name_bytes, const std::uint8_t* value, std::size_t value_bytes,
                    std::uint8_t, void*) {
    Call* call = call_of(session, frame->hd.stream_id);
    if (call == nullptr) return 0;
    const std::string_view key = base::as_text({name, name_bytes});
    const std::string_view text = base::as_text({value, value_bytes});
    if (key == ":status") call->http_status = number(text);
    if (key == "grpc-status") call->grpc_status = number(text);
    if (key == "grpc-message") call->grpc_message = text.substr(0, kReasonBytesMax);
    return 0;
  }

  static int data(nghttp2_session* session, std::uint8_t, std::int32_t stream,
                  const std::uint8_t* bytes, std::size_t count, void*) {
    Call* call = call_of(session, stream);
    if (call == nullptr) return 0;
    if (count > kAnswerBytesMax - call->answer.size()) {
      call->too_long = true;
    } else {
      call->answer.insert(call->answer.end(), bytes, bytes + count);
    }
    return 0;
  }

  static int closed(nghttp2_session* session, std::int32_t stream, std::uint32_t error,
                    void* user) {
    if (Call* call = call_of(session, stream)) self(user).end(*call, error);
    return 0;
  }

  static int frame(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    if (frame->hd.type != NGHTTP2_GOAWAY) return 0;
    const auto& goaway = frame->goaway;
    self(user).farewell_ = fmt::format(
        "{} {}", nghttp2_http2_strerror(goaway.error_code),
        base::as_text({goaway.opaque_data, std::min(goaway.opaque_data_len, kReasonBytesMax)}));
    return 0;
  }

  static int error(nghttp2_session*, int, const char* text, std::size_t bytes, void* user) {
    self(user).broken_rule_ = std::string_view(text, std::min(bytes, kReasonBytesMax));
    return 0;
  }
};

EtcdSession::EtcdSession(std::string authority, Ended ended)
    : authority_(std::move(authority)), ended_(std::move(ended)) {
  nghttp2_session_callbacks* callbacks = nullptr;
  BASE_ASSERT(nghttp2_session_callbacks_new(&callbacks) == 0, "out of memory");
  nghttp2_session_callbacks_set_on_header_callback(callbacks, Callbacks::header);
  nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, Callbacks::data);
  nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, Callbacks::closed);
  nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, Callbacks::frame);
  nghttp2_session_callbacks_set_error_callback2(callbacks, Callbacks::error);
  nghttp2_session* session = nullptr;
  const int made = nghttp2_session_client_new(&session, callbacks, this);
  nghttp2_session_callbacks_del(callbacks);
  BASE_ASSERT(made == 0, "out of memory");
  session_.reset(session);
  const nghttp2_settings_entry no_push{NGHTTP2_SETTINGS_ENABLE_PUSH, 0};
  BASE_ASSERT(nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, &no_push, 1) == 0,
              "a session takes its settings");
}

EtcdSession::~EtcdSession() = default;

base::Result<> EtcdSession::begin(const Operation& operation) {
  if (idle_.empty()) idle_.push_back(calls_.emplace_back(std::make_unique<Call>()).get());
  Call& call = *idle_.back();
  call = Call{.operation = operation, .request = encode_request(operation)};
  const std::array headers{header(":method", "POST"),
                           header(":scheme", "http"),
                           header(":path", operation.read ? kRangePath : kPutPath),
                           header(":authority", authority_),
                           header("content-type", "application/grpc"),
                           header("te", "trailers")};
  nghttp2_data_provider body{};
  body.source.ptr = &call;
  body.read_callback = Callbacks::request;
  const std::int32_t stream =
      nghttp2_submit_request(session_.get(), nullptr, headers.data(), headers.size(), &body, &call);
  if (stream < 0)
    return base::fail(base::Errc::Unavailable,
                      fmt::format("a request is not taken: {}", nghttp2_strerror(stream)));
  idle_.pop_back();
  return {};
}

void EtcdSession::end(Call& call, std::uint32_t stream_error) {
  ended_(call.operation, call.outcome(stream_error));
  idle_.push_back(&call);
}

base::Result<> EtcdSession::receive(base::BytesView bytes) {
  const ssize_t taken = nghttp2_session_mem_recv(session_.get(), bytes.data(), bytes.size());
  if (taken < 0)
    return base::fail(base::Errc::DataLoss, fmt::format("what the member sends is not HTTP/2: {}",
                                                        nghttp2_strerror(static_cast<int>(taken))));
  if (!farewell_.empty())
    return base::fail(base::Errc::Unavailable, "the member ends the connection: " + farewell_);
  return {};
}

base::Result<base::BytesView> EtcdSession::to_send() {
  if (sent_ == outgoing_.size()) outgoing_.clear(), sent_ = 0;
  while (outgoing_.size() < kOutgoingBytes) {
    const std::uint8_t* frame = nullptr;
    const ssize_t bytes = nghttp2_session_mem_send(session_.get(), &frame);
    if (bytes < 0)
      return base::fail(base::Errc::Internal,
                        fmt::format("HTTP/2: {}", nghttp2_strerror(static_cast<int>(bytes))));
    if (bytes == 0) break;
    outgoing_.insert(outgoing_.end(), frame, frame + bytes);
  }
  // nghttp2 answers what breaks the rules with a farewell of its own, and is then done.
  if (nghttp2_session_want_read(session_.get()) == 0)
    return base::fail(base::Errc::DataLoss, "what the member sent breaks HTTP/2: " + broken_rule_);
  return base::BytesView(outgoing_).subspan(sent_);
}

void EtcdSession::sent(std::size_t bytes) {
  BASE_ASSERT(bytes <= outgoing_.size() - sent_, "more was sent than there was");
  sent_ += bytes;
}

}  // namespace bench
