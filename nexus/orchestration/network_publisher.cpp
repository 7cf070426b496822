#include "orchestration/network_publisher.hpp"

#include <algorithm>

#include "orchestration/spawn_later.hpp"

namespace nexus::orchestration {

namespace {

constexpr base::Duration kApplyRetry = std::chrono::seconds(1);

bool operator==(const dns::ServicePortName& a, const dns::ServicePortName& b) {
  return a.name == b.name && a.protocol == b.protocol && a.port == b.port;
}

bool same(const std::vector<dns::ServicePortName>& a, const std::vector<dns::ServicePortName>& b) {
  return std::ranges::equal(a, b, [](const auto& x, const auto& y) { return x == y; });
}

bool same(const std::vector<dns::ServiceName>& a, const std::vector<dns::ServiceName>& b) {
  return std::ranges::equal(a, b, [](const dns::ServiceName& x, const dns::ServiceName& y) {
    return x.name_space == y.name_space && x.name == y.name &&
           x.cluster_addresses == y.cluster_addresses && x.external_name == y.external_name &&
           same(x.ports, y.ports) &&
           std::ranges::equal(x.endpoints, y.endpoints, [](const auto& p, const auto& q) {
             return p.hostname == q.hostname && p.addresses == q.addresses &&
                    same(p.ports, q.ports);
           });
  });
}

}  // namespace

NetworkPublisher::NetworkPublisher(const base::Executor& executor, const OrchestratorNeeds& needs,
                                   const ObjectView& view, std::vector<std::string> node_addresses)
    : needs_(needs),
      view_(view),
      node_addresses_(std::move(node_addresses)),
      tables_(needs.metrics.counter("nexus_service_tables_total",
                                    "Tables of services that were applied")),
      failures_(needs.metrics.counter("nexus_service_table_failures_total",
                                      "Tables of services that were refused")),
      scope_(executor) {}

void NetworkPublisher::open(PodSource pods) {
  pods_ = std::move(pods);
  for (const char* kind : {"Service", "Pod"}) {
    for (const auto& [key, object] : view_.all(kind)) dirty_.insert(key.name_space);
  }
  table_ = 1;  // the first one is applied even when it is empty: what is left of another run goes
  schedule();
}

void NetworkPublisher::changed(const std::string& name_space) {
  dirty_.insert(name_space);
  schedule();
}

void NetworkPublisher::withdraw(const std::string& name_space, const std::string& pod_uid,
                                std::function<void(bool)> done) {
  // What the table of a run before this one leads to is not known.
  const auto part = parts_.find(name_space);
  const bool was_endpoint =
      applied_ == 0 || (part != parts_.end() && part->second.endpoint_uids.contains(pod_uid));
  withdrawals_.push_back({.table = 0, .was_endpoint = was_endpoint, .done = std::move(done)});
  changed(name_space);
}

void NetworkPublisher::apply_again() {
  if (pods_ == nullptr) return;
  ++table_;
  schedule();
}

void NetworkPublisher::schedule() {
  if (scheduled_ || pods_ == nullptr) return;
  scheduled_ = true;
  // What else happens in this turn belongs to the same table.
  spawn_later(scope_, publish());
}

base::Task<> NetworkPublisher::publish() {
  scheduled_ = false;
  bool ports_changed = false, names_changed = false;
  for (const std::string& name_space : std::exchange(dirty_, {})) {
    Part next = compute(name_space);
    Part& part = parts_[name_space];
    ports_changed = ports_changed || next.ports != part.ports;
    names_changed = names_changed || !same(next.names, part.names);
    const bool empty = next.ports.empty() && next.names.empty() && next.endpoint_uids.empty();
    part = std::move(next);
    if (empty) parts_.erase(name_space);
  }
  if (names_changed && needs_.names) {
    std::vector<dns::ServiceName> names;
    for (const auto& [name_space, part] : parts_)
      names.insert(names.end(), part.names.begin(), part.names.end());
    needs_.names(std::move(names));
  }
  if (ports_changed) ++table_;
  for (Withdrawal& each : withdrawals_) {
    if (each.table == 0) each.table = table_;
  }
  settle();
  if (applied_ != table_ && !applying_ && !retry_) {
    applying_ = true;
    spawn_later(scope_, apply());
  }
  co_return;
}

NetworkPublisher::Part NetworkPublisher::compute(const std::string& name_space) const {
  Part part;
  const std::vector<EndpointPod> pods = pods_(name_space);
  for_each_in(view_, "Service", name_space, [&](const ObjectPtr& object) {
    const Service service = read_service(object->json);
    const auto endpoints = endpoints_of(service, pods);
    for (ServicePort& port : network_ports(service, endpoints))
      part.ports.push_back(std::move(port));
    part.names.push_back(dns_name(service, endpoints));
    for (const EndpointPod* each : endpoints) part.endpoint_uids.insert(each->pod->meta.uid);
  });
  for (const EndpointPod& pod : pods) {
    for (ServicePort& port : host_ports(pod, node_addresses_)) {
      part.ports.push_back(std::move(port));
      part.endpoint_uids.insert(pod.pod->meta.uid);
    }
  }
  return part;
}

base::Task<> NetworkPublisher::apply() {
  while (applied_ != table_) {
    const std::uint64_t table = table_;
    std::vector<ServicePort> ports;
    for (const auto& [name_space, part] : parts_)
      ports.insert(ports.end(), part.ports.begin(), part.ports.end());
    auto applied = co_await needs_.network.apply(std::move(ports));
    if (!applied) {
      failures_.add();
      needs_.log.warning("service table not applied", {{"error", applied.error()}});
      retry_ = needs_.alarms.call_at(needs_.clock.now() + kApplyRetry, [this] {
        retry_.reset();
        schedule();
      });
      break;
    }
    tables_.add();
    applied_ = table;
    settle();
  }
  applying_ = false;
}

void NetworkPublisher::settle() {
  std::vector<Withdrawal> ready;
  std::erase_if(withdrawals_, [&](Withdrawal& each) {
    if (each.table == 0 || each.table > applied_) return false;
    ready.push_back(std::move(each));
    return true;
  });
  for (const Withdrawal& each : ready) each.done(each.was_endpoint);
}

base::Task<> NetworkPublisher::stop() {
  pods_ = nullptr;
  withdrawals_.clear();
  scope_.cancel();
  co_await scope_.join();
}

}  // namespace nexus::orchestration
