#pragma once

// How far a change has come, judged from the object as the API gives it. Pure.

#include <cstdint>
#include <string>

#include "output/json_access.hpp"

namespace cli {

struct RolloutState {
  enum class Phase {
    Going,
    Complete,
    Failed,      ///< Will not get there by itself: its progress deadline passed, a job failed.
    RolledBack,  ///< The cluster went back to what ran before.
    Overtaken,   ///< Somebody else wrote another template.
  } phase = Phase::Going;
  std::int64_t done = 0, total = 0;
  std::string words;  ///< "2/3 ready"
  std::string why;    ///< Of a failure, as the object says it.
};

/// What was asked for: the template and the number of replicas that the caller wrote.
struct RolloutGoal {
  std::int64_t generation = 0;  ///< metadata.generation of the write.
  Json pod_template;            ///< spec.template of the write, as stored; null: do not compare.
  Json before_template;         ///< spec.template before the write; null: there was none.
  std::int64_t progress_seconds = 0;  ///< spec.progressDeadlineSeconds; 0: not said.
};

/// By kind: Deployment and ReplicaSet (all replicas are of the new template and ready), Job (begun,
/// or over), Pod (ready or succeeded). Other kinds are complete at once.
RolloutState judge_rollout(const Json& object, const RolloutGoal& goal);

/// Revision of a Deployment, or 0.
std::int64_t revision_of(const Json& deployment);

}  // namespace cli
