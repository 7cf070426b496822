#include "node/node.hpp"

#include <fmt/format.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "dns/dns_server.hpp"
#include "health/network_prober.hpp"
#include "node/api_endpoint.hpp"
#include "node/node_report.hpp"
#include "orchestration/cluster_orchestrator.hpp"
#include "orchestration/first_fit_placement.hpp"
#include "orchestration/timer_alarms.hpp"

namespace nexus {

using base::Result;
using orchestration::ClusterOrchestrator;

namespace {

/// Of the machine's memory, left to everything that is no pod.
constexpr std::uint64_t kMemoryReserve = 256ull << 20;

orchestration::OrchestratorNode describe(const NodeConfig& config,
                                         const base::config::Effective& effective) {
  orchestration::OrchestratorNode node;
  node.name = config.name;
  node.addresses = config.addresses;
  node.version = config.version;
  node.cpu_millis = static_cast<std::uint64_t>(::sysconf(_SC_NPROCESSORS_ONLN)) * 1000;
  struct sysinfo machine{};
  if (::sysinfo(&machine) == 0) {
    const std::uint64_t memory = std::uint64_t{machine.totalram} * machine.mem_unit;
    node.memory_bytes = memory - std::min(memory / 2, kMemoryReserve);
  }
  utsname kernel{};
  if (::uname(&kernel) == 0) node.kernel = kernel.release;
  const bool works = config.runs_workloads && effective.flag("nexus.orchestration.enabled");
  node.pods_max =
      works ? static_cast<std::uint64_t>(effective.integer("nexus.orchestration.pods_max")) : 0;
  return node;
}

/// "::" stands for the node's own addresses.
std::vector<std::string> listen_addresses(const base::config::Endpoint& listen,
                                          const std::vector<std::string>& own) {
  if (listen.address == "::") return own;
  return {listen.address};
}

std::string endpoint_text(const std::vector<std::string>& addresses, std::uint16_t port) {
  if (addresses.empty()) return {};
  const std::string& first = addresses.front();
  return first.contains(':') ? fmt::format("[{}]:{}", first, port)
                             : fmt::format("{}:{}", first, port);
}

class ComposedNode final : public Node {
 public:
  ComposedNode(NodeBasics basics, const base::config::Effective& effective, NodeConfig config,
               NodeParts parts)
      : basics_(std::move(basics)),
        effective_(effective),
        config_(std::move(config)),
        parts_(std::move(parts)),
        started_(basics_.clock.wall()),
        alarms_(basics_.executor, basics_.clock),
        prober_(basics_.executor, parts_.driver) {}

  base::Task<Result<>> open(const base::SigningKey& key) {
    CO_TRY(storage_, co_await Storage::open(basics_, config_.storage, config_.state, key));
    CO_TRY_DO(open_dns());
    orchestrator_ = std::make_unique<ClusterOrchestrator>(basics_.executor, needs(),
                                                          describe(config_, effective_));
    CO_TRY_DO(co_await orchestrator_->start());
    CO_TRY_DO(open_api());
    co_return Result<>();
  }

  Orchestrator& orchestrator() override { return *orchestrator_; }

  api::NodeInfo info() const override {
    api::NodeInfo info;
    info.name = config_.name;
    info.version = config_.version;
    info.addresses = config_.addresses;
    info.started = started_;
    info.stoq = config_.stoq;
    const auto api = effective_.endpoint("nexus.api.listen");
    info.api = endpoint_text(listen_addresses(api, config_.addresses), api.port);
    if (dns_ != nullptr) {
      const auto dns = effective_.endpoint("nexus.dns.listen");
      info.dns = endpoint_text(listen_addresses(dns, config_.addresses), dns.port);
    }
    if (parts_.problems) info.problems = parts_.problems();
    info.state = state(info.problems.empty());
    return info;
  }

  base::Task<> stop() override {
    stopping_ = true;
    if (server_) co_await server_->stop();
    if (orchestrator_) co_await orchestrator_->stop();
    if (dns_) co_await dns_->stop();
    if (storage_) co_await storage_->close();
  }

 private:
  std::string state(bool well) const {
    if (stopping_) return "Stopping";
    if (orchestrator_ == nullptr || !orchestrator_->ready()) return "Starting";
    return well ? "Ready" : "Degraded";
  }

  Result<> open_dns() {
    if (!effective_.flag("nexus.dns_ct.enabled")) return {};
    const auto listen = effective_.endpoint("nexus.dns.listen");
    dns::DnsServerOptions options;
    options.addresses = listen_addresses(listen, config_.addresses);
    options.port = listen.port;
    options.forward = effective_.list("nexus.dns.forward");
    for (const std::string& prefix : config_.prefixes) {
      TRY(zone_.reverse_zones.emplace_back(), dns::reverse_zone(prefix));
    }
    zone_.server_addresses = options.addresses;
    zone_.ttl_seconds = static_cast<std::uint32_t>(
        std::chrono::ceil<std::chrono::seconds>(effective_.duration("nexus.dns.ttl")).count());
    TRY(dns_, dns::DnsServer::open(basics_.executor, std::move(options),
                                   basics_.log.with_component("dns"), basics_.metrics));
    dns_->set_zone(dns::Zone::build(zone_));
    return {};
  }

  void publish(std::vector<dns::ServiceName> names) {
    if (dns_ == nullptr || !effective_.flag("nexus.discovery.enabled")) return;
    zone_.services = std::move(names);
    ++zone_.serial;
    dns_->set_zone(dns::Zone::build(zone_));
  }

  orchestration::OrchestratorNeeds needs() {
    return {.objects = storage_->objects(),
            .driver = parts_.driver,
            .network = parts_.network,
            .placement = placement_,
            .prober = prober_,
            .addresses = parts_.service_addresses,
            .events = events_,
            .clock = basics_.clock,
            .alarms = alarms_,
            .rng = basics_.rng,
            .metrics = basics_.metrics,
            .log = basics_.log.with_component("orchestration"),
            .names = [this](std::vector<dns::ServiceName> names) { publish(std::move(names)); }};
  }

  Result<> open_api() {
    api::Backend backend{
        .objects = storage_->objects(),
        .driver = parts_.driver,
        .audit = storage_->audit(),
        .events = events_,
        .images = parts_.images,
        .pool = basics_.pool,
        .metrics = basics_.metrics,
        .clock = basics_.clock,
        .rng = basics_.rng,
        .log = basics_.log.with_component("api"),
        .node = [this] { return info(); },
        .doctor = [this] { return doctor(); },
        .configuration = [this] { return config_items(effective_); },
        .allot =
            [this](Json& service, const Json* previous) {
              return orchestrator_->service_addresses().assign(service, previous);
            },
        .settle = [this](const ObjectRef& ref,
                         bool ended) { orchestrator_->settle_addresses(ref, ended); },
        .computed =
            [this](std::string_view kind, const std::optional<std::string>& name_space) {
              return kind == "Endpoints" ? orchestrator_->endpoints(name_space)
                                         : orchestrator_->endpoint_slices(name_space);
            },
        .spool = config_.state / "spool"};
    const auto listen = effective_.endpoint("nexus.api.listen");
    ApiEndpointOptions options;
    options.socket = config_.run / "api.sock";
    options.folder = config_.state / "api";
    options.addresses = listen_addresses(listen, config_.addresses);
    options.port = listen.port;
    options.node = config_.name;
    TRY(server_,
        nexus::open_api(basics_.executor, std::move(backend), options,
                        static_cast<std::size_t>(effective_.integer("nexus.api.connections_max"))));
    return {};
  }

  base::Task<std::vector<api::DoctorCheck>> doctor() {
    std::vector<api::DoctorCheck> checks{check_configuration(effective_)};
    checks.push_back(
        co_await basics_.pool.run([folder = config_.state] { return check_disk(folder); }));
    if (parts_.checks) std::ranges::move(parts_.checks(), std::back_inserter(checks));
    co_return checks;
  }

  NodeBasics basics_;
  const base::config::Effective& effective_;
  NodeConfig config_;
  NodeParts parts_;
  base::WallTime started_;
  bool stopping_ = false;
  dns::ZoneInput zone_;
  orchestration::TimerAlarms alarms_;
  orchestration::EventLog events_;
  FirstFitPlacement placement_;
  NetworkProber prober_;
  std::unique_ptr<Storage> storage_;
  std::unique_ptr<dns::DnsServer> dns_;
  std::unique_ptr<ClusterOrchestrator> orchestrator_;
  std::unique_ptr<api::ApiServer> server_;
};

}  // namespace

base::Task<Result<std::unique_ptr<Node>>> NodeBuilder::build() {
  for (const std::filesystem::path& folder : {config_.state, config_.run}) {
    std::error_code failed;
    std::filesystem::create_directories(folder, failed);
    if (failed) co_return base::fail_errno(failed.value(), folder.string());
  }
  auto node = std::make_unique<ComposedNode>(basics_, effective_, config_, parts_);
  if (auto opened = co_await node->open(key_); !opened) {
    co_await node->stop();
    co_return std::unexpected(std::move(opened).error());
  }
  co_return node;
}

}  // namespace nexus
