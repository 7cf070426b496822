#pragma once

// What commands ask of a node, one thing after the other. A refusal becomes a base::Error whose
// causes are the reasons that the server gave.

#include <base/error.hpp>
#include <base/time.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "output/json_access.hpp"
#include "output/receipt.hpp"

namespace api_client {
class Client;
struct Endpoint;
}  // namespace api_client

namespace cli {

class Loop;

using Query = std::vector<std::pair<std::string, std::string>>;

/// Percent-encoded: api_path({"api", "v1", "namespaces", ns, "pods"}, {{"watch", "1"}}). Entries of
/// the query without a value are left out.
std::string api_path(std::initializer_list<std::string_view> segments, const Query& query = {});

struct Answer {
  int status = 0;
  Json body;
  std::optional<Receipt> receipt;
  bool changed = true;  ///< false: a write found everything as it was to become.
  std::vector<std::string> warnings;
};

struct WatchEvent {
  std::string type;  ///< ADDED, MODIFIED, DELETED
  Json object;
};

/// A daemon that restarts is waited for, this long.
inline constexpr base::Duration kAwayMax = std::chrono::seconds(10);
/// Between two tries to reach it again.
inline constexpr base::Duration kReconnectPause = std::chrono::milliseconds(200);

class Api {
 public:
  struct Options {
    std::vector<api_client::Endpoint> endpoints;
    std::string role;
    std::string trace_id;
    std::optional<base::Duration>
        request_max{};  ///< For one request, from its start to its whole answer.
    /// Called with "GET /path", "200 3 ms": -v.
    std::function<void(std::string_view)> trace;
    bool trace_answers = false;  ///< -vv: what the node answers, too.
  };
  Api(Loop& loop, Options options);
  ~Api();
  Api(const Api&) = delete;
  Api& operator=(const Api&) = delete;

  /// `accept`: another form of the answer than the plain object.
  base::Result<Json> get(std::string path, std::string_view accept = {});
  /// With a JSON body unless `body` is null.
  base::Result<Answer> send(std::string method, std::string path, const Json& body = nullptr,
                            std::string content_type = "application/json",
                            std::optional<base::Duration> answer_max = {},
                            std::string_view accept = {});

  /// Every line of a streamed answer until `on_line` answers false or the stream ends.
  base::Result<> lines(std::string method, std::string path, const Json& body,
                       const std::function<base::Result<bool>(std::string_view)>& on_line,
                       std::optional<base::Duration> limit = {});
  /// The bytes of an answer, as they come.
  base::Result<> download(std::string path,
                          const std::function<base::Result<>(std::string_view)>& on_bytes);
  /// Sends what `next` gives until it gives nothing.
  base::Result<Answer> upload(std::string method, std::string path, std::string content_type,
                              const std::function<base::Result<std::string>()>& next);

  /// Waits for the first change of a list after `resource_version`. True: something may have
  /// changed (also after a broken connection or when that version is no longer retained: look
  /// again). False: `limit` passed.
  base::Result<bool> wait_change(std::string path, const std::string& resource_version,
                                 base::Duration limit);

  /// Every change of a list after `resource_version` until `on_event` answers false; goes on after
  /// a broken connection. Errors: FailedPrecondition (fell behind: list again), and what `on_event`
  /// fails with.
  base::Result<> watch(std::string path, std::string resource_version,
                       const std::function<base::Result<bool>(const WatchEvent&)>& on_event);

  /// Trace id of the last refusal; empty when the last request was no refusal.
  const std::string& refusal_trace() const { return refusal_trace_; }

  /// For commands that do several things at once.
  Loop& loop() { return loop_; }
  api_client::Client& client() { return *client_; }
  /// The error of the client's last call with the server's reasons.
  base::Error refusal(base::Error error);
  /// A Status inside of a streamed answer, as the error that it stands for.
  base::Error read_refusal(const Json& status);

 private:
  template <class T>
  base::Result<T> checked(base::Result<T> result);

  Loop& loop_;
  Options options_;
  std::unique_ptr<api_client::Client> client_;
  std::string refusal_trace_;
};

}  // namespace cli
