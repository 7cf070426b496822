#include <fmt/format.h>

#include <api_client/client.hpp>
#include <base/async/event.hpp>
#include <base/async/timeout.hpp>
#include <base/http/web_socket.hpp>
#include <nlohmann/json.hpp>

#include "api/channels.hpp"
#include "connector.hpp"
#include "exec_session.hpp"

namespace api_client {
namespace {

using base::http::ClientConnection;
using Stream = std::unique_ptr<base::ByteStream>;

constexpr std::size_t kLineBytesMax = 16u << 20;
// A write goes out on a connection that was in use so recently that its server has not closed it
// for idleness.
constexpr auto kFreshForWrites = std::chrono::seconds(5);

bool is_read(const Request& request) {
  return request.method == "GET";
}

class HttpAnswerStream final : public AnswerStream {
 public:
  HttpAnswerStream(std::unique_ptr<ClientConnection> connection, base::http::Headers headers)
      : connection_(std::move(connection)), headers_(std::move(headers)) {}

  const base::http::Headers& headers() const override { return headers_; }

  base::Task<base::Result<std::optional<std::string>>> next_line() override {
    std::size_t searched = 0;
    for (;;) {
      if (const auto end = pending_.find('\n', searched); end != std::string::npos) {
        std::string line = pending_.substr(0, end);
        pending_.erase(0, end + 1);
        co_return line;
      }
      searched = pending_.size();
      if (pending_.size() > kLineBytesMax)
        co_return base::fail(base::Errc::ResourceExhausted, "the server sends a line without end");
      CO_TRY(const base::Bytes bytes, co_await connection_->read_body_some());
      if (bytes.empty()) {
        if (pending_.empty()) co_return std::nullopt;
        co_return std::exchange(pending_, {});
      }
      pending_ += base::as_text(bytes);
    }
  }

  base::Task<base::Result<base::Bytes>> read_some() override {
    if (!pending_.empty()) {
      const std::string rest = std::exchange(pending_, {});
      const auto view = base::as_bytes(rest);
      co_return base::Bytes(view.begin(), view.end());
    }
    co_return co_await connection_->read_body_some();
  }

 private:
  std::unique_ptr<ClientConnection> connection_;
  base::http::Headers headers_;
  std::string pending_;
};

// Sends all pieces of an upload; the server may answer before the end, and then nobody listens any
// more.
base::Task<base::Result<base::http::ResponseHead>> send_pieces(
    ClientConnection& connection, std::function<base::Task<base::Result<base::Bytes>>()>& next) {
  for (;;) {
    CO_TRY(const base::Bytes piece, co_await next());
    if (piece.empty()) break;
    if (!co_await connection.send_some(piece)) break;
  }
  (void)co_await connection.end_send();
  // The answer is read by the other branch.
  base::Event never(co_await base::asio::this_coro::executor);
  co_await never.wait();
  co_return base::fail(base::Errc::Cancelled, "the upload");
}

}  // namespace

struct Client::State {
  State(const base::Executor& on, Config settings)
      : executor(on), config(std::move(settings)), connector(config) {}

  base::Duration answer_max(const Request& request) const {
    return request.answer_max.value_or(config.answer_max);
  }

  base::http::Headers headers_for(const Request& request) const {
    base::http::Headers headers = connector.headers();
    if (!request.body.empty()) headers.add("Content-Type", request.content_type);
    if (!request.headers.get("Accept")) headers.add("Accept", "application/json");
    for (const auto& entry : request.headers.entries()) headers.add(entry.name, entry.value);
    return headers;
  }

  base::Task<base::Result<std::unique_ptr<ClientConnection>>> take_connection(bool for_write,
                                                                              bool& reused) {
    reused =
        idle && (!for_write || std::chrono::steady_clock::now() - idle_since < kFreshForWrites);
    if (reused) co_return std::move(idle);
    CO_TRY(Stream stream, co_await connector.connect());
    co_return std::make_unique<ClientConnection>(std::move(stream));
  }

  // Sends the request and reads the head of the answer. A read is asked again elsewhere when a
  // connection breaks; a write whose connection broke may have been carried out.
  base::Task<base::Result<base::http::ResponseHead>> ask(
      const Request& request, std::unique_ptr<ClientConnection>& connection) {
    const bool read = is_read(request);
    std::size_t attempts =
        config.endpoints.size() + 1;  // One more for a connection that the server let go.
    for (;;) {
      bool reused = false;
      CO_TRY(connection, co_await take_connection(!read, reused));
      base::Error error;
      auto sent = co_await connection->send(request.method, request.path, headers_for(request),
                                            request.body);
      if (sent) {
        auto head = co_await base::with_timeout(connection->read_head(), answer_max(request),
                                                describe(connector.endpoint()));
        if (head) co_return std::move(head);
        error = std::move(head).error();
      } else {
        error = std::move(sent).error();
      }
      connection.reset();
      if (!reused) connector.pass_over();
      if (error.code == base::Errc::Cancelled) co_return std::unexpected(std::move(error));
      if (!read) {
        error.hints.push_back("whether it was carried out is not known: look before you try again");
        co_return std::unexpected(std::move(error));
      }
      if (--attempts == 0) co_return std::unexpected(std::move(error));
    }
  }

  base::Task<base::Result<Response>> finish(std::unique_ptr<ClientConnection> connection,
                                            base::http::ResponseHead head) {
    Response response{head.status, std::move(head.headers), {}};
    for (;;) {
      CO_TRY(const base::Bytes bytes,
             co_await base::with_timeout(connection->read_body_some(), config.answer_max,
                                         describe(connector.endpoint())));
      if (bytes.empty()) break;
      if (response.body.size() + bytes.size() > config.body_bytes_max) {
        co_return base::fail(
            base::Errc::ResourceExhausted,
            fmt::format("the answer is larger than {} bytes", config.body_bytes_max));
      }
      response.body += base::as_text(bytes);
    }
    if (connection->reusable()) {
      idle = std::move(connection);
      idle_since = std::chrono::steady_clock::now();
    }
    co_return response;
  }

  base::Error refused(int status, std::string_view body) {
    failure = failure_of(status, body);
    return failure->error;
  }

  base::Task<base::Result<std::unique_ptr<base::http::WebSocket>>> open_web_socket(
      std::string path) {
    failure.reset();
    CO_TRY(Stream stream, co_await connector.connect());
    base::http::UpgradeRefusal refusal;
    auto socket = co_await base::http::connect_web_socket(
        std::move(stream), connector.host(), std::move(path), connector.headers(),
        {std::string(nexus::api::kChannelProtocolV5), std::string(nexus::api::kChannelProtocolV4)},
        refusal);
    if (!socket && refusal.head.status != 0)
      co_return std::unexpected(refused(refusal.head.status, refusal.body));
    co_return std::move(socket);
  }

  base::Executor executor;
  Config config;
  Connector connector;
  std::unique_ptr<ClientConnection> idle;
  std::chrono::steady_clock::time_point idle_since;
  std::optional<Failure> failure;
  std::optional<Response> last_response;
};

Client::Client(const base::Executor& executor, Config config)
    : state_(std::make_unique<State>(executor, std::move(config))) {
  BASE_ASSERT(!state_->config.endpoints.empty(), "a client needs an endpoint");
}
Client::~Client() = default;

base::Task<base::Result<Response>> Client::request(Request request) {
  std::unique_ptr<ClientConnection> connection;
  CO_TRY(auto head, co_await state_->ask(request, connection));
  co_return co_await state_->finish(std::move(connection), std::move(head));
}

base::Task<base::Result<nlohmann::json>> Client::json(Request request) {
  state_->failure.reset();
  state_->last_response.reset();
  CO_TRY(Response response, co_await this->request(std::move(request)));
  state_->last_response = std::move(response);
  const Response& answer = *state_->last_response;
  if (!answer.ok()) co_return std::unexpected(state_->refused(answer.status, answer.body));
  if (answer.body.empty()) co_return nlohmann::json();
  auto body = nlohmann::json::parse(answer.body, nullptr, false);
  if (body.is_discarded())
    co_return base::fail(base::Errc::DataLoss, "the server's answer is not JSON");
  co_return body;
}

base::Task<base::Result<nlohmann::json>> Client::get(std::string path) {
  return json(Request{.path = std::move(path)});
}

base::Task<base::Result<std::unique_ptr<AnswerStream>>> Client::stream(Request request) {
  State& s = *state_;
  s.failure.reset();
  // A stream keeps its connection: the one for requests stays as it is.
  auto idle = std::move(s.idle);
  std::unique_ptr<ClientConnection> connection;
  auto head = co_await s.ask(request, connection);
  s.idle = std::move(idle);
  if (!head) co_return std::unexpected(std::move(head).error());
  if (head->status >= 300) {
    CO_TRY(const std::string body, co_await connection->read_body(s.config.body_bytes_max));
    co_return std::unexpected(s.refused(head->status, body));
  }
  co_return std::make_unique<HttpAnswerStream>(std::move(connection), std::move(head->headers));
}

base::Task<base::Result<Response>> Client::upload(
    Request request, std::function<base::Task<base::Result<base::Bytes>>()> next) {
  using namespace base::asio::experimental::awaitable_operators;
  State& s = *state_;
  s.failure.reset();
  s.last_response.reset();
  CO_TRY(Stream stream, co_await s.connector.connect());
  auto connection = std::make_unique<ClientConnection>(std::move(stream));
  base::http::Headers headers = s.headers_for(request);
  headers.add("Content-Type", request.content_type);
  CO_TRY_DO(co_await connection->begin_send(request.method, request.path, std::move(headers)));
  auto first = co_await (send_pieces(*connection, next) || connection->read_head());
  auto head = std::visit(
      [](auto&& result) -> base::Result<base::http::ResponseHead> {
        return std::forward<decltype(result)>(result);
      },
      std::move(first));
  if (!head) co_return std::unexpected(std::move(head).error());
  CO_TRY(Response response, co_await s.finish(std::move(connection), *std::move(head)));
  s.last_response = response;
  if (!response.ok()) co_return std::unexpected(s.refused(response.status, response.body));
  co_return response;
}

base::Task<base::Result<std::unique_ptr<ExecSession>>> Client::open_exec(std::string path) {
  CO_TRY(auto socket, co_await state_->open_web_socket(std::move(path)));
  co_return make_exec_session(std::move(socket));
}

base::Task<base::Result<Stream>> Client::open_port(std::string name_space, std::string pod,
                                                   std::uint16_t port) {
  std::string where =
      target(path({"api", "v1", "namespaces", name_space, "pods", pod, "portforward"}),
             {{"ports", std::to_string(port)}});
  CO_TRY(auto socket, co_await state_->open_web_socket(std::move(where)));
  co_return make_port_stream(state_->executor, std::move(socket));
}

const std::optional<Failure>& Client::failure() const {
  return state_->failure;
}
const std::optional<Response>& Client::last_response() const {
  return state_->last_response;
}
const Endpoint& Client::endpoint() const {
  return state_->connector.endpoint();
}

}  // namespace api_client
