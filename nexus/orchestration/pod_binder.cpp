#include "orchestration/pod_binder.hpp"

#include <fmt/format.h>

#include "manifest/quantity.hpp"
#include "orchestration/conditions.hpp"
#include "orchestration/json_read.hpp"
#include "orchestration/spawn_later.hpp"

namespace nexus::orchestration {

namespace {

bool finished(const Json& pod) {
  const std::string phase = text(at(pod, "status"), "phase");
  return phase == "Succeeded" || phase == "Failed";
}

std::uint64_t amount(const Json& amounts, std::string_view name, bool millis) {
  const std::string written = text(amounts, name);
  const auto quantity = manifest::Quantity::parse(written.empty() ? "0" : written);
  if (!quantity) return 0;
  return static_cast<std::uint64_t>(
      std::max<std::int64_t>(0, millis ? quantity->millis() : quantity->value()));
}

NodeCapacity capacity_of(const Json& node) {
  const Metadata meta = read_metadata(node);
  const Json& allocatable = at(at(node, "status"), "allocatable");
  const Json* ready = find_condition(at(node, "status"), "Ready");
  return {.name = meta.name,
          .ready = ready != nullptr && text(*ready, "status") == "True" && !meta.deletion,
          .schedulable = !flag(at(node, "spec"), "unschedulable"),
          .labels = meta.labels,
          .cpu_millis = amount(allocatable, "cpu", true),
          .memory_bytes = amount(allocatable, "memory", false),
          .pods_max = amount(allocatable, "pods", false)};
}

}  // namespace

PodBinder::PodBinder(const base::Executor& executor, const OrchestratorNeeds& needs,
                     const ObjectView& view, const OrchestratorNode& node, NodePods& pods)
    : needs_(needs),
      view_(view),
      node_(node),
      pods_(pods),
      actor_{.user = "system:placement",
             .role = "system",
             .origin = "node " + node.name,
             .trace_id = {}},
      waiting_pods_(needs.metrics.gauge("nexus_unplaced_pods", "Pods that fit on no node")),
      scope_(executor) {}

void PodBinder::open() {
  open_ = true;
  std::vector<ObjectPtr> homeless;
  for (const auto& [key, object] : view_.all("Pod")) {
    const std::string node = text(at(object->json, "spec"), "nodeName");
    const std::string uid = text(at(object->json, "metadata"), "uid");
    // One that runs here without its place being written is accounted as placed here.
    if (pods_.find(uid) == nullptr && (node.empty() || !exists(node))) {
      homeless.push_back(object);
    } else if (!finished(object->json)) {
      if (const auto pod = read_pod(object)) account(**pod, node.empty() ? node_.name : node);
    }
  }
  for (const ObjectPtr& object : homeless) changed(object);
}

void PodBinder::account(const Pod& pod, const std::string& node) {
  placed_.insert_or_assign(pod.meta.uid, Placed{node, pod.requests()});
}

void PodBinder::changed(const ObjectPtr& object) {
  if (!open_) return;
  const Json& json = object->json;
  const std::string uid = text(at(json, "metadata"), "uid");
  const std::string bound = text(at(json, "spec"), "nodeName");
  const bool assumed = bound.empty() && placed_.contains(uid);
  if (finished(json)) {
    if (placed_.erase(uid) > 0) retry_waiting();
  } else if (!bound.empty() || assumed) {
    if (const auto pod = read_pod(object))
      account(**pod, bound.empty() ? placed_.at(uid).node : bound);
  }
  if (bound == node_.name || (assumed && pods_.find(uid) != nullptr)) {
    no_longer_waits(uid);
    return pods_.desired(object);
  }
  // A pod that names a node which there is not runs nowhere: nobody else would let it go.
  const bool nowhere = !bound.empty() && !exists(bound);
  if (!nowhere && (!bound.empty() || assumed)) return;
  if (find(json, "metadata", "deletionTimestamp") != nullptr) {
    no_longer_waits(uid);
    spawn_later(scope_, drop(object));
    return;
  }
  if (finished(json)) return;
  auto pod = read_pod(object);
  if (!pod) return report(Pod{.object = object, .meta = read_metadata(json)}, pod.error());
  if (nowhere) {
    return report(
        **pod, base::make_error(base::Errc::NotFound, fmt::format("there is no node {}", bound)));
  }
  place(*pod);
}

bool PodBinder::exists(const std::string& node) const {
  return node == node_.name || view_.find({"Node", "", node}) != nullptr;
}

void PodBinder::no_longer_waits(const std::string& uid) {
  waiting_.erase(uid);
  count_waiting();
}

void PodBinder::count_waiting() {
  waiting_pods_.set(static_cast<double>(waiting_.size()));
}

void PodBinder::place(const std::shared_ptr<const Pod>& pod) {
  const Requests requests = pod->requests();
  auto chosen = needs_.placement.place({.workload = pod->meta.name_space + "/" + pod->meta.name,
                                        .cpu_millis = requests.cpu_millis,
                                        .memory_bytes = requests.memory_bytes,
                                        .node_selector = pod->node_selector},
                                       capacities());
  if (!chosen) {
    waiting_.insert_or_assign(pod->meta.uid, ref_to(*pod->object));
    count_waiting();
    return report(*pod, chosen.error());
  }
  no_longer_waits(pod->meta.uid);
  account(*pod, *chosen);
  needs_.events.record({.about = ref_to(*pod->object),
                        .about_uid = pod->meta.uid,
                        .warning = false,
                        .reason = "Scheduled",
                        .message = fmt::format("Placed on {}", *chosen)},
                       "placement", needs_.clock.wall());
  if (*chosen == node_.name) return pods_.desired(pod->object);
  Json bound = pod->object->json;
  bound["spec"]["nodeName"] = *chosen;
  spawn_later(scope_, write(update_of(std::move(bound))));
}

std::vector<NodeCapacity> PodBinder::capacities() const {
  std::vector<NodeCapacity> nodes;
  for (const auto& [key, object] : view_.all("Node")) nodes.push_back(capacity_of(object->json));
  for (const auto& [uid, placed] : placed_) {
    for (NodeCapacity& node : nodes) {
      if (node.name != placed.node) continue;
      node.cpu_millis_used += placed.requests.cpu_millis;
      node.memory_bytes_used += placed.requests.memory_bytes;
      ++node.pods;
    }
  }
  return nodes;
}

void PodBinder::report(const Pod& pod, const base::Error& error) {
  std::string message = error.message;
  if (!error.hints.empty()) message += fmt::format(": {}", fmt::join(error.hints, "; "));
  needs_.events.record({.about = ref_to(*pod.object),
                        .about_uid = pod.meta.uid,
                        .warning = true,
                        .reason = "FailedScheduling",
                        .message = message},
                       "placement", needs_.clock.wall());
  Json status = at(pod.object->json, "status");
  if (!status.is_object()) status = Json::object();
  if (find(status, "phase") == nullptr) status["phase"] = "Pending";
  set_condition(status["conditions"],
                {.type = "PodScheduled",
                 .status = "False",
                 .reason = "Unschedulable",
                 .message = std::move(message)},
                needs_.clock.wall(), false);
  if (status != at(pod.object->json, "status"))
    spawn_later(scope_, write(status_of(*pod.object, std::move(status))));
}

base::Task<> PodBinder::write(ObjectWrite write) {
  const bool place = write.verb == ObjectWrite::Verb::Update;
  const std::string uid = text(at(write.json, "metadata"), "uid");
  base::Result<> written;
  if (place) {
    auto result = co_await needs_.objects.update(actor_, std::move(write.json));
    if (!result) written = std::unexpected(std::move(result).error());
  } else {
    auto result = co_await needs_.objects.update_status(std::move(write.json), actor_.user);
    if (!result) written = std::unexpected(std::move(result).error());
  }
  if (written) co_return;
  // A change that came first is an event of its own, and places the pod anew.
  if (place) placed_.erase(uid);
  if (written.error().code != base::Errc::Conflict &&
      written.error().code != base::Errc::NotFound) {
    needs_.log.warning("placement not written", {{"uid", uid}, {"error", written.error()}});
  }
}

/// A pod that runs nowhere goes at once, or says that it failed when somebody waits to see that.
base::Task<> PodBinder::drop(ObjectPtr pod) {
  const Metadata meta = read_metadata(pod->json);
  if (meta.finalizers.empty()) {
    auto removed =
        co_await needs_.objects.remove(actor_, ref_to(*pod), {.uid = meta.uid, .revision = {}});
    if (!removed && removed.error().code != base::Errc::NotFound &&
        removed.error().code != base::Errc::Conflict) {
      needs_.log.warning("pod not removed", {{"pod", meta.name}, {"error", removed.error()}});
    }
    co_return;
  }
  if (finished(pod->json)) co_return;
  Json status = at(pod->json, "status");
  if (!status.is_object()) status = Json::object();
  status["phase"] = "Failed";
  status["reason"] = "Deleted";
  status["message"] = "deleted before it ran on a node";
  co_await write(status_of(*pod, std::move(status)));
}

void PodBinder::gone(const ObjectPtr& last) {
  const std::string uid = text(at(last->json, "metadata"), "uid");
  no_longer_waits(uid);
  pods_.gone(last);
  if (placed_.erase(uid) > 0) retry_waiting();
}

void PodBinder::nodes_changed() {
  retry_waiting();
}

void PodBinder::retry_waiting() {
  if (!open_ || waiting_.empty() || retrying_) return;
  retrying_ = true;
  spawn_later(scope_, [](PodBinder& self) -> base::Task<> {
    self.retrying_ = false;
    const auto waiting = self.waiting_;
    for (const auto& [uid, ref] : waiting) {
      const ObjectPtr object = self.view_.find(ref);
      if (object == nullptr || text(at(object->json, "metadata"), "uid") != uid) {
        self.no_longer_waits(uid);
      } else {
        self.changed(object);
      }
    }
    co_return;
  }(*this));
}

base::Task<> PodBinder::stop() {
  open_ = false;
  scope_.cancel();
  co_await scope_.join();
}

}  // namespace nexus::orchestration
