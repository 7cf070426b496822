#include "process/process_workload_driver.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <base/http/socket.hpp>
#include <boost/asio/post.hpp>
#include <csignal>

#include "process/attempt_files.hpp"
#include "process/driver_parts.hpp"
#include "process/host_paths.hpp"
#include "process/launch.hpp"
#include "process/log_reader.hpp"
#include "process/proc_files.hpp"
#include "process/spawn.hpp"
#include "process/usage.hpp"

namespace nexus {

using base::Errc;
using base::Result;
using process::UniqueFd;

namespace {

/// The kernel ends a killed process at once, unless a device holds it.
constexpr base::Duration kKillMax = std::chrono::seconds(10);

std::unexpected<base::Error> unsupported(std::string what, std::string hint) {
  return std::unexpected(
      base::with_hint(base::make_error(Errc::Unsupported, std::move(what)), std::move(hint)));
}

}  // namespace

ProcessWorkloadDriver::ProcessWorkloadDriver(base::Executor executor, base::BlockingPool& pool,
                                             const base::Clock& clock, base::Log log,
                                             ProcessDriverOptions options, FolderLock lock)
    : executor_(std::move(executor)),
      pool_(pool),
      clock_(clock),
      log_(std::move(log)),
      options_(std::move(options)),
      lock_(std::move(lock)),
      places_{options_.folder},
      own_{::geteuid(), ::getegid()},
      scope_(executor_) {}

ProcessWorkloadDriver::~ProcessWorkloadDriver() = default;

base::Task<Result<std::unique_ptr<ProcessWorkloadDriver>>> ProcessWorkloadDriver::open(
    base::Executor executor, base::BlockingPool& pool, const base::Clock& clock, base::Log log,
    ProcessDriverOptions options) {
  if (::access(options.helper.c_str(), X_OK) != 0) {
    co_return base::fail_errno(
        errno, fmt::format("the program {}, which starts processes", options.helper.string()));
  }
  CO_TRY(FolderLock lock, FolderLock::acquire(options.folder));
  std::unique_ptr<ProcessWorkloadDriver> driver(new ProcessWorkloadDriver(
      std::move(executor), pool, clock, std::move(log), std::move(options), std::move(lock)));
  if (auto taken = co_await driver->take_over(); !taken) {
    co_await driver->stop();
    co_return std::unexpected(std::move(taken).error());
  }
  co_return driver;
}

base::Task<> ProcessWorkloadDriver::stop() {
  listener_ = {};
  scope_.cancel();
  co_await scope_.join();
}

base::Task<Result<>> ProcessWorkloadDriver::take_over() {
  CO_TRY(auto found, co_await pool_.run([places = places_, now = clock_.wall()] {
    return process::find_pods(places, now);
  }));
  for (process::FoundPod& each : found) {
    auto pod = std::make_shared<Pod>();
    pod->record = std::move(each.record);
    for (const auto& [name, latest] : each.containers) {
      CO_TRY(pod->containers[name], co_await adopt({pod->record.uid, name}, latest.attempt));
    }
    pods_[pod->record.uid] = std::move(pod);
  }
  co_return Result<>();
}

/// An attempt as the disk knows it. While it runs it is watched from now on.
base::Task<Result<ProcessWorkloadDriver::ContainerPtr>> ProcessWorkloadDriver::adopt(
    ContainerId id, std::uint32_t attempt) {
  const process::Path folder = places_.attempt(id.pod_uid, id.name, attempt);
  CO_TRY(auto facts, co_await pool_.run([folder] { return process::read_attempt(folder); }));
  if (facts.running && !facts.exit) {
    if (auto supervisor = process::open_process(facts.running->supervisor)) {
      facts.supervised = true;
      auto container =
          std::make_shared<Container>(executor_, process::status_of(id, attempt, facts));
      container->supervisor_pid = facts.running->supervisor.pid;
      container->supervisor = std::make_unique<process::AsyncFd>(executor_, *std::move(supervisor));
      // One that has just ended cannot be opened; its end is about to be recorded.
      if (auto first = process::open_process(facts.running->process))
        container->process = *std::move(first);
      scope_.spawn(watch(container));
      co_return container;
    }
    CO_TRY(facts, co_await pool_.run([folder, id, attempt, now = clock_.wall()] {
      return process::settle_attempt(folder, id, attempt, now);
    }));
  }
  co_return std::make_shared<Container>(executor_, process::status_of(id, attempt, facts));
}

/// Until its supervisor has ended: then its end is on disk.
base::Task<> ProcessWorkloadDriver::watch(ContainerPtr container) {
  if (!co_await container->supervisor->readable()) co_return;
  (void)process::reap(container->supervisor->get());
  const ContainerStatus running = container->status;
  const process::Path folder =
      places_.attempt(running.id.pod_uid, running.id.name, running.attempt);
  const auto recorded = co_await pool_.run([folder, running, now = clock_.wall()] {
    // Commands beside it end with it, and what they left.
    process::kill_marked(process::mark_of(running.id, running.attempt), false);
    return process::settle_attempt(folder, running.id, running.attempt, now);
  });
  if (recorded) {
    container->status = process::status_of(running.id, running.attempt, *recorded);
  } else {
    log_.error("the end of a container is not on disk",
               {{"container", running.id.name}, {"error", recorded.error()}});
    container->status.state = ContainerState::Exited;
    container->status.exit_code = process::lost_exit(clock_.wall()).exit_code;
    container->status.message = recorded.error().describe();
    container->status.finished = clock_.wall();
    container->status.pid = 0;
  }
  container->supervisor.reset();
  container->process.close();
  container->ended.notify();
  tell(DriverEvent::Kind::ContainerExited, container->status);
}

void ProcessWorkloadDriver::tell(DriverEvent::Kind kind, const ContainerStatus& status) {
  // Listeners may call us again; they are told from the executor, as others are.
  base::asio::post(executor_, [this, alive = std::weak_ptr<int>(alive_), kind, status] {
    if (!alive.expired() && listener_) listener_({kind, status});
  });
}

Result<ProcessWorkloadDriver::PodPtr> ProcessWorkloadDriver::find_pod(
    const std::string& uid) const {
  const auto found = pods_.find(uid);
  if (found != pods_.end() && !found->second->removing) return found->second;
  return base::fail(Errc::NotFound, fmt::format("no pod {} is here", uid));
}

Result<ProcessWorkloadDriver::ContainerPtr> ProcessWorkloadDriver::find_container(
    const ContainerId& id) const {
  TRY(const PodPtr pod, find_pod(id.pod_uid));
  const auto found = pod->containers.find(id.name);
  if (found != pod->containers.end()) return found->second;
  return base::fail(Errc::NotFound,
                    fmt::format("pod {} has no container {}", pod->record.name, id.name));
}

Result<ProcessWorkloadDriver::ContainerPtr> ProcessWorkloadDriver::find_running(
    const ContainerId& id) const {
  TRY(ContainerPtr container, find_container(id));
  if (container->runs()) return container;
  return base::fail(Errc::FailedPrecondition, fmt::format("container {} does not run", id.name));
}

PodStatus ProcessWorkloadDriver::status_of(const Pod& pod) const {
  PodStatus status{.uid = pod.record.uid,
                   .name_space = pod.record.name_space,
                   .name = pod.record.name,
                   .ready = true,
                   .addresses = options_.addresses,
                   .containers = {}};
  for (const auto& [name, container] : pod.containers)
    status.containers.push_back(container->status);
  return status;
}

base::Task<Result<ImageStatus>> ProcessWorkloadDriver::pull_image(
    std::string reference, PullPolicy policy, std::optional<RegistryCredentials>) {
  CO_TRY_DO(process::check_image(reference));
  CO_TRY(const std::uint64_t bytes, co_await pool_.run([=]() -> Result<std::uint64_t> {
    struct stat status{};
    if (::stat(reference.c_str(), &status) != 0) {
      base::Error error = base::errno_error(errno, fmt::format("program {}", reference));
      if (policy == PullPolicy::Never) error.code = Errc::FailedPrecondition;
      return std::unexpected(std::move(error));
    }
    if (!S_ISREG(status.st_mode) || ::access(reference.c_str(), X_OK) != 0) {
      return base::fail(Errc::InvalidArgument,
                        fmt::format("{} is no program that this daemon may run", reference));
    }
    return static_cast<std::uint64_t>(status.st_size);
  }));
  co_return ImageStatus{.reference = reference, .resolved = reference, .bytes = bytes, .user = {}};
}

base::Task<Result<PodStatus>> ProcessWorkloadDriver::create_pod(PodSpec spec) {
  CO_TRY_DO(process::check_pod(spec));
  if (const auto found = pods_.find(spec.uid); found != pods_.end()) {
    CO_TRY(const PodPtr pod, find_pod(spec.uid));
    co_return status_of(*pod);
  }
  auto pod = std::make_shared<Pod>();
  pod->record = process::record_of(spec);
  CO_TRY_DO(co_await pool_.run([places = places_, record = pod->record, spec]() -> Result<> {
    TRY_DO(process::provide_host_paths(spec.volumes));
    return process::write_pod(places, record);
  }));
  // Somebody else may have made it meanwhile: the same one.
  const PodPtr made = pods_.try_emplace(spec.uid, std::move(pod)).first->second;
  co_return status_of(*made);
}

base::Task<bool> ProcessWorkloadDriver::ended_within(ContainerPtr container, base::Duration limit) {
  const base::MonotonicTime end = clock_.now() + limit;
  while (container->runs()) {
    const base::Duration left = end - clock_.now();
    if (left <= base::Duration(0)) co_return false;
    co_await container->ended.wait_for(left);
  }
  co_return true;
}

base::Task<Result<>> ProcessWorkloadDriver::kill(ContainerPtr container) {
  if (!container->runs()) co_return Result<>();
  // The supervisor kills the rest when the first process is gone.
  if (container->process) CO_TRY_DO(process::send_signal(container->process.get(), SIGKILL));
  if (co_await ended_within(container, kKillMax)) co_return Result<>();
  co_return base::fail(
      Errc::TimedOut,
      fmt::format("container {} still runs {} s after SIGKILL", container->status.id.name,
                  std::chrono::duration_cast<std::chrono::seconds>(kKillMax).count()));
}

base::Task<Result<ContainerStatus>> ProcessWorkloadDriver::stop_container(ContainerId id,
                                                                          base::Duration grace) {
  CO_TRY(const ContainerPtr container, find_container(id));
  if (container->runs() && grace > base::Duration(0)) {
    if (container->process) CO_TRY_DO(process::send_signal(container->process.get(), SIGTERM));
    co_await ended_within(container, grace);
  }
  CO_TRY_DO(co_await kill(container));
  co_return container->status;
}

base::Task<Result<>> ProcessWorkloadDriver::signal_container(ContainerId id, int signal) {
  CO_TRY(const ContainerPtr container, find_running(id));
  if (!container->process) co_return Result<>();  // It has just ended.
  co_return process::send_signal(container->process.get(), signal);
}

base::Task<Result<>> ProcessWorkloadDriver::set_limits(ContainerId id, ResourceLimits limits) {
  CO_TRY_DO(find_container(id));
  co_return process::check_limits(limits);
}

base::Task<Result<>> ProcessWorkloadDriver::update_files(std::string, std::string volume,
                                                         std::vector<VolumeFile>) {
  co_return unsupported(fmt::format("volume {}: a plain process has no volumes of files", volume),
                        "give it its configuration in variables");
}

base::Task<Result<>> ProcessWorkloadDriver::remove_pod(std::string uid) {
  CO_TRY_DO(process::check_name(uid, "the pod's uid"));
  const auto found = pods_.find(uid);
  if (found == pods_.end()) co_return Result<>();
  const PodPtr pod = found->second;
  pod->removing = true;
  while (!pod->starts.empty()) {
    const auto start = pod->starts.begin()->second;
    while (!start->result) co_await start->done.wait();
  }
  for (const auto& [name, container] : pod->containers) {
    if (container->process && container->runs())
      CO_TRY_DO(process::send_signal(container->process.get(), SIGKILL));
  }
  const auto containers = pod->containers;
  for (const auto& [name, container] : containers) CO_TRY_DO(co_await kill(container));
  CO_TRY_DO(co_await pool_.run([places = places_, uid] {
    process::kill_marked(process::mark_of_pod(uid), true);
    return process::remove_pod_folder(places, uid);
  }));
  pods_.erase(uid);
  co_return Result<>();
}

base::Task<Result<std::vector<PodStatus>>> ProcessWorkloadDriver::list_pods() {
  std::vector<PodStatus> out;
  for (const auto& [uid, pod] : pods_) out.push_back(status_of(*pod));
  co_return out;
}

base::Task<Result<std::unique_ptr<ProcessSession>>> ProcessWorkloadDriver::attach(ContainerId) {
  co_return unsupported("a plain process has no streams to attach to",
                        "read its log, or run a command beside it");
}

base::Task<Result<std::unique_ptr<LogReader>>> ProcessWorkloadDriver::logs(LogQuery query) {
  CO_TRY_DO(process::check_name(query.container.pod_uid, "the pod's uid"));
  CO_TRY_DO(process::check_name(query.container.name, "the container's name"));
  process::Path folder = places_.container(query.container.pod_uid, query.container.name);
  co_return co_await process::open_log(executor_, pool_, std::move(folder), std::move(query));
}

base::Task<Result<std::unique_ptr<base::ByteStream>>> ProcessWorkloadDriver::connect(
    std::string pod_uid, std::uint16_t port) {
  CO_TRY_DO(find_pod(pod_uid));
  auto stream = co_await base::http::connect_tcp("127.0.0.1", port);
  if (!stream) stream = co_await base::http::connect_tcp("::1", port);
  co_return stream;
}

base::Task<Result<std::unique_ptr<base::ByteStream>>> ProcessWorkloadDriver::copy_out(ContainerId,
                                                                                      std::string) {
  co_return unsupported("a plain process has no files of its own to copy",
                        "its files are the machine's: copy them there");
}
base::Task<Result<std::unique_ptr<base::ByteStream>>> ProcessWorkloadDriver::copy_in(ContainerId,
                                                                                     std::string) {
  co_return unsupported("a plain process has no files of its own to copy to",
                        "its files are the machine's: copy them there");
}

base::Task<Result<std::vector<ContainerStats>>> ProcessWorkloadDriver::stats(std::string pod_uid) {
  CO_TRY(const PodPtr pod, find_pod(pod_uid));
  std::vector<std::pair<ContainerId, std::int32_t>> running;
  for (const auto& [name, container] : pod->containers) {
    if (container->runs()) running.emplace_back(container->status.id, container->supervisor_pid);
  }
  co_return co_await pool_.run([running = std::move(running)] {
    std::vector<ContainerStats> out;
    for (const auto& [id, supervisor] : running) out.push_back(process::usage_of(id, supervisor));
    return out;
  });
}

}  // namespace nexus
