#pragma once

// The values of the Orchestrator interface, without Asio, so that cores can use them.

#include <compare>
#include <cstdint>
#include <string>

namespace nexus {

/// Names something that runs: "Deployment" "default" "web".
struct WorkloadId {
  std::string kind, name_space, name;
  auto operator<=>(const WorkloadId&) const = default;
};

/// How far a workload is from what was asked for.
struct WorkloadState {
  std::int64_t desired = 0;  ///< Replicas, or completions of a Job.
  std::int64_t updated = 0;  ///< Of the latest revision.
  std::int64_t ready = 0;    ///< A Job: succeeded.
  std::int64_t available = 0;
  bool complete = false;  ///< All is as asked for.
  bool failed = false;    ///< It will not get there by itself; a failed rollout is rolled back.
  std::string message;    ///< One sentence.
};

}  // namespace nexus
