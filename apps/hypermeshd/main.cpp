// One node with all three layers.

#include <fmt/format.h>

#include <algorithm>
#include <hypermesh/node/node.hpp>
#include <nexus/node/node.hpp>
#include <stoq/node/node.hpp>

#include "daemon/daemon.hpp"
#include "place.hpp"

namespace {

/// For fsync, RocksDB and log files; image transfers have threads of their own.
constexpr std::size_t kBlockingThreads = 4;

nexus::NodeConfig nexus_config(const apps::Place& place, const base::config::Effective& config,
                               const stoq::Node& stoq) {
  const auto& cluster = place.identity.cluster;
  const auto own = place.identity.addresses();
  nexus::NodeConfig out;
  out.name = place.identity.name;
  out.addresses = {own.node6.to_string(), own.node4.to_string()};
  out.prefixes = {cluster.v6.to_string(), cluster.v4.to_string()};
  out.stoq = stoq::reached_at(stoq.listening(), out.addresses.front());
  out.state = place.state;
  out.run = place.run;
  out.version = HYPERMESH_VERSION;
  out.storage = {.memory = config.text("hypermesh.storage.backend") == "memory",
                 .fsync = config.flag("hypermesh.storage.fsync")};
  out.runs_workloads = config.flag("hypermesh.runtime.enabled");
  return out;
}

// A machine's own file may say the same as the transport's section, and stands before it.
stoq::NodeConfig stoq_config(const apps::Place& place, const base::config::Effective& config) {
  auto made = stoq::node_config(config, place.state / "identity.key");
  if (config.at("hypermesh.node.listen_address").given())
    made.listen = stoq::listen_address(config.endpoint("hypermesh.node.listen_address"));
  if (config.at("hypermesh.node.max_connections").given())
    made.connections_max = config.size("hypermesh.node.max_connections");
  return made;
}

hypermesh::keeper::LogLimits log_limits(const base::config::Effective& config) {
  return {config.size("hypermesh.runtime.log_size"),
          static_cast<std::uint32_t>(config.integer("hypermesh.runtime.log_files"))};
}

nexus::NodeParts nexus_parts(hypermesh::Node& node) {
  using State = nexus::api::DoctorCheck::State;
  nexus::NodeParts parts{.driver = node.runtime(),
                         .network = node.services(),
                         .service_addresses = node.service_addresses(),
                         .images = &node.images()};
  parts.problems = [&node] {
    std::vector<nexus::api::NodeProblem> problems;
    if (!node.keeper_connected())
      problems.push_back({"the keeper does not answer: no container can be started", "hm doctor"});
    return problems;
  };
  parts.checks = [&node]() -> std::vector<nexus::api::DoctorCheck> {
    if (node.keeper_connected()) {
      return {{State::Ok, "keeper", "the keeper answers: " + node.keeper_description(), {}}};
    }
    return {{State::Failed, "keeper", "the keeper does not answer: no container can be started",
             "systemctl restart hypermesh-keeper, or hm dev --detach"}};
  };
  return parts;
}

base::Task<base::Result<>> run(apps::DaemonContext daemon, base::Task<> stopped) {
  CO_TRY(const apps::Place place, apps::find_place(daemon));
  base::BlockingPool pool(kBlockingThreads);
  const base::SystemClock clock;
  base::SystemRng rng;
  const auto metrics = base::make_prometheus_metrics(apps::hidden_figures(daemon.config));

  CO_TRY(const auto stoq, stoq::NodeBuilder(daemon.executor, stoq_config(place, daemon.config),
                                            *metrics, daemon.log.with_component("stoq"))
                              .build());

  CO_TRY(const auto mesh,
         co_await hypermesh::NodeBuilder(daemon.executor, pool, clock, rng, daemon.log,
                                         {.identity = place.identity,
                                          .keeper_socket = place.run / "keeper.sock",
                                          .state = place.state,
                                          .logs = log_limits(daemon.config)})
             .build());

  auto nexus = co_await nexus::NodeBuilder(
                   {daemon.executor, pool, clock, rng, *metrics, daemon.log}, daemon.config,
                   nexus_config(place, daemon.config, *stoq), stoq->key(), nexus_parts(*mesh))
                   .build();
  if (nexus) {
    stoq->start();
    daemon.log.info("ready", {{"node", place.identity.name}, {"api", (*nexus)->info().api}});
    co_await std::move(stopped);
    daemon.log.info("stopping");
    co_await (*nexus)->stop();
  }
  co_await stoq->stop();
  co_await mesh->stop();
  if (!nexus) co_return std::unexpected(std::move(nexus).error());
  co_return base::Result<>();
}

}  // namespace

int main(int argc, char** argv) {
  return apps::run_daemon(argc, argv, "hypermeshd", run);
}
