#pragma once

#include <base/error.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace nexus::api {

struct StatusCause {
  std::string reason, field, message;
};

/// Kubernetes' Status, read by whoever receives one.
struct StatusMessage {
  bool success = false;
  base::Error error;  ///< Of a failure: our code, message and hints.
  int code = 0;       ///< HTTP
  std::string reason;
  std::string trace_id;
  std::vector<StatusCause> causes;
};

/// Empty when `text` is not a Status. Takes servers of others too: without our `errc` the code
/// follows from the HTTP status and the reason.
std::optional<StatusMessage> read_status(std::string_view text);

}  // namespace nexus::api
