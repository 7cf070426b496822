// STOQ and Nexus without HyperMesh: pods are plain processes of this machine.

#include <unistd.h>

#include <array>
#include <nexus/node/node.hpp>
#include <nexus/orchestration/null_service_network.hpp>
#include <nexus/process/process_workload_driver.hpp>
#include <stoq/node/node.hpp>

#include "daemon/daemon.hpp"
#include "no_service_addresses.hpp"
#include "place.hpp"

namespace {

/// For fsync, RocksDB and records of processes.
constexpr std::size_t kBlockingThreads = 4;

std::string host_name() {
  std::array<char, 256> name{};
  return ::gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "localhost";
}

/// The program that processes are started through stands beside this one.
std::filesystem::path helper_program() {
  std::error_code failed;
  return std::filesystem::read_symlink("/proc/self/exe", failed).parent_path() /
         "hypermesh-process";
}

nexus::NodeConfig nexus_config(const apps::Place& place, const base::config::Effective& config,
                               const stoq::Node& stoq) {
  nexus::NodeConfig out;
  out.name = place.name;
  out.addresses = place.addresses;
  out.stoq = stoq::reached_at(stoq.listening(), out.addresses.empty() ? "" : out.addresses.front());
  out.state = place.state;
  out.run = place.run;
  out.version = HYPERMESH_VERSION;
  out.storage = {.memory = config.text("hypermesh.storage.backend") == "memory",
                 .fsync = config.flag("hypermesh.storage.fsync")};
  out.runs_workloads = config.flag("hypermesh.runtime.enabled");
  return out;
}

std::vector<nexus::api::DoctorCheck> checks() {
  return {
      {nexus::api::DoctorCheck::State::Ok,
       "processes",
       "pods are plain processes of user " + std::to_string(::geteuid()) + ", without isolation",
       {}}};
}

base::Task<base::Result<>> run(apps::DaemonContext daemon, base::Task<> stopped) {
  const apps::Place place = apps::find_place(daemon.config, host_name());
  std::error_code failed;
  std::filesystem::create_directories(place.state, failed);
  if (failed) co_return base::fail_errno(failed.value(), "making " + place.state.string());
  base::BlockingPool pool(kBlockingThreads);
  const base::SystemClock clock;
  base::SystemRng rng;
  const auto metrics = base::make_prometheus_metrics(apps::hidden_figures(daemon.config));

  CO_TRY(const auto stoq,
         stoq::NodeBuilder(daemon.executor, stoq::node_config(daemon.config, place.identity),
                           *metrics, daemon.log.with_component("stoq"))
             .build());
  CO_TRY(const auto processes,
         co_await nexus::ProcessWorkloadDriver::open(daemon.executor, pool, clock,
                                                     daemon.log.with_component("processes"),
                                                     {.folder = place.state / "processes",
                                                      .helper = helper_program(),
                                                      .addresses = place.addresses}));
  nexus::NullServiceNetwork network;
  apps::NoServiceAddresses addresses;
  nexus::NodeParts parts{.driver = *processes, .network = network, .service_addresses = addresses};
  parts.checks = checks;
  auto nexus = co_await nexus::NodeBuilder(
                   {daemon.executor, pool, clock, rng, *metrics, daemon.log}, daemon.config,
                   nexus_config(place, daemon.config, *stoq), stoq->key(), std::move(parts))
                   .build();
  if (nexus) {
    stoq->start();
    daemon.log.info("ready", {{"node", place.name}, {"api", (*nexus)->info().api}});
    co_await std::move(stopped);
    daemon.log.info("stopping; pods run on");
    co_await (*nexus)->stop();
  }
  co_await stoq->stop();
  co_await processes->stop();
  if (!nexus) co_return std::unexpected(std::move(nexus).error());
  co_return base::Result<>();
}

}  // namespace

int main(int argc, char** argv) {
  return apps::run_daemon(argc, argv, "nexusd", run);
}
