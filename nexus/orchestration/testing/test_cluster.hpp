#pragma once

#include <base/metrics.hpp>
#include <boost/asio/io_context.hpp>
#include <functional>

#include "orchestration/cluster_orchestrator.hpp"
#include "orchestration/first_fit_placement.hpp"
#include "orchestration/testing/crash_gate.hpp"
#include "orchestration/testing/manual_time.hpp"
#include "orchestration/testing/memory_object_store.hpp"
#include "orchestration/testing/memory_workload_driver.hpp"
#include "orchestration/testing/recording_network.hpp"
#include "orchestration/testing/scripted_prober.hpp"
#include "orchestration/testing/sequential_addresses.hpp"

namespace nexus::orchestration {

/// A cluster of one node on doubles. Time, disk, driver and network are the test's, and outlive the
/// daemon, which may be killed at any step and started again.
class TestCluster {
 public:
  explicit TestCluster(std::uint64_t seed = 1);
  ~TestCluster();

  /// The daemon begins, and does what it can without time passing.
  void start();
  /// The daemon is no more. What it has written, and what runs, stays.
  void crash();
  ClusterOrchestrator& orchestrator() { return *orchestrator_; }
  /// The answer of start().
  bool has_started() const { return started_; }

  // What people do: as the API server does it.
  void apply(std::string_view manifests);
  void edit(const ObjectRef& ref, const std::function<void(Json&)>& change);
  void remove(const ObjectRef& ref);
  /// The answer of a call of the orchestrator that needs no time.
  template <class T>
  T answer(base::Task<T> call) {
    std::optional<T> out;
    tasks_->spawn([](base::Task<T> what, std::optional<T>& into) -> base::Task<> {
      into = co_await std::move(what);
    }(std::move(call), out));
    settle();
    return std::move(out).value();
  }

  /// Runs until only time can bring anything.
  void settle();
  /// Time passes, and what is due in it happens.
  void advance(base::Duration by);
  /// Time passes until `holds`. False: it did not within `limit`, or the daemon has died.
  bool wait_for(const std::function<bool()>& holds, base::Duration limit = std::chrono::minutes(5));

  // What is to be seen.
  Json get(const ObjectRef& ref) const;
  WorkloadState state(const std::string& kind, const std::string& name) const;
  /// Names of the pods whose label "app" is `app`, in the order of their names.
  std::vector<std::string> pods_of(const std::string& app) const;
  std::string uid_of(const std::string& pod) const;
  /// Addresses, of either family, that a service leads to, by the table and by DNS.
  std::set<std::string> backends(const std::string& service) const;
  std::set<std::string> resolved(const std::string& service) const;
  /// Reasons of the events about an object.
  std::vector<std::string> reasons(const ObjectRef& ref) const;
  /// What must never happen, and did.
  const std::vector<std::string>& violations() const { return driver.violations; }

 private:
  void on_stop(const MemoryWorkloadDriver::Pod& pod);

  boost::asio::io_context context_;
  base::SeededRng rng_;
  std::unique_ptr<base::Metrics> metrics_ = base::make_prometheus_metrics();
  FirstFitPlacement placement_;

 public:
  ManualTime time;
  CrashGate gate{context_.get_executor()};
  MemoryObjectStore store{context_.get_executor(), time, rng_, gate};
  MemoryWorkloadDriver driver{context_.get_executor(), time, gate};
  RecordingNetwork network{gate};
  ScriptedProber prober;
  EventLog events;
  std::vector<dns::ServiceName> names;  ///< As DNS was told last.

 private:
  // What lives as long as the daemon.
  std::unique_ptr<SequentialAddresses> addresses_;
  std::unique_ptr<base::TaskScope> tasks_;
  std::unique_ptr<ClusterOrchestrator> orchestrator_;
  bool started_ = false;
};

}  // namespace nexus::orchestration
