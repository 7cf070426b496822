#pragma once

// Pods as plain processes of this machine: nexusd without HyperMesh. See README.md.

#include <base/async/blocking_pool.hpp>
#include <base/async/task_scope.hpp>
#include <base/log.hpp>
#include <filesystem>
#include <map>
#include <nexus/workload_driver.hpp>

#include "process/places.hpp"
#include "process/spec_checks.hpp"
#include "state/folder_lock.hpp"

namespace nexus {

struct ProcessDriverOptions {
  std::filesystem::path folder;        ///< Private to the driver; made when missing.
  std::filesystem::path helper;        ///< The program hypermesh-process.
  std::vector<std::string> addresses;  ///< The node's, IPv6 first: all pods have these.
};

/// Runs pods as plain processes. A container's image is the absolute path of a program.
///
/// Every container has a supervisor process that outlives this driver, and every step is on disk
/// before it is answered: a later driver on the same folder takes over what runs.
class ProcessWorkloadDriver final : public WorkloadDriver {
 public:
  /// Finds what runs already. `pool` and `clock` are borrowed and outlive the driver. Errors:
  /// FailedPrecondition (another driver has the folder), DataLoss (names the damaged record).
  static base::Task<base::Result<std::unique_ptr<ProcessWorkloadDriver>>> open(
      base::Executor executor, base::BlockingPool& pool, const base::Clock& clock, base::Log log,
      ProcessDriverOptions options);
  ~ProcessWorkloadDriver() override;
  /// Stops watching; what runs goes on. Await before destruction.
  base::Task<> stop();

  base::Task<base::Result<ImageStatus>> pull_image(
      std::string reference, PullPolicy policy,
      std::optional<RegistryCredentials> credentials) override;
  base::Task<base::Result<PodStatus>> create_pod(PodSpec spec) override;
  base::Task<base::Result<ContainerStatus>> start_container(ContainerSpec spec) override;
  base::Task<base::Result<ContainerStatus>> stop_container(ContainerId id,
                                                           base::Duration grace) override;
  base::Task<base::Result<>> signal_container(ContainerId id, int signal) override;
  base::Task<base::Result<>> set_limits(ContainerId id, ResourceLimits limits) override;
  base::Task<base::Result<>> update_files(std::string pod_uid, std::string volume,
                                          std::vector<VolumeFile> files) override;
  base::Task<base::Result<>> remove_pod(std::string uid) override;
  base::Task<base::Result<std::vector<PodStatus>>> list_pods() override;
  base::Task<base::Result<std::unique_ptr<ProcessSession>>> exec(ExecSpec spec) override;
  base::Task<base::Result<std::unique_ptr<ProcessSession>>> attach(ContainerId id) override;
  base::Task<base::Result<std::unique_ptr<LogReader>>> logs(LogQuery query) override;
  base::Task<base::Result<std::unique_ptr<base::ByteStream>>> connect(std::string pod_uid,
                                                                      std::uint16_t port) override;
  base::Task<base::Result<std::unique_ptr<base::ByteStream>>> copy_out(ContainerId id,
                                                                       std::string path) override;
  base::Task<base::Result<std::unique_ptr<base::ByteStream>>> copy_in(ContainerId id,
                                                                      std::string path) override;
  base::Task<base::Result<std::vector<ContainerStats>>> stats(std::string pod_uid) override;
  void listen(std::function<void(DriverEvent)> listener) override {
    listener_ = std::move(listener);
  }

 private:
  struct Container;
  struct Start;
  struct Pod;
  using ContainerPtr = std::shared_ptr<Container>;
  using PodPtr = std::shared_ptr<Pod>;

  ProcessWorkloadDriver(base::Executor executor, base::BlockingPool& pool, const base::Clock& clock,
                        base::Log log, ProcessDriverOptions options, FolderLock lock);
  base::Task<base::Result<>> take_over();

  base::Result<PodPtr> find_pod(const std::string& uid) const;
  base::Result<ContainerPtr> find_container(const ContainerId& id) const;
  base::Result<ContainerPtr> find_running(const ContainerId& id) const;
  PodStatus status_of(const Pod& pod) const;

  base::Task<> run_start(PodPtr pod, std::shared_ptr<Start> start, ContainerSpec spec);
  base::Task<base::Result<ContainerStatus>> start(PodPtr pod, ContainerSpec spec);
  base::Task<base::Result<ContainerPtr>> adopt(ContainerId id, std::uint32_t attempt);
  base::Task<> watch(ContainerPtr container);
  base::Task<bool> ended_within(ContainerPtr container, base::Duration limit);
  base::Task<base::Result<>> kill(ContainerPtr container);
  void tell(DriverEvent::Kind kind, const ContainerStatus& status);

  base::Executor executor_;
  base::BlockingPool& pool_;
  const base::Clock& clock_;
  base::Log log_;
  ProcessDriverOptions options_;
  FolderLock lock_;
  process::Places places_;
  process::OwnUser own_;
  std::map<std::string, PodPtr> pods_;
  std::function<void(DriverEvent)> listener_;
  std::shared_ptr<int> alive_ = std::make_shared<int>();  ///< For what is posted.
  base::TaskScope scope_;
};

}  // namespace nexus
