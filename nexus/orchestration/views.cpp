#include "orchestration/views.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "orchestration/json_read.hpp"
#include "orchestration/pod.hpp"
#include "orchestration/workloads.hpp"

namespace nexus::orchestration {

namespace {

struct StateText {
  std::string state, message;
};

/// State of containers that must finish one after the other; empty when all have.
std::optional<StateText> init_state(const Json& pod) {
  const auto& specs = items(at(pod, "spec"), "initContainers");
  const auto& statuses = items(at(pod, "status"), "initContainerStatuses");
  for (std::size_t i = 0; i < statuses.size(); ++i) {
    const Json& status = statuses[i];
    if (const Json* ended = find(status, "state", "terminated")) {
      if (number_or(*ended, "exitCode", 0) == 0) continue;
      const std::string reason = text(*ended, "reason");
      const std::string word = !reason.empty() ? reason
                               : number_or(*ended, "signal", 0) != 0
                                   ? fmt::format("Signal:{}", number_or(*ended, "signal", 0))
                                   : fmt::format("ExitCode:{}", number_or(*ended, "exitCode", 0));
      return StateText{"Init:" + word, text(*ended, "message")};
    }
    if (const Json* waiting = find(status, "state", "waiting")) {
      const std::string reason = text(*waiting, "reason");
      if (!reason.empty() && reason != "PodInitializing") {
        return StateText{"Init:" + reason, text(*waiting, "message")};
      }
    }
    return StateText{fmt::format("Init:{}/{}", i, specs.size()), ""};
  }
  return std::nullopt;
}

StateText container_state(const Json& pod) {
  const Json& status = at(pod, "status");
  StateText out{text(status, "phase", "Pending"), text(status, "message")};
  if (const std::string reason = text(status, "reason"); !reason.empty()) out.state = reason;
  bool running = false;
  const auto& statuses = items(status, "containerStatuses");
  for (auto it = statuses.rbegin(); it != statuses.rend(); ++it) {
    const Json* waiting = find(*it, "state", "waiting");
    const Json* ended = find(*it, "state", "terminated");
    if (waiting != nullptr && !text(*waiting, "reason").empty()) {
      out = {text(*waiting, "reason"), text(*waiting, "message")};
    } else if (ended != nullptr) {
      out.state = text(*ended, "reason");
      out.message = text(*ended, "message");
      if (out.state.empty()) {
        const auto signal = number_or(*ended, "signal", 0);
        out.state = signal != 0 ? fmt::format("Signal:{}", signal)
                                : fmt::format("ExitCode:{}", number_or(*ended, "exitCode", 0));
      }
    } else if (find(*it, "state", "running") != nullptr) {
      running = true;
    }
  }
  if (out.state == "Completed" && running) {
    const Json* ready = find_condition(status, "Ready");
    out.state = ready != nullptr && text(*ready, "status") == "True" ? "Running" : "NotReady";
  }
  return out;
}

StateText state_of(const Json& pod) {
  const Json& status = at(pod, "status");
  StateText out;
  if (auto init = init_state(pod)) {
    out = std::move(*init);
  } else {
    out = container_state(pod);
  }
  if (out.message.empty() && out.state == "Pending") {
    const Json* scheduled = find_condition(status, "PodScheduled");
    if (scheduled != nullptr && text(*scheduled, "status") == "False") {
      out.message = text(*scheduled, "message");
    }
  }
  if (find(pod, "metadata", "deletionTimestamp") != nullptr) out.state = "Terminating";
  return out;
}

}  // namespace

WorkloadName workload_of(const Json& pod) {
  const Metadata meta = read_metadata(pod);
  const OwnerReference* owner = meta.controller();
  if (owner == nullptr) return {};
  if (owner->kind == "ReplicaSet") {
    // A Deployment names its replica sets "<deployment>-<hash>", and the hash is a label of the
    // pod.
    const auto hash = meta.labels.find(std::string(kTemplateHashLabel));
    if (hash != meta.labels.end()) {
      const std::string suffix = "-" + hash->second;
      if (owner->name.ends_with(suffix) && owner->name.size() > suffix.size()) {
        return {"Deployment", owner->name.substr(0, owner->name.size() - suffix.size())};
      }
    }
  }
  return {owner->kind, owner->name};
}

PodRow pod_row(const Json& pod, std::int32_t pid) {
  const Metadata meta = read_metadata(pod);
  const PodState state = read_pod_state(pod);
  const Json& spec = at(pod, "spec");
  const Json& status = at(pod, "status");
  PodRow row;
  row.name = meta.name;
  row.name_space = meta.name_space;
  row.created = meta.created;
  row.ready = state.ready;
  row.restarts = state.restarts;
  row.containers = static_cast<std::int64_t>(items(spec, "containers").size());
  for (const Json& container : items(status, "containerStatuses")) {
    if (flag(container, "ready")) ++row.ready_containers;
  }
  for (const char* list : {"initContainerStatuses", "containerStatuses"}) {
    for (const Json& container : items(status, list)) {
      const Json* last = find(container, "lastState", "terminated");
      if (last == nullptr) continue;
      row.last_restart = std::max(row.last_restart, time(*last, "finishedAt"));
    }
  }
  StateText shown = state_of(pod);
  row.state = std::move(shown.state);
  row.message = std::move(shown.message);
  row.node = text(spec, "nodeName");
  row.ips = state.addresses;
  row.ip = text(status, "podIP");
  row.workload = workload_of(pod);
  row.pid = pid;
  if (const auto& containers = items(spec, "containers"); !containers.empty()) {
    row.image = text(containers.front(), "image");
  }
  return row;
}

Json to_json(const PodRow& row) {
  Json json{{"name", row.name},
            {"namespace", row.name_space},
            {"ready", row.ready},
            {"readyContainers", row.ready_containers},
            {"containers", row.containers},
            {"state", row.state},
            {"message", row.message},
            {"restarts", row.restarts},
            {"lastRestart", nullptr},
            {"node", row.node},
            {"ip", row.ip},
            {"ips", row.ips},
            {"workload", row.workload.name},
            {"workloadKind", row.workload.kind},
            {"pid", row.pid},
            {"image", row.image},
            {"created", base::to_rfc3339(row.created)}};
  if (row.last_restart) json["lastRestart"] = base::to_rfc3339(*row.last_restart);
  return json;
}

std::vector<RevisionRow> history(const Json& deployment, const ObjectView& view) {
  const Metadata meta = read_metadata(deployment);
  std::vector<RevisionRow> rows;
  for_each_in(view, "ReplicaSet", meta.name_space, [&](const ObjectPtr& object) {
    const auto set = read_replica_set(object);
    if (!set || set->meta.controller() == nullptr || set->meta.controller()->uid != meta.uid)
      return;
    RevisionRow row;
    row.revision = set->revision();
    row.replica_set = set->meta.name;
    row.who = set->meta.annotation(std::string(kChangedByAnnotation));
    row.when = set->meta.created;
    row.from_revision = std::strtoull(
        set->meta.annotation(std::string(kFromRevisionAnnotation)).c_str(), nullptr, 10);
    row.detail = set->meta.annotation(std::string(kRolledBackAnnotation));
    row.state = row.detail.empty() ? "superseded" : "rolled back";
    for (const Json& container : items(at(set->pod_template(), "spec"), "containers")) {
      row.images.push_back(text(container, "image"));
    }
    const Json& wanted = at(at(deployment, "spec"), "template");
    if (without_hash(set->pod_template()) == without_hash(wanted)) row.state = "current";
    rows.push_back(std::move(row));
  });
  std::ranges::sort(rows, std::greater(), &RevisionRow::revision);
  return rows;
}

Rollout rollout(const Json& deployment) {
  const Json& spec = at(deployment, "spec");
  const Json& status = at(deployment, "status");
  Rollout out;
  out.desired = number_or(spec, "replicas", 1);
  out.updated = number_or(status, "updatedReplicas", 0);
  out.total = number_or(status, "replicas", 0);
  out.ready = number_or(status, "readyReplicas", 0);
  out.available = number_or(status, "availableReplicas", 0);
  out.observed = number_or(status, "observedGeneration", 0) >=
                 number_or(at(deployment, "metadata"), "generation", 0);
  const Json* progressing = find_condition(status, "Progressing");
  const std::string reason = progressing == nullptr ? "" : text(*progressing, "reason");
  if (!out.observed) {
    out.message = "waiting for the controller to see the change";
    return out;
  }
  out.rolled_back = reason == "RolledBack";
  out.failed = reason == "ProgressDeadlineExceeded" || out.rolled_back;
  if (out.failed) {
    out.message = text(*progressing, "message");
  } else if (out.updated < out.desired) {
    out.message =
        fmt::format("{} of {} replicas are of the new revision", out.updated, out.desired);
  } else if (out.total > out.updated) {
    out.message =
        fmt::format("{} replicas of older revisions are still there", out.total - out.updated);
  } else if (out.available < out.updated) {
    out.message = fmt::format("{} of {} replicas are available", out.available, out.updated);
  } else {
    out.message = fmt::format("{} replicas are available", out.available);
  }
  const bool settled =
      out.updated >= out.desired && out.total <= out.updated && out.available >= out.updated;
  out.complete = settled && !out.failed;
  return out;
}

JobProgress job_progress(const Json& job) {
  const Json& spec = at(job, "spec");
  const Json& status = at(job, "status");
  JobProgress out;
  out.wanted = number_or(spec, "completions", 1);
  out.succeeded = number_or(status, "succeeded", 0);
  out.failed = number_or(status, "failed", 0);
  out.active = number_or(status, "active", 0);
  const auto holds = [&](std::string_view type) {
    const Json* condition = find_condition(status, type);
    return condition != nullptr && text(*condition, "status") == "True" ? condition : nullptr;
  };
  out.complete = holds("Complete") != nullptr;
  if (const Json* failed = holds("Failed")) {
    out.gave_up = true;
    out.message = fmt::format("{}: {}", text(*failed, "reason"), text(*failed, "message"));
  } else {
    out.message = fmt::format("{} of {} succeeded, {} running, {} failed", out.succeeded,
                              out.wanted, out.active, out.failed);
  }
  return out;
}

}  // namespace nexus::orchestration
