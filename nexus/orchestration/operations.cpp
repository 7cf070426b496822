#include "orchestration/operations.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "manifest/formats.hpp"
#include "orchestration/conditions.hpp"
#include "orchestration/json_read.hpp"
#include "orchestration/views.hpp"
#include "orchestration/workloads.hpp"

namespace nexus::orchestration {

namespace {

base::Result<> must_be_deployment(const Json& object, std::string_view what) {
  if (text(object, "kind") == "Deployment") return {};
  return base::fail(base::Errc::Unsupported, fmt::format("a {} cannot be {}; only a Deployment can",
                                                         text(object, "kind"), what));
}

}  // namespace

base::Result<Json> scaled(const Json& object, std::int32_t replicas) {
  const std::string kind = text(object, "kind");
  if (kind != "Deployment" && kind != "ReplicaSet") {
    return base::fail(base::Errc::Unsupported, fmt::format("a {} has no replicas", kind));
  }
  if (replicas < 0) {
    return base::fail(base::Errc::InvalidArgument,
                      fmt::format("replicas is {}; must be at least 0", replicas));
  }
  Json next = object;
  next["spec"]["replicas"] = replicas;
  return next;
}

base::Result<Json> with_image(const Json& object, const std::string& container,
                              const std::string& image) {
  TRY_DO(must_be_deployment(object, "updated"));
  Json next = object;
  bool found = false;
  for (Json& each : next["spec"]["template"]["spec"]["containers"]) {
    if (!container.empty() && text(each, "name") != container) continue;
    each["image"] = image;
    found = true;
  }
  if (found) return next;
  return base::fail(base::Errc::NotFound,
                    fmt::format("the template has no container \"{}\"", container));
}

base::Result<Json> rolled_back(const Json& object, std::int64_t revision, const ObjectView& view) {
  TRY_DO(must_be_deployment(object, "rolled back"));
  const std::vector<RevisionRow> rows = history(object, view);
  const auto wanted = std::ranges::find_if(rows, [&](const RevisionRow& row) {
    return revision == 0 ? row.state != "current" : row.revision == revision;
  });
  if (wanted == rows.end()) {
    std::vector<std::int64_t> known;
    for (const RevisionRow& row : rows) known.push_back(row.revision);
    return base::fail(base::Errc::NotFound,
                      fmt::format("there is no revision {}; there are {}",
                                  revision == 0 ? "before the current" : std::to_string(revision),
                                  fmt::join(known, ", ")));
  }
  if (wanted->state == "current") {
    return base::fail(base::Errc::FailedPrecondition,
                      fmt::format("the template is that of revision {} already", wanted->revision));
  }
  const ObjectPtr set =
      view.find({"ReplicaSet", text(at(object, "metadata"), "namespace"), wanted->replica_set});
  Json next = object;
  next["spec"]["template"] = without_hash(at(at(set->json, "spec"), "template"));
  return next;
}

base::Result<WorkloadState> workload_state(const Json& object) {
  const std::string kind = text(object, "kind");
  if (kind == "Deployment") {
    const Rollout state = rollout(object);
    return WorkloadState{.desired = state.desired,
                         .updated = state.updated,
                         .ready = state.ready,
                         .available = state.available,
                         .complete = state.complete,
                         .failed = state.failed,
                         .message = state.message};
  }
  if (kind == "ReplicaSet") {
    const Json& status = at(object, "status");
    WorkloadState state{.desired = number_or(at(object, "spec"), "replicas", 1),
                        .updated = number_or(status, "replicas", 0),
                        .ready = number_or(status, "readyReplicas", 0),
                        .available = number_or(status, "availableReplicas", 0)};
    state.complete = state.available >= state.desired;
    state.message = fmt::format("{} of {} replicas are available", state.available, state.desired);
    return state;
  }
  if (kind == "Job") {
    const JobProgress progress = job_progress(object);
    return WorkloadState{.desired = progress.wanted,
                         .updated = progress.wanted,
                         .ready = progress.succeeded,
                         .available = progress.succeeded,
                         .complete = progress.complete,
                         .failed = progress.gave_up,
                         .message = progress.message};
  }
  return base::fail(base::Errc::Unsupported, fmt::format("a {} is no workload", kind));
}

Json node_object(const NodeDescription& node, const Json* before) {
  Json json = before != nullptr ? *before
                                : Json{{"apiVersion", "v1"},
                                       {"kind", "Node"},
                                       {"metadata", {{"name", node.name}}},
                                       {"spec", Json::object()}};
  Json& labels = json["metadata"]["labels"];
  if (!labels.is_object()) labels = Json::object();
  labels["kubernetes.io/hostname"] = node.name;
  labels["kubernetes.io/os"] = "linux";
  labels["kubernetes.io/arch"] = node.architecture;
  for (const auto& [key, value] : node.labels) labels[key] = value;
  return json;
}

Json node_status(const NodeDescription& node, const Json& before, base::WallTime now) {
  Json status = before.is_object() ? before : Json::object();
  Json addresses = Json::array();
  for (const std::string& address : node.addresses) {
    addresses.push_back({{"type", "InternalIP"}, {"address", address}});
  }
  addresses.push_back({{"type", "Hostname"}, {"address", node.name}});
  status["addresses"] = std::move(addresses);
  const Json amounts{{"cpu", fmt::format("{}m", node.cpu_millis)},
                     {"memory", fmt::format("{}Ki", node.memory_bytes / 1024)},
                     {"pods", std::to_string(node.pods_max)}};
  status["capacity"] = amounts;
  status["allocatable"] = amounts;
  status["nodeInfo"] = {{"kubeletVersion", node.version},
                        {"containerRuntimeVersion", "hypermesh://" + node.version},
                        {"kernelVersion", node.kernel},
                        {"architecture", node.architecture},
                        {"operatingSystem", "linux"}};
  set_condition(
      status["conditions"],
      {.type = "Ready", .status = "True", .reason = "NodeReady", .message = "the node runs pods"},
      now, false);
  return status;
}

}  // namespace nexus::orchestration
