#include "orchestration/testing/test_cluster.hpp"

#include <fmt/format.h>

#include "manifest/manifest_file.hpp"
#include "orchestration/json_read.hpp"

namespace nexus::orchestration {

TestCluster::TestCluster(std::uint64_t seed) : rng_(seed) {
  driver.on_stop = [this](const MemoryWorkloadDriver::Pod& pod) { on_stop(pod); };
}

TestCluster::~TestCluster() {
  crash();
}

void TestCluster::start() {
  const base::Executor executor = context_.get_executor();
  addresses_ = std::make_unique<SequentialAddresses>();
  tasks_ = std::make_unique<base::TaskScope>(executor);
  orchestrator_ = std::make_unique<ClusterOrchestrator>(
      executor,
      OrchestratorNeeds{
          .objects = store,
          .driver = driver,
          .network = network,
          .placement = placement_,
          .prober = prober,
          .addresses = *addresses_,
          .events = events,
          .clock = time,
          .alarms = time,
          .rng = rng_,
          .metrics = *metrics_,
          .log = {},
          .names = [this](std::vector<dns::ServiceName> all) { names = std::move(all); }},
      OrchestratorNode{.name = "n1",
                       .addresses = {"fd00:1::1", "10.1.1.1"},
                       .labels = {{"disk", "ssd"}},
                       .cpu_millis = 4000,
                       .memory_bytes = 4ull << 30,
                       .version = "1.0",
                       .kernel = "6.1"});
  tasks_->spawn([](TestCluster& self) -> base::Task<> {
    const auto started = co_await self.orchestrator_->start();
    self.started_ = started.has_value();
  }(*this));
  settle();
}

void TestCluster::crash() {
  if (orchestrator_ == nullptr) return;
  tasks_->cancel();
  settle();
  boost::asio::co_spawn(context_, orchestrator_->stop(), [](std::exception_ptr thrown) {
    if (thrown) std::rethrow_exception(thrown);
  });
  settle();
  orchestrator_.reset();
  tasks_.reset();
  addresses_.reset();
  names.clear();
  started_ = false;
}

void TestCluster::apply(std::string_view manifests) {
  const manifest::ParsedFile file = manifest::parse_file(manifests, "test.yaml");
  BASE_ASSERT(file.accepted(), file.problems.front().headline());
  for (const manifest::FileObject& each : file.objects) {
    Json object = each.object;
    const ObjectRef ref = *ref_of(object);
    const ObjectPtr before = store.find(ref);
    if (ref.kind == "Service") {
      const auto allotted = orchestrator_->service_addresses().assign(
          object, before == nullptr ? nullptr : &before->json);
      BASE_ASSERT(allotted.has_value(), "addresses for a service");
    }
    const auto written = store.put(
        {.verb = before == nullptr ? ObjectWrite::Verb::Create : ObjectWrite::Verb::Update,
         .json = std::move(object)});
    BASE_ASSERT(written.has_value(), written ? "" : written.error().describe());
    if (ref.kind == "Service") orchestrator_->settle_addresses(ref, /*ended=*/true);
  }
  settle();
}

void TestCluster::edit(const ObjectRef& ref, const std::function<void(Json&)>& change) {
  Json object = get(ref);
  change(object);
  const auto written = store.put({.verb = ObjectWrite::Verb::Update, .json = std::move(object)});
  BASE_ASSERT(written.has_value(), written ? "" : written.error().describe());
  settle();
}

void TestCluster::remove(const ObjectRef& ref) {
  const ObjectPtr object = store.find(ref);
  BASE_ASSERT(object != nullptr, to_string(ref) + " exists");
  if (auto write = background_deletion_of(*object, time.wall())) {
    const auto written = store.put(*std::move(write));
    BASE_ASSERT(written.has_value(), written ? "" : written.error().describe());
  }
  settle();
}

void TestCluster::settle() {
  do context_.restart();
  while (context_.poll() > 0);
}

void TestCluster::advance(base::Duration by) {
  const base::MonotonicTime end = time.now() + by;
  settle();
  while (time.step(end)) settle();
  time.advance(end - time.now());
}

bool TestCluster::wait_for(const std::function<bool()>& holds, base::Duration limit) {
  const base::MonotonicTime end = time.now() + limit;
  settle();
  while (!holds()) {
    if (gate.dead() || !time.step(end)) return false;
    settle();
  }
  return !gate.dead();
}

Json TestCluster::get(const ObjectRef& ref) const {
  const ObjectPtr object = store.find(ref);
  return object == nullptr ? Json() : object->json;
}

WorkloadState TestCluster::state(const std::string& kind, const std::string& name) const {
  const Json object = get({kind, "default", name});
  return object.is_null() ? WorkloadState{} : *workload_state(object);
}

std::vector<std::string> TestCluster::pods_of(const std::string& app) const {
  std::vector<std::string> out;
  for (const auto& [key, object] : store.all("Pod")) {
    const Json* label = find(object->json, "metadata", "labels", "app");
    if (label != nullptr && *label == app) out.push_back(key.name);
  }
  return out;
}

std::string TestCluster::uid_of(const std::string& pod) const {
  return text(at(get({"Pod", "default", pod}), "metadata"), "uid");
}

std::set<std::string> TestCluster::backends(const std::string& service) const {
  std::set<std::string> out;
  for (const ServicePort& port : network.table) {
    if (!port.service.starts_with("default/" + service + ":")) continue;
    for (const ServicePort::Backend& backend : port.backends) out.insert(backend.address);
  }
  return out;
}

std::set<std::string> TestCluster::resolved(const std::string& service) const {
  std::set<std::string> out;
  for (const dns::ServiceName& name : names) {
    if (name.name_space != "default" || name.name != service) continue;
    for (const dns::EndpointName& endpoint : name.endpoints)
      out.insert(endpoint.addresses.begin(), endpoint.addresses.end());
  }
  return out;
}

std::vector<std::string> TestCluster::reasons(const ObjectRef& ref) const {
  std::vector<std::string> out;
  for (const EventRecord& record : events.about(ref, time.wall()))
    out.push_back(record.note.reason);
  return out;
}

/// No connection reaches a pod that people have deleted by the time it is stopped.
void TestCluster::on_stop(const MemoryWorkloadDriver::Pod& pod) {
  const Json object = get({"Pod", pod.spec.name_space, pod.spec.name});
  if (text(at(object, "metadata"), "uid") != pod.spec.uid ||
      find(object, "metadata", "deletionTimestamp") == nullptr)
    return;
  for (const std::string& address : pod.addresses) {
    if (network.leads_to(address))
      driver.violations.push_back(
          fmt::format("{} is stopped while {} leads to it", pod.spec.name, address));
  }
}

}  // namespace nexus::orchestration
