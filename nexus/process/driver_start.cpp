// Starting containers, and commands beside them: see process_workload_driver.hpp.

#include <base/file.hpp>

#include "process/attempt_files.hpp"
#include "process/become.hpp"
#include "process/command_session.hpp"
#include "process/driver_parts.hpp"
#include "process/spawn.hpp"

namespace nexus {

using base::Errc;
using base::Result;

namespace {

constexpr std::size_t kReportBytesMax = 4096;
constexpr std::size_t kLaunchBytesMax = 16u << 20;

/// A child of ours that ends now.
base::Task<> await_and_reap(base::Executor executor, process::UniqueFd pidfd) {
  process::AsyncFd child(executor, std::move(pidfd));
  co_await child.readable();
  (void)process::reap(child.get());
}

}  // namespace

base::Task<Result<ContainerStatus>> ProcessWorkloadDriver::start_container(ContainerSpec spec) {
  CO_TRY(const PodPtr pod, find_pod(spec.id.pod_uid));
  CO_TRY_DO(process::check_container(spec, pod->record, own_));
  auto& slot = pod->starts[spec.id.name];
  if (slot != nullptr && slot->attempt != spec.attempt) {
    co_return base::fail(
        Errc::FailedPrecondition,
        fmt::format("attempt {} of container {} is being started", slot->attempt, spec.id.name));
  }
  std::shared_ptr<Start> start = slot;
  if (start == nullptr) {
    start = slot = std::make_shared<Start>(executor_);
    start->attempt = spec.attempt;
    scope_.spawn(run_start(pod, start, std::move(spec)));
  }
  while (!start->result) co_await start->done.wait();
  co_return *start->result;
}

base::Task<> ProcessWorkloadDriver::run_start(PodPtr pod, std::shared_ptr<Start> begun,
                                              ContainerSpec spec) {
  const std::string name = spec.id.name;
  begun->result = co_await start(pod, std::move(spec));
  pod->starts.erase(name);
  begun->done.notify();
}

base::Task<Result<ContainerStatus>> ProcessWorkloadDriver::start(PodPtr pod, ContainerSpec spec) {
  const ContainerId id = spec.id;
  if (const auto known = pod->containers.find(id.name); known != pod->containers.end()) {
    const ContainerStatus& latest = known->second->status;
    const bool begun = latest.state != ContainerState::Created;
    if (latest.attempt == spec.attempt && begun) co_return latest;
    if (latest.state == ContainerState::Running || spec.attempt < latest.attempt) {
      co_return base::fail(
          Errc::FailedPrecondition,
          fmt::format("attempt {} of container {} cannot start: attempt {} {}", spec.attempt,
                      id.name, latest.attempt,
                      latest.state == ContainerState::Running ? "runs" : "was started already"));
    }
  }
  const process::Path folder = places_.attempt(id.pod_uid, id.name, spec.attempt);
  CO_TRY(process::UniqueFd lock, co_await pool_.run([folder, image = spec.image] {
    return process::begin_attempt(folder, {image});
  }));
  const process::Launch launch =
      process::launch_of(spec, pod->record, places_.work(id.pod_uid).string());
  CO_TRY(process::Spawned spawned,
         process::spawn_helper(options_.helper, {"supervise", folder.string()}, launch,
                               {.lock = lock.get()}));
  lock.close();
  process::AsyncFd report(executor_, std::move(spawned.report));
  CO_TRY(const base::Bytes failure, co_await report.read(kReportBytesMax));
  if (!failure.empty()) {
    co_await await_and_reap(executor_, std::move(spawned.pidfd));
    co_await pool_.run([folder] { return process::remove_attempt(folder); });
    co_return std::unexpected(process::start_error(base::as_text(failure)));
  }
  CO_TRY(const ContainerPtr container, co_await adopt(id, spec.attempt));
  // One that is watched is reaped by its watcher.
  if (container->supervisor == nullptr)
    co_await await_and_reap(executor_, std::move(spawned.pidfd));
  if (container->status.state == ContainerState::Created) {
    co_return base::fail(Errc::Internal,
                         fmt::format("the supervisor of container {} ended at once", id.name));
  }
  pod->containers[id.name] = container;
  tell(DriverEvent::Kind::ContainerStarted, container->status);
  if (!container->runs()) tell(DriverEvent::Kind::ContainerExited, container->status);
  co_await pool_.run(
      [container_folder = places_.container(id.pod_uid, id.name), attempt = spec.attempt] {
        process::remove_older_attempts(container_folder, attempt);
        return 0;
      });
  co_return container->status;
}

base::Task<Result<std::unique_ptr<ProcessSession>>> ProcessWorkloadDriver::exec(ExecSpec spec) {
  CO_TRY(const ContainerPtr container, find_running(spec.container));
  if (spec.terminal) {
    co_return std::unexpected(base::with_hint(
        base::make_error(Errc::Unsupported, "commands beside a plain process have no terminal"),
        "leave out --tty"));
  }
  if (spec.command.empty()) co_return base::fail(Errc::InvalidArgument, "the command is empty");
  // The environment is in the memory of the supervisor only.
  CO_TRY(const std::string memory, co_await pool_.run([pid = container->supervisor_pid] {
    return base::read_file(fmt::format("/proc/{}/fd/{}", pid, process::kLaunchFd), kLaunchBytesMax);
  }));
  CO_TRY(const process::Launch of_container, process::decode_launch(base::as_bytes(memory)));
  co_return co_await process::start_command(scope_, options_.helper,
                                            process::beside(of_container, std::move(spec.command)),
                                            spec.stdin_open);
}

}  // namespace nexus
