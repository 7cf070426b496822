// The status of a pod in Kubernetes' shape, from what the lifecycle knows.

#include <fmt/format.h>

#include <algorithm>

#include "orchestration/json_read.hpp"
#include "orchestration/pod_lifecycle.hpp"

namespace nexus::orchestration {

namespace {

Json to_json(const Termination& end, const std::string& id) {
  Json json{{"exitCode", end.exit_code},
            {"reason", end.reason},
            {"finishedAt", base::to_rfc3339(end.finished)},
            {"containerID", id}};
  if (end.started != base::WallTime{}) json["startedAt"] = base::to_rfc3339(end.started);
  if (end.signal != 0) json["signal"] = end.signal;
  if (!end.message.empty()) json["message"] = end.message;
  return json;
}

Json address_list(const std::vector<std::string>& addresses) {
  Json list = Json::array();
  for (const std::string& address : addresses) list.push_back({{"ip", address}});
  return list;
}

// Kubernetes' order.
constexpr const char* kConditionTypes[] = {"PodReadyToStartContainers", "Initialized", "Ready",
                                           "ContainersReady", "PodScheduled"};

}  // namespace

PodPhase PodLifecycle::compute_phase() const {
  if (phase_ == PodPhase::Succeeded || phase_ == PodPhase::Failed) return phase_;
  bool all_ended = true, all_succeeded = true, any_alive = false, never_begun = false,
       init_failed = false;
  for (const ContainerRun& run : runs_) {
    any_alive = any_alive || run.alive() || run.stage == Stage::Starting;
    if (run.spec->init) {
      init_failed = init_failed || (run.stage == Stage::Ended && !run.succeeded());
      continue;
    }
    all_ended = all_ended && run.stage == Stage::Ended;
    all_succeeded = all_succeeded && run.succeeded();
    never_begun = never_begun || !run.begun;
  }
  if (any_alive) return never_begun || !init_done() ? PodPhase::Pending : PodPhase::Running;
  if (!failure_reason_.empty() && all_ended) return PodPhase::Failed;
  if (init_failed) return PodPhase::Failed;
  if (all_ended) return all_succeeded ? PodPhase::Succeeded : PodPhase::Failed;
  return never_begun || !init_done() ? PodPhase::Pending : PodPhase::Running;
}

void PodLifecycle::set_condition(const std::string& type, bool holds, std::string reason,
                                 std::string message) {
  ConditionState& condition = conditions_[type];
  if (condition.since == base::WallTime{} || condition.holds != holds) condition.since = now_.wall;
  condition.holds = holds;
  condition.reason = holds ? "" : std::move(reason);
  condition.message = holds ? "" : std::move(message);
}

void PodLifecycle::refresh() {
  std::vector<std::string> unready, uninitialized;
  for (ContainerRun& run : runs_) {
    if (run.spec->init) {
      run.ready = run.succeeded();
      if (!run.ready) uninitialized.push_back(run.spec->name);
      continue;
    }
    const auto readiness = run.probes.find(ProbeKind::Readiness);
    run.ready = run.stage == Stage::Running && !run.hook_running && run.started &&
                (readiness == run.probes.end() || readiness->second.healthy());
    if (!run.ready) unready.push_back(run.spec->name);
  }
  phase_ = compute_phase();
  const bool done = phase_ == PodPhase::Succeeded;
  set_condition("PodScheduled", true, "", "");
  set_condition("PodReadyToStartContainers", sandbox_ == Sandbox::Ready, "", "");
  set_condition(
      "Initialized", uninitialized.empty(), "ContainersNotInitialized",
      fmt::format("containers with incomplete status: [{}]", fmt::join(uninitialized, " ")));
  const std::string reason = done ? "PodCompleted" : "ContainersNotReady";
  const std::string message =
      done ? "" : fmt::format("containers with unready status: [{}]", fmt::join(unready, " "));
  set_condition("ContainersReady", unready.empty(), reason, message);
  std::string closed;
  for (const std::string& gate : pod_->readiness_gates) {
    const Json* condition = find_condition(at(pod_->object->json, "status"), gate);
    if (condition == nullptr || text(*condition, "status") != "True") closed = gate;
  }
  if (end_ == End::Withdrawing) {
    // As it was: the network still leads to it, and who waits for that to end sees it by this.
  } else if (stopping()) {
    set_condition("Ready", false, "PodTerminating", "the pod is being stopped");
  } else if (unready.empty() && !closed.empty()) {
    set_condition("Ready", false, "ReadinessGatesNotReady",
                  fmt::format("the readiness gate {} is not True", closed));
  } else {
    set_condition("Ready", unready.empty(), reason, message);
  }
  ready_ = conditions_["Ready"].holds;
}

Json PodLifecycle::state_of(const ContainerRun& run) const {
  const std::string id =
      fmt::format("hypermesh://{}/{}/{}", pod_->meta.uid, run.spec->name, run.attempt);
  switch (run.stage) {
    case Stage::Running:
    case Stage::Stopping:
      return {{"running", {{"startedAt", base::to_rfc3339(run.started_wall)}}}};
    case Stage::Ended:
      if (run.ended) return {{"terminated", to_json(*run.ended, id)}};
      break;
    case Stage::Waiting:
    case Stage::Starting:
      // Between an end and the restart at once nothing is waited for.
      if (run.ended && !run.due && run.reason.empty())
        return {{"terminated", to_json(*run.ended, id)}};
      break;
  }
  Json waiting{{"reason", run.reason.empty() ? "ContainerCreating" : run.reason}};
  std::string message = run.message;
  if (message.empty() && !sandbox_problem_.empty()) message = sandbox_problem_;
  if (!message.empty()) waiting["message"] = std::move(message);
  return {{"waiting", std::move(waiting)}};
}

Json PodLifecycle::container_statuses(bool init) const {
  Json list = Json::array();
  for (const ContainerRun& run : runs_) {
    if (run.spec->init != init) continue;
    Json status{{"name", run.spec->name},
                {"image", run.spec->image},
                {"imageID", run.image},
                {"ready", run.ready},
                {"started", run.alive() && run.started},
                {"restartCount", run.restarts()},
                {"state", state_of(run)},
                {"lastState", Json::object()}};
    const bool ended_shown = status["state"].contains("terminated");
    const std::optional<Termination>& last = run.ended && !ended_shown ? run.ended : run.last;
    if (last) {
      status["lastState"]["terminated"] =
          to_json(*last, fmt::format("hypermesh://{}/{}", pod_->meta.uid, run.spec->name));
    }
    if (run.begun) {
      status["containerID"] =
          fmt::format("hypermesh://{}/{}/{}", pod_->meta.uid, run.spec->name, run.attempt);
    }
    list.push_back(std::move(status));
  }
  return list;
}

Json PodLifecycle::status(const Json& stored) const {
  Json status{{"phase", std::string(to_text(phase_))}, {"qosClass", pod_->qos_class()}};
  Json conditions = Json::array();
  for (const char* type : kConditionTypes) {
    const auto found = conditions_.find(type);
    if (found == conditions_.end()) continue;
    Json condition{{"type", type},
                   {"status", found->second.holds ? "True" : "False"},
                   {"lastTransitionTime", base::to_rfc3339(found->second.since)}};
    if (!found->second.reason.empty()) condition["reason"] = found->second.reason;
    if (!found->second.message.empty()) condition["message"] = found->second.message;
    conditions.push_back(std::move(condition));
  }
  for (const Json& condition : items(stored, "conditions")) {
    if (!conditions_.contains(text(condition, "type"))) conditions.push_back(condition);
  }
  status["conditions"] = std::move(conditions);
  if (!node_.addresses.empty()) {
    status["hostIP"] = node_.addresses.front();
    status["hostIPs"] = address_list(node_.addresses);
  }
  if (!addresses_.empty()) {
    status["podIP"] = addresses_.front();
    status["podIPs"] = address_list(addresses_);
  }
  if (start_time_) status["startTime"] = base::to_rfc3339(*start_time_);
  if (!failure_reason_.empty()) status["reason"] = failure_reason_;
  if (!failure_message_.empty()) status["message"] = failure_message_;
  if (!pod_->init_containers.empty()) status["initContainerStatuses"] = container_statuses(true);
  status["containerStatuses"] = container_statuses(false);
  return status;
}

}  // namespace nexus::orchestration
