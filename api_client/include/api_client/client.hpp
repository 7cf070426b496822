#pragma once

// A client of the API of a node (docs/wire/api.md): what the command line, tests and other programs
// use. Asynchronous; programs that wait for one thing after the other use api_client::Blocking
// (blocking.hpp).

#include <api_client/failure.hpp>
#include <api_client/session.hpp>
#include <base/async/byte_stream.hpp>
#include <base/async/task.hpp>
#include <base/http/message.hpp>
#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace api_client {

/// Where a node's API answers: a unix socket, or HTTPS.
struct Endpoint {
  std::string name;         ///< For messages: "n1".
  std::string socket_path;  ///< Not empty: this socket; the rest is not used.
  std::string address;      ///< IP literal, without brackets.
  std::uint16_t port = 8443;
  std::string token;            ///< Bearer token.
  std::string certificate_pem;  ///< The one certificate that is accepted.
};

struct Config {
  std::vector<Endpoint> endpoints;  ///< At least one, tried in order.
  std::string role;                 ///< Act as this lower role; empty: one's own.
  std::string trace_id;  ///< Sent with every request; empty: the server makes one for each.
  /// An endpoint that has not connected, and where there are several not answered /livez, within
  /// this is passed over.
  base::Duration connect_max = std::chrono::seconds(1);
  base::Duration answer_max = std::chrono::seconds(60);  ///< Until the head of an answer.
  std::size_t body_bytes_max = 256u << 20;
};

struct Request {
  std::string method = "GET";
  std::string path;  ///< With the query, percent-encoded (see target()).
  std::string body{};
  std::string content_type = "application/json";  ///< Sent when there is a body.
  base::http::Headers headers{};
  std::optional<base::Duration> answer_max{};  ///< Instead of Config::answer_max.
};

/// Any answer, also a refusal: `failure_of` reads those.
struct Response {
  int status = 0;
  base::http::Headers headers;
  std::string body;

  bool ok() const { return status >= 200 && status < 300; }
  std::string trace_id() const;
  std::optional<Receipt> receipt() const;
  /// False when a write found everything as it was to become.
  bool changed() const;
  /// The texts of the Warning headers.
  std::vector<std::string> warnings() const;
};

/// A path with each `segment` percent-encoded: path({"api", "v1", "namespaces", ns}).
std::string path(std::initializer_list<std::string_view> segments);
/// `path` with a query of the entries whose value is not empty.
std::string target(std::string path, const std::vector<std::pair<std::string, std::string>>& query);

/// An answer that comes in pieces: a watch, logs, an archive. Destroying it ends the request.
class AnswerStream {
 public:
  virtual ~AnswerStream() = default;
  virtual const base::http::Headers& headers() const = 0;
  /// The next line without its end; empty at the end of the answer. Errors: Unavailable (cut off),
  /// ResourceExhausted (a line above 16 MiB).
  virtual base::Task<base::Result<std::optional<std::string>>> next_line() = 0;
  /// Some bytes; empty at the end.
  virtual base::Task<base::Result<base::Bytes>> read_some() = 0;
};

/// Talks to the first endpoint that answers and stays with it until it fails.
///
/// Used from one executor; one request at a time, streams and sessions have connections of their
/// own. Errors of all calls: Unavailable (no endpoint answers: the message names each and why),
/// TimedOut, NotVerified (another certificate), Forbidden (the socket's mode). A write whose
/// connection breaks after it was sent fails with TimedOut or Unavailable and says that its outcome
/// is unknown.
class Client {
 public:
  Client(const base::Executor& executor, Config config);
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  /// The answer, whatever its status.
  base::Task<base::Result<Response>> request(Request request);
  /// The answer's JSON; a refusal as the Error that the server had (with hints), and as failure().
  base::Task<base::Result<nlohmann::json>> json(Request request);
  base::Task<base::Result<nlohmann::json>> get(std::string path);
  /// Refusals as `json` does.
  base::Task<base::Result<std::unique_ptr<AnswerStream>>> stream(Request request);
  /// Sends the pieces that `next` gives until an empty one. Refusals as `json` does.
  base::Task<base::Result<Response>> upload(
      Request request, std::function<base::Task<base::Result<base::Bytes>>()> next);

  /// exec or attach: `path` with its query, as docs/wire/api.md says. Refusals as `json` does.
  base::Task<base::Result<std::unique_ptr<ExecSession>>> open_exec(std::string path);
  /// One connection to a port of a pod.
  base::Task<base::Result<std::unique_ptr<base::ByteStream>>> open_port(std::string name_space,
                                                                        std::string pod,
                                                                        std::uint16_t port);

  /// What the server said with the last refusal: trace id, causes. Empty when it was no refusal.
  const std::optional<Failure>& failure() const;
  /// What came with the last answer of json(), upload() and the like; empty before the first.
  const std::optional<Response>& last_response() const;
  /// The endpoint that answered last.
  const Endpoint& endpoint() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace api_client
