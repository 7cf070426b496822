#pragma once

// The values of health checks, without Asio, so that cores can use them.

#include <base/time.hpp>
#include <cstdint>
#include <nexus/workload_types.hpp>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace nexus {

/// GET; passed when the status is 200 to 399. `hosts` are tried in order until one passes: a pod
/// has an address of each family, and many programs listen on one.
struct HttpCheck {
  std::vector<std::string> hosts;
  std::uint16_t port = 0;
  std::string path = "/";
  bool tls = false;  ///< The certificate is not verified: the pod has no name to hold it to.
  std::vector<std::pair<std::string, std::string>> headers;
  bool operator==(const HttpCheck&) const = default;
};
/// Passed when a connection is accepted.
struct TcpCheck {
  std::vector<std::string> hosts;
  std::uint16_t port = 0;
  bool operator==(const TcpCheck&) const = default;
};
/// Passed when the command, run in the container, exits with 0.
struct CommandCheck {
  ContainerId container;
  std::vector<std::string> command;
  bool operator==(const CommandCheck&) const = default;
};
using Check = std::variant<HttpCheck, TcpCheck, CommandCheck>;

struct CheckResult {
  bool passed = false;
  std::string detail;  ///< Why not, for people: "GET /healthz: status 500".
  bool asked = true;   ///< false: there was no way to ask; it says nothing of the workload.
};

/// When a check runs and how many answers make a verdict. Kubernetes' defaults.
struct ProbeTiming {
  base::Duration initial_delay{0};
  base::Duration period = std::chrono::seconds(10);
  base::Duration timeout = std::chrono::seconds(1);
  std::uint32_t success_threshold = 1;
  std::uint32_t failure_threshold = 3;
  bool operator==(const ProbeTiming&) const = default;
};

}  // namespace nexus
