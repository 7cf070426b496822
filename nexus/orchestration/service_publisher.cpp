#include "orchestration/service_publisher.hpp"

#include <algorithm>

#include "objects/object.hpp"
#include "orchestration/metadata.hpp"
#include "orchestration/service.hpp"

namespace nexus::orchestration {
namespace {

constexpr base::Duration kFollowPause = std::chrono::milliseconds(100);

auto key_of(const dns::ServicePortName& port) {
  return std::tie(port.name, port.protocol, port.port);
}
bool same(const dns::ServicePortName& a, const dns::ServicePortName& b) {
  return key_of(a) == key_of(b);
}
bool same(const dns::EndpointName& a, const dns::EndpointName& b) {
  return a.hostname == b.hostname && a.addresses == b.addresses &&
         std::ranges::equal(a.ports, b.ports,
                            [](const auto& x, const auto& y) { return same(x, y); });
}
bool same(const dns::ServiceName& a, const dns::ServiceName& b) {
  return std::tie(a.name_space, a.name, a.cluster_addresses, a.external_name) ==
             std::tie(b.name_space, b.name, b.cluster_addresses, b.external_name) &&
         std::ranges::equal(a.ports, b.ports,
                            [](const auto& x, const auto& y) { return same(x, y); }) &&
         std::ranges::equal(a.endpoints, b.endpoints,
                            [](const auto& x, const auto& y) { return same(x, y); });
}

}  // namespace

ServicePublisher::ServicePublisher(const base::Executor& executor, Needs needs)
    : needs_(std::move(needs)),
      view_(needs_.store),
      changed_(executor),
      finished_(executor),
      discovery_latency_(needs_.metrics.histogram(
          "nexus_service_discovery_latency_seconds",
          "From a change of services or pods to the network and DNS using it.")),
      scope_(executor) {}

void ServicePublisher::start() {
  mark();
  scope_.spawn(follow());
  scope_.spawn(publish());
}

base::Task<> ServicePublisher::stop() {
  scope_.cancel();
  co_await scope_.join();
}

void ServicePublisher::mark() {
  ++wanted_;
  changed_.notify();
}

void ServicePublisher::publish_again() {
  network_knows_ = false;
  mark();
}

base::Task<bool> ServicePublisher::withdraw(std::string pod_uid, base::Duration limit) {
  const bool was_endpoint = in_use_.contains(pod_uid);
  withdrawn_.insert(std::move(pod_uid));
  if (!was_endpoint) co_return false;
  mark();
  const std::uint64_t generation = wanted_;
  const auto end = needs_.clock.now() + limit;
  while (done_ < generation && needs_.clock.now() < end)
    co_await finished_.wait_for(end - needs_.clock.now());
  co_return true;
}

base::Task<> ServicePublisher::follow() {
  for (;;) {
    mark();
    auto watch = co_await needs_.store.watch("", std::nullopt, needs_.store.revision());
    while (watch) {
      auto events = co_await (*watch)->next();
      if (!events) {
        if (events.error().code == base::Errc::Unavailable ||
            events.error().code == base::Errc::Cancelled)
          co_return;
        break;
      }
      bool relevant = false;
      for (const ObjectEvent& event : *events) {
        const ObjectRef ref = ref_to(*event.object);
        relevant = relevant || ref.kind == "Service" || ref.kind == "Pod";
        if (ref.kind != "Pod" || event.type != ObjectEvent::Type::Deleted) continue;
        const std::string uid = read_metadata(event.object->json).uid;
        pods_.erase(uid);
        withdrawn_.erase(uid);
      }
      if (relevant) mark();
    }
    co_await base::sleep_for(kFollowPause);
  }
}

base::Task<> ServicePublisher::publish() {
  for (;;) {
    while (done_ == wanted_ && network_knows_) co_await changed_.wait();
    const std::uint64_t generation = wanted_;
    const auto start = needs_.clock.now();
    Table table = compute();
    if (!std::ranges::equal(table.names, published_,
                            [](const auto& a, const auto& b) { return same(a, b); })) {
      published_ = table.names;
      needs_.set_names(std::move(table.names));
    }
    if (!network_knows_ || table.ports != applied_) {
      auto applied = co_await needs_.network.apply(table.ports);
      if (!applied) {
        needs_.log.error("the service network refused a table; it is tried again",
                         {{"error", applied.error()}});
        co_await changed_.wait_for(kRetry);
        continue;
      }
      applied_ = std::move(table.ports);
      network_knows_ = true;
    }
    in_use_ = std::move(table.endpoint_uids);
    done_ = generation;
    finished_.notify();
    discovery_latency_.observe(std::chrono::duration<double>(needs_.clock.now() - start).count());
  }
}

ServicePublisher::Table ServicePublisher::compute() {
  Table table;
  std::map<std::string, std::vector<EndpointPod>> by_name_space;
  for (const auto& [key, object] : view_.all("Pod")) {
    const EndpointPod* pod = endpoint_pod(object);
    if (!pod) continue;
    by_name_space[key.name_space].push_back(*pod);
    if (pod->pod->node == needs_.node && !pod->pod->meta.deletion) {
      std::ranges::move(host_ports(*pod, needs_.node_addresses), std::back_inserter(table.ports));
    }
  }
  for (const auto& [key, object] : view_.all("Service")) {
    const Service service = read_service(object->json);
    const auto endpoints = endpoints_of(service, by_name_space[key.name_space]);
    for (const EndpointPod* endpoint : endpoints)
      table.endpoint_uids.insert(endpoint->pod->meta.uid);
    std::ranges::move(network_ports(service, endpoints), std::back_inserter(table.ports));
    table.names.push_back(dns_name(service, endpoints));
  }
  return table;
}

const EndpointPod* ServicePublisher::endpoint_pod(const ObjectPtr& object) {
  const Metadata meta = read_metadata(object->json);
  if (withdrawn_.contains(meta.uid)) return nullptr;
  Known& known = pods_[meta.uid];
  if (known.revision != object->revision) {
    auto pod = read_pod(object);
    if (!pod) return nullptr;
    const PodState state = read_pod_state(object->json);
    known = {object->revision, {std::move(*pod), state.ready, state.addresses}};
  }
  return known.pod.pod ? &known.pod : nullptr;
}

}  // namespace nexus::orchestration
