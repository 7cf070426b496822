#pragma once

// A node's API on a unix socket, as far as the command line asks it: objects are kept in memory,
// deployments are complete as soon as they are written unless their image says otherwise. Tests add
// answers of their own.

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace cli::testing {

using Json = nlohmann::json;

struct FakeRequest {
  std::string method;
  std::string path;                            ///< Without the query.
  std::map<std::string, std::string> query;    ///< Decoded; of several of one name the last.
  std::vector<std::string> command;            ///< command=... of an exec
  std::map<std::string, std::string> headers;  ///< Lower-case names.
  std::string body;
};

struct FakeAnswer {
  int status = 200;
  Json body = nullptr;
  std::string text;  ///< Instead of `body`.
  std::string content_type = "application/json";
  std::map<std::string, std::string> headers{};
  /// An exec: output on both streams, then the exit code.
  struct Exec {
    std::string out, err;
    int exit_code = 0;
    bool echo_input = false;
  };
  std::optional<Exec> exec{};
  bool cut = false;  ///< The connection ends behind `text`, not the answer.
};

/// A Status as the API gives it.
FakeAnswer refuse(int status, const std::string& errc, const std::string& message,
                  const std::vector<std::string>& hints = {}, const Json& causes = Json::array());

class FakeNode {
 public:
  using Handler = std::function<std::optional<FakeAnswer>(const FakeRequest&)>;

  /// Answers at HOME/n1/run/api.sock.
  explicit FakeNode(const std::string& home);
  ~FakeNode();
  FakeNode(const FakeNode&) = delete;
  FakeNode& operator=(const FakeNode&) = delete;

  /// Asked before the objects; an empty answer passes on. Called on the node's thread.
  void on_request(Handler handler);
  /// Stores an object as if somebody had written it.
  void put(Json object);
  std::optional<Json> find(const std::string& kind, const std::string& name,
                           const std::string& name_space = "default") const;
  /// "METHOD /path" of every request so far.
  std::vector<std::string> requests() const;

 private:
  struct Shared;
  std::unique_ptr<Shared> shared_;
  std::thread thread_;
};

}  // namespace cli::testing
