#include "orchestration/cluster_orchestrator.hpp"

#include <fmt/format.h>

#include "orchestration/json_read.hpp"
#include "orchestration/operations.hpp"
#include "orchestration/spawn_later.hpp"

namespace nexus::orchestration {

namespace {

constexpr base::Duration kDriverRetry = std::chrono::seconds(1);
/// Doubles as long as no watch tells anything.
constexpr base::Duration kWatchRetryFirst = std::chrono::milliseconds(100);
constexpr base::Duration kWatchRetryMax = std::chrono::seconds(30);

OrchestratorNeeds with_alarms(const OrchestratorNeeds& needs, Alarms& alarms) {
  return {.objects = needs.objects,
          .driver = needs.driver,
          .network = needs.network,
          .placement = needs.placement,
          .prober = needs.prober,
          .addresses = needs.addresses,
          .events = needs.events,
          .clock = needs.clock,
          .alarms = alarms,
          .rng = needs.rng,
          .metrics = needs.metrics,
          .log = needs.log,
          .names = needs.names};
}

}  // namespace

ClusterOrchestrator::ClusterOrchestrator(const base::Executor& executor, OrchestratorNeeds needs,
                                         OrchestratorNode node)
    : alarms_(needs.alarms),
      needs_(with_alarms(needs, alarms_)),
      node_(std::move(node)),
      view_(needs_.objects),
      services_(needs_.addresses),
      controllers_(executor, needs_, view_, services_, node_.name),
      publisher_(executor, needs_, view_, node_.addresses),
      pods_(executor, needs_, view_, node_, publisher_),
      binder_(executor, needs_, view_, node_, pods_),
      scope_(executor) {}

ClusterOrchestrator::~ClusterOrchestrator() = default;

NodeDescription ClusterOrchestrator::description() const {
  return {.name = node_.name,
          .addresses = node_.addresses,
          .labels = node_.labels,
          .cpu_millis = node_.cpu_millis,
          .memory_bytes = node_.memory_bytes,
          .pods_max = node_.pods_max,
          .version = node_.version,
          .kernel = node_.kernel,
          .architecture = node_.architecture};
}

base::Task<base::Result<>> ClusterOrchestrator::start() {
  CO_TRY_DO(co_await make_basics());
  for (const auto& [key, object] : view_.all("Service")) services_.observe(object->json);
  for (const auto& [key, object] : view_.all("Pod")) known_pods_[ref_to(*object)] = object;
  spawn_later(scope_, follow(needs_.objects.revision()));
  controllers_.open();
  co_await take_over();
  co_return base::Result<>();
}

base::Task<base::Result<>> ClusterOrchestrator::make_basics() {
  const Actor actor = actor_of("system:node:" + node_.name);
  const ObjectRef space{"Namespace", "", "default"};
  if (view_.find(space) == nullptr) {
    auto made = co_await needs_.objects.create(actor, Json{{"apiVersion", "v1"},
                                                           {"kind", "Namespace"},
                                                           {"metadata", {{"name", "default"}}},
                                                           {"spec", Json::object()},
                                                           {"status", {{"phase", "Active"}}}});
    if (!made && made.error().code != base::Errc::AlreadyExists)
      co_return std::unexpected(std::move(made).error());
  }
  const ObjectRef ref{"Node", "", node_.name};
  const ObjectPtr before = view_.find(ref);
  const NodeDescription node = description();
  Json object = node_object(node, before == nullptr ? nullptr : &before->json);
  if (before == nullptr) {
    object["status"] = node_status(node, Json(), needs_.clock.wall());
    CO_TRY_DO(co_await needs_.objects.create(actor, std::move(object)));
    co_return base::Result<>();
  }
  if (object != before->json) CO_TRY_DO(co_await needs_.objects.update(actor, std::move(object)));
  const ObjectPtr stored = view_.find(ref);
  if (stored == nullptr)
    co_return base::fail(base::Errc::Conflict, "the Node object was removed while it was written");
  Json status = node_status(node, at(stored->json, "status"), needs_.clock.wall());
  if (status != at(stored->json, "status")) {
    CO_TRY_DO(co_await needs_.objects.update_status(
        std::move(status_of(*stored, std::move(status)).json), actor.user));
  }
  co_return base::Result<>();
}

/// Nothing of the network is touched before the pods that run are known: they keep their traffic.
base::Task<> ClusterOrchestrator::take_over() {
  if (auto taken = co_await pods_.start(); !taken) {
    needs_.log.warning("the driver does not answer", {{"error", taken.error()}});
    needs_.alarms.call_at(needs_.clock.now() + kDriverRetry,
                          [this] { spawn_later(scope_, take_over()); });
    co_return;
  }
  binder_.open();
  publisher_.open([this](const std::string& name_space) { return endpoint_pods(name_space); });
}

base::Task<> ClusterOrchestrator::follow(Revision after) {
  BackOff retry(kWatchRetryFirst, kWatchRetryMax);
  for (;;) {
    auto watch = co_await needs_.objects.watch("", {}, after);
    while (watch) {
      auto events = co_await (*watch)->next();
      if (!events) {
        watch = std::unexpected(std::move(events).error());
        break;
      }
      retry.reset();
      for (const ObjectEvent& event : *events) {
        after = std::max(after, event.object->revision);
        on_event(event);
      }
    }
    needs_.log.warning("watch of objects ended, reading all of them", {{"error", watch.error()}});
    auto over = std::make_shared<base::Event>(scope_.executor());
    needs_.alarms.call_at(needs_.clock.now() + retry.next(), [over] { over->notify(); });
    co_await over->wait();
    after = needs_.objects.revision();
    resynchronise();
  }
}

void ClusterOrchestrator::on_event(const ObjectEvent& event) {
  if (event.type == ObjectEvent::Type::Deleted) {
    on_gone(event.object);
  } else {
    on_changed(event.object);
  }
}

void ClusterOrchestrator::on_changed(const ObjectPtr& object) {
  const ObjectRef ref = ref_to(*object);
  if (ref.kind == "Pod") {
    // What counts is what is there now; an older state may still be on its way here.
    const ObjectPtr current = view_.find(ref);
    if (current != nullptr) {
      ObjectPtr& known = known_pods_[ref];
      const bool replaced = known != nullptr && text(at(known->json, "metadata"), "uid") !=
                                                    text(at(current->json, "metadata"), "uid");
      if (replaced) binder_.gone(known);
      known = current;
      binder_.changed(current);
      publisher_.changed(ref.name_space);
    }
  } else {
    tell_users_of(ref);
  }
  controllers_.changed(object);
}

void ClusterOrchestrator::on_gone(const ObjectPtr& last) {
  const ObjectRef ref = ref_to(*last);
  if (ref.kind == "Pod") {
    const auto known = known_pods_.find(ref);
    const std::string uid = text(at(last->json, "metadata"), "uid");
    if (known != known_pods_.end() && text(at(known->second->json, "metadata"), "uid") == uid)
      known_pods_.erase(known);
    binder_.gone(last);
    publisher_.changed(ref.name_space);
  } else {
    tell_users_of(ref);
  }
  controllers_.gone(last);
}

void ClusterOrchestrator::tell_users_of(const ObjectRef& ref) {
  if (ref.kind == "Service") {
    publisher_.changed(ref.name_space);
  } else if (ref.kind == "ConfigMap" || ref.kind == "Secret") {
    pods_.config_changed(ref);
  } else if (ref.kind == "Node") {
    binder_.nodes_changed();
  }
}

void ClusterOrchestrator::resynchronise() {
  const auto before = known_pods_;
  for (const auto& [ref, pod] : before) {
    const ObjectPtr now = view_.find(ref);
    if (now == nullptr ||
        text(at(now->json, "metadata"), "uid") != text(at(pod->json, "metadata"), "uid"))
      on_gone(pod);
  }
  for (const char* kind : {"Pod", "Service", "ConfigMap", "Secret"}) {
    std::vector<ObjectPtr> all;
    for (const auto& [key, object] : view_.all(kind)) all.push_back(object);
    for (const ObjectPtr& object : all) on_changed(object);
  }
  binder_.nodes_changed();
  controllers_.resynchronise();
}

std::vector<EndpointPod> ClusterOrchestrator::endpoint_pods(const std::string& name_space) const {
  std::vector<EndpointPod> out;
  for_each_in(view_, "Pod", name_space, [&](const ObjectPtr& object) {
    const PodLifecycle* life = pods_.find(text(at(object->json, "metadata"), "uid"));
    if (life != nullptr) {
      if (finished(life->phase())) return;
      // Ours: what is true now, whether it has been written or not.
      out.push_back({.pod = life->pod(), .ready = life->ready(), .addresses = life->addresses()});
      return;
    }
    auto pod = read_pod(object);
    if (!pod) return;
    // A pod of this node without a lifecycle is not running here.
    const PodState state = read_pod_state(object->json);
    if (finished(state.phase)) return;
    const bool elsewhere = !(*pod)->node.empty() && (*pod)->node != node_.name;
    out.push_back({.pod = *pod, .ready = elsewhere && state.ready, .addresses = state.addresses});
  });
  return out;
}

std::vector<Json> ClusterOrchestrator::endpoints(
    const std::optional<std::string>& name_space) const {
  std::vector<Json> out;
  for (const auto& [key, object] : view_.all("Service")) {
    if (name_space && key.name_space != *name_space) continue;
    const Service service = read_service(object->json);
    if (service.type == Service::Type::ExternalName) continue;
    out.push_back(endpoints_object(service, endpoint_pods(key.name_space)));
  }
  return out;
}

std::vector<Json> ClusterOrchestrator::endpoint_slices(
    const std::optional<std::string>& name_space) const {
  std::vector<Json> out;
  for (const auto& [key, object] : view_.all("Service")) {
    if (name_space && key.name_space != *name_space) continue;
    for (Json& slice : orchestration::endpoint_slices(read_service(object->json),
                                                      endpoint_pods(key.name_space))) {
      out.push_back(std::move(slice));
    }
  }
  return out;
}

Actor ClusterOrchestrator::actor_of(std::string user) const {
  return {
      .user = std::move(user), .role = "system", .origin = "node " + node_.name, .trace_id = {}};
}

base::Result<ObjectPtr> ClusterOrchestrator::find(const WorkloadId& id) const {
  const ObjectRef ref{id.kind, id.name_space, id.name};
  ObjectPtr found = view_.find(ref);
  if (found != nullptr) return found;
  return base::fail(base::Errc::NotFound, fmt::format("{} does not exist in namespace {}",
                                                      to_string(ref), id.name_space));
}

base::Task<base::Result<>> ClusterOrchestrator::replace(std::string user, Json object) {
  CO_TRY_DO(co_await needs_.objects.update(actor_of(std::move(user)), std::move(object)));
  co_return base::Result<>();
}

base::Task<base::Result<>> ClusterOrchestrator::deploy(std::string user, std::string manifest) {
  Json object = Json::parse(manifest, nullptr, /*allow_exceptions=*/false);
  CO_TRY(const ObjectRef ref, ref_of(object));
  if (ref.kind != "Service") co_return co_await store(std::move(user), ref, std::move(object));
  const ObjectPtr before = view_.find(ref);
  auto done = services_.assign(object, before == nullptr ? nullptr : &before->json);
  if (done) done = co_await store(std::move(user), ref, std::move(object));
  settle_addresses(ref, /*ended=*/true);
  co_return done;
}

void ClusterOrchestrator::settle_addresses(const ObjectRef& ref, bool ended) {
  if (!ended) return services_.lose_sight(ref);
  const ObjectPtr stored = view_.find(ref);
  services_.settle(ref, stored == nullptr ? nullptr : &stored->json);
}

base::Task<base::Result<>> ClusterOrchestrator::store(std::string user, ObjectRef ref,
                                                      Json object) {
  if (view_.find(ref) != nullptr) co_return co_await replace(std::move(user), std::move(object));
  CO_TRY_DO(co_await needs_.objects.create(actor_of(std::move(user)), std::move(object)));
  co_return base::Result<>();
}

base::Task<base::Result<>> ClusterOrchestrator::scale(std::string user, WorkloadId id,
                                                      std::int32_t replicas) {
  CO_TRY(const ObjectPtr object, find(id));
  CO_TRY(Json next, scaled(object->json, replicas));
  co_return co_await replace(std::move(user), std::move(next));
}

base::Task<base::Result<>> ClusterOrchestrator::update_image(std::string user, WorkloadId id,
                                                             std::string container,
                                                             std::string image) {
  CO_TRY(const ObjectPtr object, find(id));
  CO_TRY(Json next, with_image(object->json, container, image));
  co_return co_await replace(std::move(user), std::move(next));
}

base::Task<base::Result<>> ClusterOrchestrator::rollback(std::string user, WorkloadId id,
                                                         std::int64_t revision) {
  CO_TRY(const ObjectPtr object, find(id));
  CO_TRY(Json next, rolled_back(object->json, revision, view_));
  co_return co_await replace(std::move(user), std::move(next));
}

base::Task<base::Result<>> ClusterOrchestrator::remove(std::string user, WorkloadId id) {
  CO_TRY(const ObjectPtr object, find(id));
  auto write = background_deletion_of(*object, needs_.clock.wall());
  if (!write) co_return base::Result<>();  // it is on its way
  if (write->verb == ObjectWrite::Verb::Update)
    co_return co_await replace(std::move(user), std::move(write->json));
  CO_TRY_DO(
      co_await needs_.objects.remove(actor_of(std::move(user)), write->ref, write->precondition));
  co_return base::Result<>();
}

base::Task<base::Result<WorkloadState>> ClusterOrchestrator::state(WorkloadId id) {
  CO_TRY(const ObjectPtr object, find(id));
  co_return workload_state(object->json);
}

base::Task<> ClusterOrchestrator::stop() {
  alarms_.close();
  scope_.cancel();
  co_await scope_.join();
  co_await controllers_.stop();
  co_await binder_.stop();
  co_await pods_.stop();
  co_await publisher_.stop();
}

}  // namespace nexus::orchestration
