#include "orchestration/deployment_status.hpp"

#include <fmt/format.h>

#include "orchestration/conditions.hpp"
#include "orchestration/json_read.hpp"

namespace nexus::orchestration {

namespace {

struct Totals {
  std::int32_t replicas = 0, updated = 0, ready = 0, available = 0, wanted = 0;
};

Totals totals(const DeploymentSets& sets) {
  Totals sum;
  for (const SetDraft& set : sets.sets) {
    // A rollout is over when nobody is answered by an old pod any more.
    sum.replicas += set.counts.active + set.counts.leaving;
    sum.ready += set.counts.ready;
    sum.available += set.counts.available;
    sum.wanted += set.set.replicas;
  }
  if (const SetDraft* current = sets.current()) sum.updated = current->counts.active;
  return sum;
}

bool made_progress(const Json& before, const Totals& now) {
  const auto was = [&](std::string_view key) { return number_or(before, key, 0); };
  const auto old_before = was("replicas") - was("updatedReplicas");
  return now.updated > was("updatedReplicas") || now.replicas - now.updated < old_before ||
         now.ready > was("readyReplicas") || now.available > was("availableReplicas");
}

class Judge {
 public:
  Judge(const Deployment& deployment, const DeploymentSets& sets, Now now)
      : deployment_(deployment),
        sets_(sets),
        now_(now),
        before_(at(deployment.object->json, "status")),
        sum_(totals(sets)) {}

  DeploymentVerdict judge() {
    verdict_.complete = sets_.current() != nullptr && sum_.updated == deployment_.replicas &&
                        sum_.replicas == deployment_.replicas &&
                        sum_.available == deployment_.replicas;
    Json& status = verdict_.status;
    status = before_.is_object() ? before_ : Json::object();
    status["observedGeneration"] = deployment_.meta.generation;
    status["replicas"] = sum_.replicas;
    status["updatedReplicas"] = sum_.updated;
    status["readyReplicas"] = sum_.ready;
    status["availableReplicas"] = sum_.available;
    status["unavailableReplicas"] =
        std::max(0, std::max(sum_.wanted, deployment_.replicas) - sum_.available);
    availability();
    progress();
    return std::move(verdict_);
  }

 private:
  void availability() {
    const bool enough = sum_.available >= deployment_.replicas - deployment_.unavailable();
    set({.type = "Available",
         .status = enough ? "True" : "False",
         .reason = enough ? "MinimumReplicasAvailable" : "MinimumReplicasUnavailable",
         .message = enough ? "Deployment has minimum availability."
                           : "Deployment does not have minimum availability."});
  }

  // The condition names the replica set it speaks of: another name means that another rollout has
  // begun, whose deadline starts now.
  void progress() {
    const Json* condition = find_condition(before_, "Progressing");
    const std::string reason = condition == nullptr ? "" : text(*condition, "reason");
    if (deployment_.paused) {
      return set({.type = "Progressing",
                  .status = "Unknown",
                  .reason = "DeploymentPaused",
                  .message = "Deployment is paused"});
    }
    const SetDraft* current = sets_.current();
    if (current == nullptr) return;  // the set is made by this plan, or by the next one
    const std::string name = fmt::format("\"{}\"", current->set.meta.name);
    if (const auto mark = rollback_mark(deployment_.meta);
        mark && mark->generation == deployment_.meta.generation) {
      return set({.type = "Progressing",
                  .status = "True",
                  .reason = "RolledBack",
                  .message = mark->message});
    }
    const bool same = condition != nullptr && text(*condition, "message").contains(name) &&
                      reason != "RolledBack";
    if (!same) {
      if (verdict_.complete) return finished(name);
      const bool resumed = reason == "DeploymentPaused";
      return set({.type = "Progressing",
                  .status = "True",
                  .reason = resumed ? "DeploymentResumed" : "NewReplicaSetCreated",
                  .message = fmt::format("Rollout to replica set {} has begun.", name)},
                 true);
    }
    // Once complete, a rollout stays so: pods that fail later are no failed rollout.
    if (reason == "NewReplicaSetAvailable" && sum_.replicas == sum_.updated) return;
    if (verdict_.complete) return finished(name);
    if (made_progress(before_, sum_)) {
      return set({.type = "Progressing",
                  .status = "True",
                  .reason = "ReplicaSetUpdated",
                  .message = fmt::format("ReplicaSet {} is progressing.", name)},
                 true);
    }
    deadline(*condition, reason, name);
  }

  void finished(const std::string& name) {
    set({.type = "Progressing",
         .status = "True",
         .reason = "NewReplicaSetAvailable",
         .message = fmt::format("ReplicaSet {} has successfully progressed.", name)});
  }

  void deadline(const Json& condition, const std::string& reason, const std::string& name) {
    verdict_.timed_out = reason == "ProgressDeadlineExceeded";
    if (verdict_.timed_out || deployment_.replicas == 0) return;
    const auto since = time(condition, "lastUpdateTime");
    if (!since) return;
    const base::WallTime due = *since + std::chrono::seconds(deployment_.progress_deadline_seconds);
    if (now_.wall < due) {
      verdict_.again = due;
      return;
    }
    verdict_.timed_out = true;
    set({.type = "Progressing",
         .status = "False",
         .reason = "ProgressDeadlineExceeded",
         .message = fmt::format(
             "ReplicaSet {} made no progress for {} s: {} of {} updated replicas are available.",
             name, deployment_.progress_deadline_seconds, sets_.current()->counts.available,
             deployment_.replicas)},
        true);
  }

  void set(const Condition& condition, bool touch = false) {
    set_condition(verdict_.status["conditions"], condition, now_.wall, true, touch);
  }

  const Deployment& deployment_;
  const DeploymentSets& sets_;
  Now now_;
  const Json& before_;
  Totals sum_;
  DeploymentVerdict verdict_;
};

}  // namespace

std::optional<RollbackMark> rollback_mark(const Metadata& meta) {
  const std::string written = meta.annotation(std::string(kRollbackAnnotation));
  if (written.empty()) return std::nullopt;
  const Json json = Json::parse(written, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return std::nullopt;
  return RollbackMark{.generation = number_or(json, "generation", 0),
                      .message = text(json, "message")};
}

std::string to_text(const RollbackMark& mark) {
  return Json{{"generation", mark.generation}, {"message", mark.message}}.dump(
      -1, ' ', false, Json::error_handler_t::replace);
}

DeploymentVerdict judge(const Deployment& deployment, const DeploymentSets& sets, Now now) {
  return Judge(deployment, sets, now).judge();
}

}  // namespace nexus::orchestration
