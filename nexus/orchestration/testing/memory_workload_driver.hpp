#pragma once

#include <functional>
#include <nexus/workload_driver.hpp>
#include <set>

#include "orchestration/testing/crash_gate.hpp"

namespace nexus::orchestration {

/// Pods in memory: sandboxes stand and containers run at once, and end when the test says so. It is
/// the record of what runs, and survives the daemon that uses it, as the keeper does.
class MemoryWorkloadDriver final : public WorkloadDriver {
 public:
  struct Container {
    ContainerSpec spec;
    ContainerStatus status;
    ResourceLimits limits;
  };
  struct Pod {
    PodSpec spec;
    std::vector<std::string> addresses;
    std::map<std::string, Container> containers;
  };

  /// `clock` and `gate` are borrowed.
  MemoryWorkloadDriver(base::Executor executor, const base::Clock& clock, CrashGate& gate)
      : executor_(std::move(executor)), clock_(clock), gate_(gate) {}

  // What a test scripts.
  /// An error: the image cannot be fetched.
  std::function<std::optional<base::Error>(const std::string& reference)> on_pull;
  std::function<std::optional<base::Error>(const ContainerSpec&)> on_start;
  /// Called before a container is stopped or a pod is removed while it has addresses.
  std::function<void(const Pod&)> on_stop;
  std::function<int(const ExecSpec&)> on_exec;
  /// Called once while the answer of list_pods, which is made already, is on its way.
  std::function<void()> on_list;
  /// Containers of these images end with the code as soon as they run.
  std::map<std::string, int> exits_at_once;
  bool lost = false;  ///< Every call fails with Unavailable.

  // What a test sees.
  std::map<std::string, Pod> pods;
  std::vector<std::string> calls;       ///< "start web-1/web 0"
  std::vector<std::string> started;     ///< Attempts that came to run: "web-1/web 0".
  std::vector<std::string> violations;  ///< What no caller may do.

  /// A container ends by itself.
  void exit_container(const std::string& uid, const std::string& name, int code,
                      bool out_of_memory = false);
  /// Everything ends and is forgotten, as after a loss of power.
  void power_off() { pods.clear(); }
  void set_lost(bool is_lost);
  std::size_t running() const;

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
  base::Task<base::Result<>> begin(std::string call);
  Container* find(const ContainerId& id);
  void end(Container& container, int code);
  void tell(DriverEvent event);
  std::string name_of(const std::string& uid) const;

  base::Executor executor_;
  const base::Clock& clock_;
  CrashGate& gate_;
  std::function<void(DriverEvent)> listener_;
  std::int32_t last_pid_ = 1000;
  std::uint32_t last_address_ = 1;
};

}  // namespace nexus::orchestration
