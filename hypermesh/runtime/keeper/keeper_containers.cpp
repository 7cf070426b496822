#include <fcntl.h>
#include <fmt/format.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <csignal>

#include "runtime/core/pod_files.hpp"
#include "runtime/core/request_checks.hpp"
#include "runtime/core/user_lookup.hpp"
#include "runtime/keeper/keeper_state.hpp"
#include "runtime/keeper/process_file.hpp"
#include "runtime/keeper/rootfs.hpp"
#include "runtime/keeper/terminal.hpp"

namespace hypermesh::keeper {
namespace {

using base::Errc;
using nexus::ContainerState;

constexpr int kNotStartedCode = 128;  // as Docker has it for what could not be started
constexpr std::uint64_t kOpenFilesSoft = 65'536;
/// While the OCI runtime itself is in the container's cgroup it needs this much.
constexpr std::uint64_t kStartMemoryBytesMin = 24u << 20;
constexpr std::uint64_t kStartProcessesMin = 16;
/// A kill for memory that did not end the container by now hit another process of it.
constexpr auto kOomClaimDelay = std::chrono::seconds(1);
/// Longer is as good as for ever, and a sum with it would overflow.
constexpr base::Duration kGraceMax = std::chrono::hours(24 * 365);
/// After SIGKILL the kernel needs no longer than this, unless a process hangs in it.
constexpr auto kKillLimit = std::chrono::seconds(30);

nexus::ResourceLimits limits_at_start(nexus::ResourceLimits limits) {
  if (limits.memory_bytes_max)
    limits.memory_bytes_max = std::max(limits.memory_bytes_max, kStartMemoryBytesMin);
  if (limits.processes_max)
    limits.processes_max = std::max(limits.processes_max, kStartProcessesMin);
  return limits;
}

/// A file of users of the image; empty when there is none. Whatever it is, nothing outside of
/// `root` is read.
base::Result<std::string> read_user_file(int root, const char* path) {
  auto fd = open_in_root(root, path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
  if (!fd) {
    if (fd.error().code == Errc::NotFound) return std::string();
    return std::unexpected(base::wrap(std::move(fd).error(), fmt::format("the image's /{}", path)));
  }
  struct stat status{};
  if (::fstat(fd->get(), &status) != 0 || !S_ISREG(status.st_mode)) {
    return base::fail(Errc::InvalidArgument,
                      fmt::format("the image's /{} is no regular file", path));
  }
  auto text = read_all(fd->get(), kUserFileBytesMax);
  if (!text)
    return std::unexpected(
        base::wrap(std::move(text).error(), fmt::format("the image's /{}", path)));
  return text;
}

/// What this process may hand on: its bounding set.
CapabilitySet own_capabilities() {
  const std::string status = read_file("/proc/self/status", 64u << 10).value_or("");
  const std::size_t at = status.find("CapBnd:\t");
  return at == status.npos ? 0 : std::strtoull(status.c_str() + at + 8, nullptr, 16);
}

base::Result<ResolvedUser> look_up_user(const std::string& root, const StartContainer& request,
                                        bool ids_are_mapped) {
  const UniqueFd root_fd(::open(root.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!root_fd) return base::fail_errno(errno, fmt::format("cannot open {}", root));
  TRY(const std::string passwd, read_user_file(root_fd.get(), "etc/passwd"));
  TRY(const std::string group, read_user_file(root_fd.get(), "etc/group"));
  const auto& security = request.spec.security;
  return resolve_user({request.image.user, security.user, security.group,
                       security.supplemental_groups, security.run_as_non_root, ids_are_mapped},
                      passwd, group);
}

}  // namespace

base::Result<> Keeper::write_record(const Container& container, bool durably) {
  const std::string path = container.folder + "/record";
  const base::Bytes bytes = encode_container_record(container.record);
  return durably ? write_durably(path, bytes) : write_whole(path, bytes);
}

// Logs of the latest attempt and of the one before it are kept.
void Keeper::forget_old_logs(const std::string& uid, const std::string& name,
                             std::uint32_t attempt) {
  const std::string folder = log_folder_of(uid) + "/" + name;
  for (const auto& file : list_folder(folder)) {
    std::uint32_t of = 0;
    std::from_chars(file.data(), file.data() + file.size(), of);
    if (of + 1 < attempt) ::unlink((folder + "/" + file).c_str());
  }
}

Job<base::Result<nexus::ContainerStatus>> Keeper::start_container(StartContainer request) {
  const nexus::ContainerId id = request.spec.id;
  auto found = find_pod(id.pod_uid);
  if (!found) co_return std::unexpected(std::move(found).error());
  const auto pod = pods_.at(id.pod_uid);
  if (!pod->ready) {
    co_return std::unexpected(base::with_hint(
        base::make_error(Errc::FailedPrecondition,
                         fmt::format("pod {} has no sandbox", pod->record.spec.name)),
        "create the pod again"));
  }
  CO_TRY_DO(check_access(options_.access, pod->record.spec.host_users, request.spec.security));
  for (auto old = pod->containers.find(id.name); old != pod->containers.end();
       old = pod->containers.find(id.name)) {
    const auto container = old->second;
    if (container->starting) {
      co_await container->changed.wait();
      continue;
    }
    const auto& status = container->record.status;
    if (status.attempt == request.spec.attempt) co_return status;
    if (status.attempt > request.spec.attempt || status.state != ContainerState::Exited) {
      co_return base::fail(
          Errc::FailedPrecondition,
          fmt::format("attempt {} of container {} {}", status.attempt, id.name,
                      status.state == ContainerState::Exited ? "was there already" : "still runs"));
    }
    break;
  }
  while (std::ranges::any_of(request.image.layers, [&](const auto& layer) {
    return layers_being_removed_.contains(layer);
  })) {
    co_await layers_changed_.wait();
  }
  if (pod->removing || !pod->ready)
    co_return base::fail(Errc::NotFound, fmt::format("pod {} is being removed", id.pod_uid));

  const auto previous = pod->containers.contains(id.name) ? pod->containers.at(id.name) : nullptr;
  if (!previous && pod->containers.size() >= kContainersMax) {
    co_return base::fail(Errc::ResourceExhausted,
                         fmt::format("pod {} has {} containers; at most {} are allowed",
                                     pod->record.spec.name, kContainersMax, kContainersMax));
  }
  const auto container = std::make_shared<Container>(loop_);
  container->starting = true;
  container->record.boot_id = boot_id_;
  container->record.layers = request.image.layers;
  container->record.stop_signal = request.image.stop_signal;
  auto& status = container->record.status;
  status.id = id;
  status.attempt = request.spec.attempt;
  status.image = request.spec.image;
  container->folder =
      fmt::format("{}/containers/{}/{}", pod_folder(id.pod_uid), id.name, status.attempt);
  container->wants_input = request.spec.stdin_open;
  container->terminal = request.spec.terminal;
  pod->containers[id.name] = container;
  ++pod->starts;
  for (const auto& layer : container->record.layers) ++layers_in_use_[layer];

  auto started = co_await run_container(*pod, *container, request);

  if (!started && container->running()) {
    kill_container(*container);
    while (container->running()) co_await container->changed.wait();
  }
  container->starting = false;
  if (previous) spawn(forget_attempt(pod, previous));
  if (!started) {
    if (status.state != ContainerState::Exited) {
      status.state = ContainerState::Exited;
      status.exit_code = kNotStartedCode;
      status.finished = clock_.wall();
    }
    status.message = started.error().describe();
    log_.warning(
        "container not started",
        {{"pod", pod->record.spec.name}, {"container", id.name}, {"error", started.error()}});
    if (auto written = write_record(*container, true); !written) {
      log_.error("cannot write a container's record",
                 {{"container", id.name}, {"error", written.error()}});
    }
    spawn(clear_attempt(*pod, container));
  } else {
    outlet_.tell_all(nexus::DriverEvent{nexus::DriverEvent::Kind::ContainerStarted, status});
    if (!container->running())
      outlet_.tell_all(nexus::DriverEvent{nexus::DriverEvent::Kind::ContainerExited, status});
  }
  --pod->starts;
  container->changed.notify();
  pod->changed.notify();
  if (!started) {
    co_return std::unexpected(
        base::wrap(std::move(started).error(), fmt::format("cannot start container {}", id.name)));
  }
  co_return status;
}

base::Result<> Keeper::prepare_cgroup(const Container& container,
                                      const nexus::ResourceLimits& limits) {
  TRY_DO(cgroups_->create(container.oci.cgroup));
  TRY(const auto writes, limit_writes(cgroups_->version(), limits, io_device_));
  return cgroups_->limit(container.oci.cgroup, writes);
}

Job<base::Result<>> Keeper::run_container(Pod& pod, Container& container,
                                          const StartContainer& request) {
  const nexus::ContainerId& id = request.spec.id;
  const auto& security = request.spec.security;
  const std::string attempt = fmt::format("{}-{}", id.name, request.spec.attempt);
  container.oci = {fmt::format("{}_{}", id.pod_uid, attempt), options_.run_folder + "/oci",
                   fmt::format("{}/{}", work_folder_of(id.pod_uid), attempt),
                   fmt::format("{}/{}/{}", options_.cgroup, id.pod_uid, attempt)};
  const std::string& top = pod_folder(id.pod_uid);
  for (const std::string& folder :
       {top + "/containers", top + "/containers/" + id.name, container.folder}) {
    CO_TRY_DO(make_folder(folder, 0711));
  }
  // Files in it belong to those who may read logs.
  CO_TRY_DO(make_folder(log_folder_of(id.pod_uid) + "/" + id.name, 02750, {0, options_.log_group}));
  CO_TRY_DO(make_folder(work_folder_of(id.pod_uid), 0711));
  CO_TRY_DO(make_folder(container.oci.work_folder, 0711));
  forget_old_logs(id.pod_uid, id.name, request.spec.attempt);
  CO_TRY_DO(write_record(container, false));

  if (calls_->tool().leaves_cgroups) {
    CO_TRY_DO(prepare_cgroup(container, limits_at_start(request.spec.resources)));
    if (!security.privileged) CO_TRY_DO(cgroups_->confine_devices(container.oci.cgroup));
  }
  auto pid = co_await launch(pod, container, request);
  // The container holds its root and its volumes itself from here on.
  unmount_rootfs(container.folder);
  release_mounts(container.folder);
  ::unlink((container.oci.work_folder + "/config.json").c_str());
  if (!pid) co_return std::unexpected(std::move(pid).error());

  if (!calls_->tool().leaves_cgroups ||
      limits_at_start(request.spec.resources) != request.spec.resources) {
    if (auto limited = prepare_cgroup(container, request.spec.resources); !limited) {
      kill_container(container);
      container.record.status.message = limited.error().describe();
      log_.warning("cannot set a container's limits",
                   {{"container", id.name}, {"error", limited.error()}});
    }
  }
  CO_TRY_DO(write_record(container, false));
  log_.info("container started", {{"pod", pod.record.spec.name},
                                  {"container", id.name},
                                  {"attempt", request.spec.attempt},
                                  {"pid", *pid}});
  co_return base::Result<>{};
}

Job<base::Result<pid_t>> Keeper::launch(Pod& pod, Container& container,
                                        const StartContainer& request) {
  const Loop::ExpectsChild expects(loop_);
  const nexus::ContainerId& id = request.spec.id;
  const VolumePlace place = volume_place(pod);
  container.io = std::make_unique<ContainerIo>(
      loop_, clock_,
      LogFile(fmt::format("{}/{}/{}.log", log_folder_of(id.pod_uid), id.name, request.spec.attempt),
              request.logs));
  ContainerEnds ends;
  std::optional<TerminalSocket> console;
  OciStdio stdio;
  if (request.spec.terminal) {
    CO_TRY(auto socket,
           TerminalSocket::open(fmt::format("{}/c{}", options_.run_folder, next_console_++)));
    console.emplace(std::move(socket));
    stdio.console_socket = console->path();
  } else {
    CO_TRY(ends, container.io->open_pipes(request.spec.stdin_open, place.root.uid, place.root.gid));
    stdio = {ends.in.get(), ends.out.get(), ends.err.get(), ""};
  }
  CO_TRY(OciCalls::Starting starting, calls_->begin_run(container.oci, stdio));
  ends = {};
  // What it says is read while the OCI runtime that has started it is still ending.
  if (!console) CO_TRY_DO(container.io->start());

  RootFs rootfs{container.folder, {}, pod.sandbox.layer_ids.get(), place.root};
  for (const auto& layer : request.image.layers) {
    CO_TRY(const ContentDigest digest, parse_digest_hex(layer));
    rootfs.layers.push_back(layers_->folder(LayerId{digest}));
  }
  CO_TRY(const std::string root, mount_rootfs(rootfs));
  CO_TRY(const OciContainer plan, plan_container(pod, container, request, root));
  CO_TRY_DO(write_whole(container.oci.work_folder + "/config.json",
                        base::as_bytes(make_oci_config(plan))));
  CO_TRY_DO(write_process_file(container.oci.work_folder + "/process", plan.process));

  CO_TRY(const pid_t pid, co_await calls_->go(std::move(starting), container.oci));
  watch_container(pod, container, pid);
  if (console) {
    auto terminal = co_await console->receive(loop_);
    if (!terminal) co_return std::unexpected(std::move(terminal).error());
    CO_TRY_DO(container.io->use_terminal(*std::move(terminal)));
    CO_TRY_DO(container.io->start());
  }
  co_return pid;
}

base::Result<OciContainer> Keeper::plan_container(Pod& pod, Container& container,
                                                  const StartContainer& request,
                                                  const std::string& root) {
  const auto& spec = pod.record.spec;
  const auto& security = request.spec.security;
  const VolumePlace place = volume_place(pod);
  OciContainer plan;
  plan.root = root;
  plan.read_only_root = security.read_only_root;
  plan.privileged = security.privileged;
  TRY(plan.process.capabilities, capabilities_of(security, spec.host_users));
  if (spec.host_users) {
    // A user namespace has every capability within itself; the machine may have lost some.
    const CapabilitySet missing = plan.process.capabilities & ~own_capabilities();
    if (missing && !security.privileged) {
      return base::fail(Errc::Unsupported, fmt::format("this machine does not have {}",
                                                       fmt::join(capability_names(missing), ", ")));
    }
    plan.process.capabilities &= ~missing;
  }
  TRY(const ResolvedUser user, look_up_user(root, request, !spec.host_users));
  plan.process.args = request.image.args;
  plan.process.env =
      complete_env(request.image.env, user.home, pod_hostname(spec), request.spec.terminal);
  plan.process.cwd =
      request.image.working_directory.empty() ? "/" : request.image.working_directory;
  plan.process.uid = user.uid;
  plan.process.gid = user.gid;
  plan.process.groups = user.groups;
  if (spec.fs_group && *spec.fs_group != user.gid) plan.process.groups.push_back(*spec.fs_group);
  plan.process.no_new_privileges = security.no_new_privileges && !security.privileged;
  plan.process.terminal = request.spec.terminal;
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) == 0) {
    plan.process.files_hard = files.rlim_max;
    plan.process.files_soft = std::min<std::uint64_t>(files.rlim_max, kOpenFilesSoft);
  }
  const auto path = [](const UniqueFd& fd) { return fd ? path_of_fd(fd.get()) : std::string(); };
  plan.namespaces = {path(pod.sandbox.namespaces.user), path(pod.sandbox.namespaces.network),
                     path(pod.sandbox.namespaces.ipc), path(pod.sandbox.namespaces.uts)};
  if (!spec.host_users) plan.ids = IdRange{place.root.uid};
  plan.shared_memory = place.pod_folder + "/shm";
  plan.hosts = place.pod_folder + "/hosts";
  plan.resolver = place.pod_folder + "/resolv.conf";
  plan.hostname = place.pod_folder + "/hostname";
  TRY(plan.volumes, place_mounts(place, spec.volumes, request.spec.mounts, container.folder,
                                 {pod.sandbox.host_ids.get(), pod.sandbox.layer_ids.get()}));
  plan.cgroup = container.oci.cgroup;
  plan.cgroup_version = cgroups_->version();
  plan.io_device = io_device_;
  if (!calls_->tool().leaves_cgroups) plan.limits = request.spec.resources;
  plan.seccomp = !security.seccomp_unconfined && !security.privileged;
  if (plan.seccomp && calls_->tool().takes_program) {
    TRY(plan.seccomp_program, seccomp_.program(plan.process.capabilities));
  }
  return plan;
}

void Keeper::watch_container(Pod& pod, Container& container, pid_t pid) {
  const nexus::ContainerId id = container.id();
  const std::uint32_t attempt = container.record.status.attempt;
  auto& status = container.record.status;
  status.state = ContainerState::Running;
  status.pid = pid;
  status.started = clock_.wall();
  // Until its end is read from the loop the pid cannot be another process': a descriptor holds on
  // to it.
  container.process.reset(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  ++pod.starts;  // its end has to be worked through
  loop_.on_exit(pid, [this, id, attempt](int wait_status) {
    container_ended(id.pod_uid, id.name, attempt, wait_status);
  });
  auto watch = cgroups_->watch_oom(container.oci.cgroup);
  if (!watch) return;
  container.oom_watch = *std::move(watch);
  const auto weak = std::weak_ptr<Container>(pod.containers.at(id.name));
  (void)loop_.watch(container.oom_watch.get(), EPOLLIN, [this, weak](std::uint32_t) {
    if (const auto alive = weak.lock()) note_oom(alive);
  });
}

void Keeper::note_oom(const std::shared_ptr<Container>& container) {
  read_oom_watch(container->oom_watch.get());
  const std::uint64_t kills = cgroups_->oom_kills(container->oci.cgroup);
  loop_.after(kOomClaimDelay, [weak = std::weak_ptr<Container>(container), kills] {
    if (const auto alive = weak.lock())
      alive->oom_kills_claimed = std::max(alive->oom_kills_claimed, kills);
  });
}

void Keeper::container_ended(const std::string& uid, const std::string& name, std::uint32_t attempt,
                             int wait_status) {
  const auto pod = pods_.at(uid);
  const auto container = pod->containers.at(name);
  auto& status = container->record.status;
  BASE_ASSERT(status.attempt == attempt, "a later attempt waits for the end of an earlier one");
  status.state = ContainerState::Exited;
  status.pid = 0;
  status.exit_code = exit_code_of(wait_status);
  status.signal = WIFSIGNALED(wait_status) ? WTERMSIG(wait_status) : 0;
  status.finished = clock_.wall();
  status.out_of_memory = status.signal == SIGKILL && !container->killed &&
                         cgroups_->oom_kills(container->oci.cgroup) > container->oom_kills_claimed;
  container->process.reset();
  if (container->oom_watch) {
    loop_.unwatch(container->oom_watch.get());
    container->oom_watch.reset();
  }
  if (container->io) container->io->finish();
  if (auto written = write_record(*container, true); !written) {
    log_.error("cannot write how a container ended", {{"pod", uid},
                                                      {"container", name},
                                                      {"code", status.exit_code},
                                                      {"error", written.error()}});
  }
  log_.info("container ended", {{"pod", pod->record.spec.name},
                                {"container", name},
                                {"attempt", attempt},
                                {"code", status.exit_code},
                                {"oom", status.out_of_memory}});
  // Where the start is still being worked through it tells of both, in their order.
  if (!container->starting)
    outlet_.tell_all(nexus::DriverEvent{nexus::DriverEvent::Kind::ContainerExited, status});
  container->changed.notify();
  spawn(clear_attempt(*pod, container));
  --pod->starts;
  pod->changed.notify();
}

// Everything of an attempt but its record and its log.
Job<void> Keeper::clear_attempt(Pod& pod, std::shared_ptr<Container> container) {
  if (container->clearing) co_return;
  container->clearing = true;
  const auto keep = pods_.at(pod.record.spec.uid);
  ++keep->starts;
  container->io.reset();
  cgroups_->kill(container->oci.cgroup);
  if (auto removed = co_await calls_->remove(container->oci); !removed) {
    log_.warning("the OCI runtime's notes of a container are left",
                 {{"container", container->oci.id}, {"error", removed.error()}});
  }
  base::Result<> removed;
  for (int round = 0; round < 200; ++round) {
    removed = cgroups_->remove(container->oci.cgroup);
    if (removed) break;
    co_await loop_.sleep(std::chrono::milliseconds(5));
  }
  if (!removed)
    log_.warning("a container's cgroup is left",
                 {{"container", container->oci.id}, {"error", removed.error()}});
  unmount_rootfs(container->folder);
  release_mounts(container->folder);
  (void)co_await run_in_copy(
      [&] {
        bool all = true;
        for (const char* part : {"upper", "work", "rootfs"})
          all = remove_tree(container->folder + "/" + part) && all;
        return remove_tree(container->oci.work_folder) && all ? 0 : 1;
      },
      "remove a container's files");
  for (const auto& layer : container->record.layers) {
    const auto used = layers_in_use_.find(layer);
    if (used != layers_in_use_.end() && --used->second == 0) layers_in_use_.erase(used);
  }
  --keep->starts;
  keep->changed.notify();
}

// What is left of one that a later attempt took the place of: its record, and what is being
// cleared.
Job<void> Keeper::forget_attempt(std::shared_ptr<Pod> pod, std::shared_ptr<Container> container) {
  ++pod->starts;
  (void)co_await run_in_copy([&] { return remove_tree(container->folder) ? 0 : 1; },
                             "remove an earlier attempt");
  --pod->starts;
  pod->changed.notify();
}

void Keeper::kill_container(Container& container) {
  container.killed = true;
  if (container.process)
    ::syscall(SYS_pidfd_send_signal, container.process.get(), SIGKILL, nullptr, 0);
  if (container.running()) cgroups_->kill(container.oci.cgroup);
}

Job<base::Result<nexus::ContainerStatus>> Keeper::stop_container(StopContainer request) {
  auto found = find_container(request.id);
  if (!found) co_return std::unexpected(std::move(found).error());
  const auto container = pods_.at(request.id.pod_uid)->containers.at(request.id.name);
  while (container->starting) co_await container->changed.wait();
  if (!container->running()) co_return container->record.status;
  if (request.grace > base::Duration::zero()) {
    ::syscall(SYS_pidfd_send_signal, container->process.get(), container->record.stop_signal,
              nullptr, 0);
  }
  co_return co_await await_end(container, std::min(request.grace, kGraceMax));
}

Job<base::Result<nexus::ContainerStatus>> Keeper::await_end(std::shared_ptr<Container> container,
                                                            base::Duration grace) {
  const auto weak = std::weak_ptr<Container>(container);
  const TimerId kill = loop_.after(grace, [this, weak] {
    if (const auto alive = weak.lock(); alive && alive->running()) kill_container(*alive);
  });
  bool late = false;
  const TimerId limit = loop_.after(grace + kKillLimit, [&late, weak] {
    late = true;
    if (const auto alive = weak.lock()) alive->changed.notify();
  });
  while (container->running() && !late) co_await container->changed.wait();
  loop_.cancel(kill);
  loop_.cancel(limit);
  if (container->running()) {
    co_return base::fail(
        Errc::TimedOut,
        fmt::format("container {} does not end, though it was killed: a process of it hangs "
                    "in the kernel",
                    container->id().name));
  }
  co_return container->record.status;
}

base::Result<> Keeper::signal_container(const SignalContainer& request) {
  TRY(Container * container, find_running(request.id));
  if (::syscall(SYS_pidfd_send_signal, container->process.get(), request.signal, nullptr, 0) != 0) {
    return base::fail_errno(errno, fmt::format("cannot signal container {}", request.id.name));
  }
  return {};
}

base::Result<> Keeper::set_limits(const SetLimits& request) {
  TRY(Container * container, find_running(request.id));
  TRY(const auto writes, limit_writes(cgroups_->version(), request.limits, io_device_));
  return cgroups_->limit(container->oci.cgroup, writes);
}

base::Result<std::vector<nexus::ContainerStats>> Keeper::stats(const Stats& request) {
  TRY(Pod * pod, find_pod(request.pod_uid));
  std::vector<nexus::ContainerStats> all;
  for (const auto& [name, container] : pod->containers) {
    if (!container->running()) continue;
    auto one = cgroups_->stats(container->oci.cgroup);
    if (!one) continue;  // it ended just now
    one->id = container->id();
    all.push_back(*std::move(one));
  }
  return all;
}

}  // namespace hypermesh::keeper
