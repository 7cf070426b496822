#include "decoder.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/basic_parser.hpp>
#include <boost/beast/http/error.hpp>

namespace base::http {
namespace {

namespace beast = boost::beast;
namespace bhttp = boost::beast::http;
using boost::system::error_code;
using BodyLength = boost::optional<std::uint64_t>;

std::string text(beast::string_view view) {
  return {view.data(), view.size()};
}

}  // namespace

/// What both directions share: the bytes not yet decoded and the body that was.
class Decoder::Parser {
 public:
  explicit Parser(DecoderLimits limits) : limits_(limits) {}
  virtual ~Parser() = default;

  virtual std::size_t put(std::string_view bytes, error_code& code) = 0;
  virtual void put_end(error_code& code) = 0;
  virtual bool head_done() const = 0;
  virtual bool done() const = 0;

  std::expected<void, Fault> advance() {
    while (!done() && !(head_done() && !body_wanted_) && !pending_.empty()) {
      // Between chunks at least five bytes are to come ("0\r\n\r\n"); Beast asserts that they are
      // there.
      if (head_done() && chunked_ && chunk_rest_ == 0 && pending_.size() < 5) return {};
      error_code code;
      const std::size_t taken = put(pending_, code);
      pending_.erase(0, taken);
      if (code == bhttp::error::need_more) {
        if (head_done() && pending_.size() > limits_.chunk_line_bytes_max) {
          return refuse(400, "a chunk's size line is too long");
        }
        return {};
      }
      if (code) return fault(code);
      if (fault_) return std::unexpected(*fault_);
      if (taken == 0 && !done()) return {};
    }
    return {};
  }

  std::expected<void, Fault> fault(const error_code& code) {
    if (code == bhttp::error::header_limit) {
      // Without the end of the first line in sight it is the target that is too long.
      const bool target = request_.method.empty() && pending_.find('\n') == std::string::npos;
      return refuse(target ? 414 : 431, "the request's head is larger than " +
                                            std::to_string(limits_.header_bytes_max) + " bytes");
    }
    return refuse(400, "malformed HTTP: " + code.message());
  }
  static std::expected<void, Fault> refuse(int status, std::string why) {
    return std::unexpected(Fault{make_error(Errc::InvalidArgument, std::move(why)), status});
  }

  DecoderLimits limits_;
  std::string pending_;
  std::string body_;
  bool body_wanted_ = false;
  bool started_ = false;
  bool chunked_ = false;
  std::uint64_t chunk_rest_ = 0;  // What is to come of the chunk under way.
  std::optional<Fault> fault_;
  RequestHead request_;
  ResponseHead response_;
};

namespace {

/// Beast's hooks, the same for requests and responses.
template <bool IsRequest, class Base>
class Hooks : public Base, private bhttp::basic_parser<IsRequest> {
  using Beast = bhttp::basic_parser<IsRequest>;

 protected:
  template <class Limits>
  explicit Hooks(const Limits& limits) : Base(limits) {
    Beast::eager(false);
    Beast::header_limit(static_cast<std::uint32_t>(limits.header_bytes_max));
    Beast::body_limit(boost::none);
  }

 public:
  std::size_t put(std::string_view bytes, error_code& code) override {
    return Beast::put(boost::asio::const_buffer(bytes.data(), bytes.size()), code);
  }
  void put_end(error_code& code) override { Beast::put_eof(code); }
  bool head_done() const override { return Beast::is_header_done(); }
  bool done() const override { return Beast::is_done(); }

 protected:
  bool beast_keep_alive() const { return Beast::keep_alive(); }

 private:
  void on_request_impl(bhttp::verb, beast::string_view method, beast::string_view target,
                       int version, error_code&) override {
    this->request_.method = text(method);
    this->request_.target = text(target);
    this->request_.version = version;
    if (target.size() > this->limits_.target_bytes_max) {
      this->fault_ =
          Fault{make_error(Errc::InvalidArgument,
                           "the request's target is longer than " +
                               std::to_string(this->limits_.target_bytes_max) + " bytes"),
                414};
    }
  }
  void on_response_impl(int code, beast::string_view, int, error_code&) override {
    this->response_.status = code;
  }
  void on_field_impl(bhttp::field, beast::string_view name, beast::string_view value,
                     error_code&) override {
    if (Beast::is_header_done()) return;  // A trailer: what was decided on the head stays decided.
    auto& headers = IsRequest ? this->request_.headers : this->response_.headers;
    headers.add(text(name), text(value));
  }
  void on_header_impl(error_code&) override {
    this->chunked_ = Beast::chunked();
    if constexpr (IsRequest) {
      RequestHead& head = this->request_;
      head.keep_alive = Beast::keep_alive();
      if (const auto length = Beast::content_length()) head.content_length = *length;
      head.has_body = Beast::chunked() || head.content_length.value_or(0) > 0;
      head.web_socket = head.method == "GET" && head.version == 11 &&
                        head.headers.has_token("Connection", "upgrade") &&
                        head.headers.has_token("Upgrade", "websocket") &&
                        head.headers.has("Sec-WebSocket-Key");
      const auto coding = head.headers.all("Transfer-Encoding");
      if (!coding.empty() &&
          (coding.size() > 1 || !equal_without_case(coding.front(), "chunked"))) {
        this->fault_ = Fault{
            make_error(Errc::Unsupported, "the only transfer coding spoken here is chunked"), 501};
      }
      if (head.version == 11 && head.headers.all("Host").size() != 1) {
        this->fault_ = Fault{
            make_error(Errc::InvalidArgument, "a request of HTTP/1.1 has exactly one Host"), 400};
      }
    } else {
      this->response_.keep_alive = Beast::keep_alive();
    }
  }
  void on_body_init_impl(const BodyLength&, error_code&) override {}
  std::size_t on_body_impl(beast::string_view body, error_code&) override {
    this->body_.append(body.data(), body.size());
    return body.size();
  }
  void on_chunk_header_impl(std::uint64_t size, beast::string_view, error_code&) override {
    this->chunk_rest_ = size;
  }
  std::size_t on_chunk_body_impl(std::uint64_t, beast::string_view body, error_code&) override {
    this->chunk_rest_ -= body.size();
    this->body_.append(body.data(), body.size());
    return body.size();
  }
  void on_finish_impl(error_code&) override {}
};

}  // namespace

class Decoder::RequestParser final : public Hooks<true, Decoder::Parser> {
 public:
  explicit RequestParser(const DecoderLimits& limits) : Hooks(limits) {}
};
class Decoder::ResponseParser final : public Hooks<false, Decoder::Parser> {
 public:
  explicit ResponseParser(const DecoderLimits& limits) : Hooks(limits) {}
};

Decoder::Decoder(Kind kind, DecoderLimits limits) {
  if (kind == Kind::Request) {
    parser_ = std::make_unique<RequestParser>(limits);
  } else {
    parser_ = std::make_unique<ResponseParser>(limits);
  }
}
Decoder::~Decoder() = default;

std::expected<void, Fault> Decoder::feed(std::string_view bytes) {
  if (!bytes.empty()) parser_->started_ = true;
  parser_->pending_.append(bytes);
  return parser_->advance();
}
std::expected<void, Fault> Decoder::go_on_to_body() {
  parser_->body_wanted_ = true;
  return parser_->advance();
}
std::expected<void, Fault> Decoder::end() {
  error_code code;
  parser_->put_end(code);
  if (code)
    return std::unexpected(
        Fault{make_error(Errc::Unavailable, "the peer closed the connection within a message"), 0});
  return {};
}

bool Decoder::head_done() const {
  return parser_->head_done();
}
bool Decoder::done() const {
  return parser_->done();
}
bool Decoder::started() const {
  return parser_->started_;
}
const RequestHead& Decoder::request() const {
  return parser_->request_;
}
const ResponseHead& Decoder::response() const {
  return parser_->response_;
}
std::string Decoder::take_body() {
  return std::exchange(parser_->body_, {});
}
std::size_t Decoder::body_bytes() const {
  return parser_->body_.size();
}
std::string Decoder::take_rest() {
  return std::exchange(parser_->pending_, {});
}
std::size_t Decoder::rest_bytes() const {
  return parser_->pending_.size();
}

}  // namespace base::http
