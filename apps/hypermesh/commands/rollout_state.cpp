#include "commands/rollout_state.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <orchestration/views.hpp>

namespace cli {
namespace {

using Phase = RolloutState::Phase;

const Json* condition(const Json& object, std::string_view type) {
  for (const Json& entry : list_at(object, {"status", "conditions"})) {
    if (text_at(entry, {"type"}) == type) return &entry;
  }
  return nullptr;
}

bool is_true(const Json* condition) {
  return condition != nullptr && text_at(*condition, {"status"}) == "True";
}

RolloutState judge_deployment(const Json& object, const RolloutGoal& goal) {
  const nexus::orchestration::Rollout now = nexus::orchestration::rollout(object);
  RolloutState state;
  state.total = now.desired;
  // Pods of the old template may be ready too: what counts are new ones that are.
  const std::int64_t old = std::max<std::int64_t>(0, now.total - now.updated);
  state.done = now.observed ? std::clamp<std::int64_t>(std::min(now.updated, now.available - old),
                                                       0, std::max<std::int64_t>(now.desired, 0))
                            : 0;
  state.words = fmt::format("{}/{} ready", state.done, state.total);
  if (old > 0) state.words += fmt::format("   {} old", old);
  const bool other_template =
      !goal.pod_template.is_null() && at(object, {"spec", "template"}) != goal.pod_template;
  if (number_at(object, {"metadata", "generation"}) > goal.generation && other_template) {
    const bool back = now.rolled_back || at(object, {"spec", "template"}) == goal.before_template;
    state.phase = back ? Phase::RolledBack : Phase::Overtaken;
    if (now.rolled_back) state.why = now.message;
    return state;
  }
  if (flag_at(object, {"spec", "paused"})) {
    // It stands still because somebody wants that: there is nothing to wait for.
    state.words += "   paused";
    if (now.observed) state.phase = Phase::Complete;
  } else if (now.failed && !now.rolled_back) {
    state.phase = Phase::Failed;
    state.why = now.message.empty() ? "its progress deadline passed" : now.message;
  } else if (now.observed && now.updated >= now.desired && now.total <= now.updated &&
             now.available >= now.updated) {
    state.phase = Phase::Complete;
  }
  return state;
}

RolloutState judge_replica_set(const Json& object) {
  RolloutState state;
  state.total = number_at(object, {"spec", "replicas"}, 1);
  const bool seen = number_at(object, {"status", "observedGeneration"}) >=
                    number_at(object, {"metadata", "generation"});
  state.done = seen ? std::min(state.total, number_at(object, {"status", "availableReplicas"})) : 0;
  state.words = fmt::format("{}/{} ready", state.done, state.total);
  if (seen && state.done == state.total && number_at(object, {"status", "replicas"}) == state.total)
    state.phase = Phase::Complete;
  return state;
}

RolloutState judge_job(const Json& object) {
  RolloutState state;
  const std::int64_t active = number_at(object, {"status", "active"});
  const std::int64_t succeeded = number_at(object, {"status", "succeeded"});
  const std::int64_t failed = number_at(object, {"status", "failed"});
  state.words = fmt::format("{} running, {} succeeded, {} failed", active, succeeded, failed);
  if (const Json* failure = condition(object, "Failed"); is_true(failure)) {
    state.phase = Phase::Failed;
    state.why = text_at(*failure, {"message"});
    if (state.why.empty()) state.why = text_at(*failure, {"reason"});
  } else if (is_true(condition(object, "Complete")) || active > 0 ||
             flag_at(object, {"spec", "suspend"})) {
    state.phase = Phase::Complete;
  }
  return state;
}

RolloutState judge_pod(const Json& object) {
  RolloutState state;
  state.total = 1;
  const std::string phase = text_at(object, {"status", "phase"});
  state.words = phase.empty() ? "Pending" : phase;
  if (phase == "Failed") {
    state.phase = Phase::Failed;
    state.why = text_at(object, {"status", "message"});
    if (state.why.empty()) state.why = text_at(object, {"status", "reason"});
    if (state.why.empty()) state.why = "a container failed";
  } else if (phase == "Succeeded" || is_true(condition(object, "Ready"))) {
    state.phase = Phase::Complete;
    state.done = 1;
  }
  return state;
}

}  // namespace

RolloutState judge_rollout(const Json& object, const RolloutGoal& goal) {
  const std::string kind = text_at(object, {"kind"});
  if (kind == "Deployment") return judge_deployment(object, goal);
  if (kind == "ReplicaSet") return judge_replica_set(object);
  if (kind == "Job") return judge_job(object);
  if (kind == "Pod") return judge_pod(object);
  RolloutState state;
  state.phase = Phase::Complete;
  return state;
}

std::int64_t revision_of(const Json& deployment) {
  const std::string text =
      text_at(deployment, {"metadata", "annotations", "deployment.kubernetes.io/revision"});
  std::int64_t revision = 0;
  std::from_chars(text.data(), text.data() + text.size(), revision);
  return revision;
}

}  // namespace cli
