#pragma once

#include "orchestration/deployment_sets.hpp"

namespace nexus::orchestration {

/// What an automatic rollback left on the Deployment, as its annotation hypermesh.io/rollback. It
/// counts while the Deployment's generation is the one that the rollback made.
struct RollbackMark {
  std::int64_t generation = 0;
  std::string message;
};
inline constexpr std::string_view kRollbackAnnotation = "hypermesh.io/rollback";
std::optional<RollbackMark> rollback_mark(const Metadata& meta);
std::string to_text(const RollbackMark& mark);

struct DeploymentVerdict {
  Json status;
  bool complete = false;   ///< Every replica is of the current template and available.
  bool timed_out = false;  ///< No progress within the deadline.
  std::optional<base::WallTime> again;
};
/// The status that describes the sets as they are.
DeploymentVerdict judge(const Deployment& deployment, const DeploymentSets& sets, Now now);

}  // namespace nexus::orchestration
