#pragma once

#include <api_client/client.hpp>
#include <base/http/client_connection.hpp>

namespace api_client {

/// Finds an endpoint that answers, and stays with it.
class Connector {
 public:
  explicit Connector(const Config& config) : config_(config) {}

  /// A connection to the current endpoint, or to the first other one that answers.
  base::Task<base::Result<std::unique_ptr<base::ByteStream>>> connect();
  /// The current endpoint failed: the next connect() begins with the one after it.
  void pass_over();
  const Endpoint& endpoint() const { return config_.endpoints[current_]; }
  /// Host, Authorization and our own headers for the current endpoint.
  base::http::Headers headers() const;
  std::string host() const;

 private:
  base::Task<base::Result<std::unique_ptr<base::ByteStream>>> open(const Endpoint& endpoint) const;
  base::Task<base::Result<std::unique_ptr<base::ByteStream>>> open_and_ask(
      const Endpoint& endpoint) const;

  const Config& config_;
  std::size_t current_ = 0;
};

/// "n1 (unix /run/api.sock)", "n1 ([fd00::1]:8443)".
std::string describe(const Endpoint& endpoint);

}  // namespace api_client
