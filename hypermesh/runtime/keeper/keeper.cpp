#include "runtime/keeper/keeper.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "runtime/core/request_checks.hpp"
#include "runtime/keeper/cleanup.hpp"
#include "runtime/keeper/keeper_state.hpp"

namespace hypermesh::keeper {
namespace {

using base::Errc;

/// A keeper holds some descriptors for each pod and container.
void raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

template <class T>
Answer answer(base::Result<T> result) {
  if (!result) return {Failed{std::move(result).error()}, {}};
  if constexpr (std::is_void_v<T>) {
    return {Done{}, {}};
  } else {
    return {Reply(*std::move(result)), {}};
  }
}
Answer answer_fd(base::Result<UniqueFd> result) {
  if (!result) return {Failed{std::move(result).error()}, {}};
  Answer with_fd{Done{}, {}};
  with_fd.fds.push_back(*std::move(result));
  return with_fd;
}
Answer answer_whole(base::Result<Answer> result) {
  if (!result) return {Failed{std::move(result).error()}, {}};
  return *std::move(result);
}

}  // namespace

Keeper::Keeper(KeeperOptions options, Loop& loop, const base::Clock& clock, NodeNetwork& network,
               EventOutlet& outlet, base::Log log)
    : options_(std::move(options)),
      loop_(loop),
      clock_(clock),
      network_(network),
      outlet_(outlet),
      log_(std::move(log)),
      layers_changed_(loop),
      sandboxes_(loop, network, {options_.id_base, options_.spare_sandboxes}, log_) {}

Keeper::~Keeper() = default;

base::Result<> Keeper::prepare_folders() {
  // Containers' roots pass through these folders, so everyone may; nobody may look around.
  for (const char* name : {"", "/pods", "/volumes"})
    TRY_DO(make_folder(options_.state_folder + name, 0711));
  TRY_DO(make_folder(log_folder(), 0750, {0, options_.log_group}));
  lock_.reset(
      ::open((options_.state_folder + "/lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!lock_)
    return base::fail_errno(errno, fmt::format("cannot open {}/lock", options_.state_folder));
  if (::flock(lock_.get(), LOCK_EX | LOCK_NB) != 0) {
    return std::unexpected(base::with_hint(
        base::make_error(Errc::FailedPrecondition,
                         fmt::format("another keeper works in {}", options_.state_folder)),
        "end it first, or give this one another folder"));
  }
  return {};
}

base::Result<std::unique_ptr<Keeper>> Keeper::open(KeeperOptions options, Loop& loop,
                                                   const base::Clock& clock, NodeNetwork& network,
                                                   EventOutlet& outlet, base::Log log) {
  std::unique_ptr<Keeper> keeper(
      new Keeper(std::move(options), loop, clock, network, outlet, std::move(log)));
  raise_descriptor_limit();
  keeper->boot_id_ = boot_id();
  TRY_DO(keeper->prepare_folders());
  keeper->io_device_ = disk_of(keeper->options_.state_folder);
  TRY(keeper->cgroups_, open_cgroups());
  // Before anything new runs: what a predecessor left must be gone.
  TRY_DO(keeper->recover());
  ToolChoice choice;
  choice.candidates = keeper->options_.oci_runtimes;
  choice.work_folder = keeper->options_.run_folder + "/trial";
  choice.cgroup = keeper->options_.cgroup + "/trial";
  choice.ids = {keeper->options_.id_base};
  auto tool = choose_oci_tool(choice, *keeper->cgroups_, keeper->seccomp_);
  if (!tool) {
    (void)keeper->cgroups_->remove(keeper->options_.cgroup);
    return std::unexpected(std::move(tool).error());
  }
  if (!tool->remark.empty())
    keeper->log_.warning("not the fastest way to run containers", {{"why", tool->remark}});
  keeper->calls_ = std::make_unique<OciCalls>(loop, *keeper->cgroups_, *std::move(tool),
                                              keeper->options_.oci_time_limit);
  LayerStoreOptions layers;
  layers.root = keeper->options_.state_folder + "/layers";
  layers.unpacker_path = keeper->options_.unpacker_path;
  layers.id_base = keeper->options_.id_base;
  layers.in_use = [in_use = &keeper->layers_in_use_](const LayerId& id) {
    return in_use->contains(id.text());
  };
  TRY(keeper->layers_, LayerStore::open(std::move(layers)));
  keeper->sandboxes_.open();
  return keeper;
}

// --- Recovery
// ---------------------------------------------------------------------------------------------

base::Result<> Keeper::recover() {
  if (auto clean =
          clean_up_node(*cgroups_, options_.cgroup, options_.state_folder, options_.run_folder);
      !clean) {
    log_.warning("something of a predecessor is left", {{"error", clean.error()}});
  }
  TRY_DO(make_folder(options_.run_folder, 0711));
  TRY_DO(make_folder(options_.run_folder + "/oci", 0700));
  TRY_DO(make_folder(options_.run_folder + "/pods", 0711));
  for (const auto& uid : list_folder(options_.state_folder + "/pods")) {
    auto recovered = recover_pod(uid);
    if (recovered) continue;
    if (recovered.error().code == Errc::Unsupported) {
      const base::Error error = base::with_hint(
          base::wrap(recovered.error(), fmt::format("pod {} is of a later keeper", uid)),
          "install that hypermesh-keeper again; until then nothing of the pod is touched");
      log_.error("a pod is left alone", {{"pod", uid}, {"error", error}});
      pods_of_later_.emplace(uid, error);
      continue;
    }
    log_.warning("a pod's record is unreadable: the pod is removed",
                 {{"pod", uid}, {"error", recovered.error()}});
    (void)remove_tree(pod_folder(uid));
    (void)remove_tree(log_folder_of(uid));
  }
  for (const auto& uid : list_folder(log_folder())) {
    if (!pods_.contains(uid) && !pods_of_later_.contains(uid))
      (void)remove_tree(log_folder_of(uid));
  }
  if (auto kept = network_.keep_only({}); !kept) {
    log_.warning("links of a predecessor's pods are left", {{"error", kept.error()}});
  }
  return {};
}

base::Result<> Keeper::recover_pod(const std::string& uid) {
  TRY_DO(check_pod_uid(uid));
  TRY(const std::string bytes, read_file(pod_folder(uid) + "/record", kRecordBytesMax));
  TRY(PodRecord record, decode_pod_record(base::as_bytes(bytes)));
  if (record.spec.uid != uid) return base::fail(Errc::DataLoss, "the record is of another pod");
  TRY_DO(require_known_records(uid));
  TRY_DO(sandboxes_.reserve(record.slot));
  auto pod = std::make_shared<Pod>(loop_);
  pod->record = std::move(record);
  recover_containers(*pod);
  pods_[uid] = std::move(pod);
  return {};
}

/// Errors: Unsupported (a container's record is of a later version).
base::Result<> Keeper::require_known_records(const std::string& uid) const {
  const std::string top = pod_folder(uid) + "/containers";
  for (const auto& name : list_folder(top)) {
    for (const auto& attempt : list_folder(top + "/" + name)) {
      const auto bytes =
          read_file(fmt::format("{}/{}/{}/record", top, name, attempt), kRecordBytesMax);
      if (!bytes) continue;
      const auto record = decode_container_record(base::as_bytes(*bytes));
      if (!record && record.error().code == Errc::Unsupported)
        return std::unexpected(record.error());
    }
  }
  return {};
}

void Keeper::recover_containers(Pod& pod) {
  const std::string& uid = pod.record.spec.uid;
  const std::string top = pod_folder(uid) + "/containers";
  for (const auto& name : list_folder(top)) {
    for (const auto& attempt : list_folder(top + "/" + name)) {
      const std::string folder = fmt::format("{}/{}/{}", top, name, attempt);
      for (const char* part : {"upper", "work", "rootfs", "lower", "mounts"})
        (void)remove_tree(folder + "/" + part);
      const auto bytes = read_file(folder + "/record", kRecordBytesMax);
      auto record = bytes ? decode_container_record(base::as_bytes(*bytes))
                          : base::Result<ContainerRecord>(std::unexpected(bytes.error()));
      if (!record || record->status.id != nexus::ContainerId{uid, name}) {
        log_.warning("a container's record is unreadable: it is removed",
                     {{"pod", uid}, {"container", name}});
        (void)remove_tree(folder);
        continue;
      }
      auto container = std::make_shared<Container>(loop_);
      container->record = *std::move(record);
      container->folder = folder;
      nexus::ContainerStatus& status = container->record.status;
      if (status.state != nexus::ContainerState::Exited) {
        const bool same_boot = container->record.boot_id == boot_id_;
        status.state = nexus::ContainerState::Exited;
        status.pid = 0;
        status.signal = SIGKILL;
        status.exit_code = 128 + SIGKILL;
        status.finished = clock_.wall();
        status.message = same_boot ? "ended with its keeper" : "ended with the machine";
        if (auto written = write_record(*container, true); !written) {
          log_.error("cannot write a container's record",
                     {{"pod", uid}, {"container", name}, {"error", written.error()}});
        }
      }
      auto& latest = pod.containers[name];
      if (!latest || latest->record.status.attempt < status.attempt) {
        if (latest) (void)remove_tree(latest->folder);
        latest = std::move(container);
      } else {
        (void)remove_tree(folder);
      }
    }
  }
}

// --- Requests
// ---------------------------------------------------------------------------------------------

Job<Answer> Keeper::handle(ConnectionId connection, Request request, std::vector<UniqueFd> fds) {
  if (auto fits = check(request); !fits) co_return Answer{Failed{std::move(fits).error()}, {}};
  if (shutting_down_)
    co_return Answer{Failed{base::make_error(Errc::Unavailable, "the keeper is shutting down")},
                     {}};
  if (auto* r = std::get_if<CreatePod>(&request))
    co_return answer(co_await create_pod(std::move(*r)));
  if (auto* r = std::get_if<StartContainer>(&request))
    co_return answer(co_await start_container(std::move(*r)));
  if (auto* r = std::get_if<StopContainer>(&request))
    co_return answer(co_await stop_container(std::move(*r)));
  if (auto* r = std::get_if<SignalContainer>(&request)) co_return answer(signal_container(*r));
  if (auto* r = std::get_if<SetLimits>(&request)) co_return answer(set_limits(*r));
  if (auto* r = std::get_if<UpdateFiles>(&request)) co_return answer(update_files(*r));
  if (auto* r = std::get_if<RemovePod>(&request)) co_return answer(co_await remove_pod(r->uid));
  if (std::holds_alternative<ListPods>(request)) co_return Answer{list_pods(), {}};
  if (auto* r = std::get_if<Exec>(&request))
    co_return answer_whole(co_await exec(connection, std::move(*r)));
  if (auto* r = std::get_if<CloseSession>(&request)) {
    if (const auto found = sessions_.find(r->session);
        found != sessions_.end() && found->second.connection == connection) {
      ::kill(found->second.pid, SIGKILL);
    }
    co_return Answer{Done{}, {}};
  }
  if (auto* r = std::get_if<Attach>(&request)) co_return answer_whole(attach(*r));
  if (auto* r = std::get_if<Connect>(&request))
    co_return answer_fd(co_await connect(std::move(*r)));
  if (auto* r = std::get_if<HostSocket>(&request))
    co_return answer_fd(co_await host_socket(std::move(*r)));
  if (auto* r = std::get_if<Stats>(&request)) co_return answer(stats(*r));
  if (auto* r = std::get_if<InstallLayer>(&request)) {
    if (fds.size() != 1) {
      co_return Answer{
          Failed{base::make_error(Errc::InvalidArgument, "InstallLayer comes with one descriptor")},
          {}};
    }
    co_return answer(co_await install_layer(std::move(*r), std::move(fds[0])));
  }
  if (std::holds_alternative<ListLayers>(request)) co_return answer(list_layers());
  if (auto* r = std::get_if<RemoveLayer>(&request))
    co_return answer(co_await remove_layer(std::move(*r)));
  if (auto* r = std::get_if<CopyOut>(&request)) {
    co_return answer_whole(co_await copy(connection, std::move(r->id), std::move(r->path), true));
  }
  if (auto* r = std::get_if<CopyIn>(&request)) {
    co_return answer_whole(co_await copy(connection, std::move(r->id), std::move(r->path), false));
  }
  if (auto* r = std::get_if<ApplyServices>(&request))
    co_return answer(network_.apply_services(r->table));
  co_await shut_down(base::Duration::zero());
  powered_off_ = true;
  co_return Answer{Done{}, {}};
}

Job<void> Keeper::shut_down(base::Duration grace) {
  shutting_down_ = true;
  sandboxes_.close();
  for (auto& [id, session] : sessions_) ::kill(session.pid, SIGKILL);
  std::vector<std::shared_ptr<Pod>> pods;
  for (auto& [uid, pod] : pods_) pods.push_back(pod);
  // Each is told once: to many programs a second signal means to end at once.
  std::set<const Container*> told;
  const auto tell = [&](const Container& container) {
    if (!container.running() || !told.insert(&container).second) return;
    const int signal = grace > base::Duration::zero() ? container.record.stop_signal : SIGKILL;
    ::syscall(SYS_pidfd_send_signal, container.process.get(), signal, nullptr, 0);
  };
  // All at once, then one after the other.
  for (const auto& pod : pods) {
    for (const auto& [name, container] : pod->containers) tell(*container);
  }
  const base::MonotonicTime end = clock_.now() + grace;
  for (const auto& pod : pods) {
    const auto containers = pod->containers;
    for (const auto& [name, container] : containers) {
      while (container->starting) co_await container->changed.wait();
      tell(*container);
      const auto left = std::max(end - clock_.now(), base::Duration::zero());
      if (container->running()) (void)co_await await_end(container, left);
    }
    while (pod->starts > 0 || pod->busy) co_await pod->changed.wait();
    if (auto dropped = drop_sandbox(*pod); !dropped) {
      log_.warning("a pod's link is left",
                   {{"pod", pod->record.spec.uid}, {"error", dropped.error()}});
    }
    release_volumes(pod_folder(pod->record.spec.uid), pod->record.spec.volumes);
  }
  if (auto removed = network_.remove_services(); !removed) {
    log_.warning("the table of services is left", {{"error", removed.error()}});
  }
  cgroups_->kill(options_.cgroup);
  for (int round = 0; round < 100; ++round) {
    if (cgroups_->remove(options_.cgroup)) break;
    co_await loop_.sleep(std::chrono::milliseconds(10));
  }
}

void Keeper::connection_closed(ConnectionId connection) {
  for (auto& [id, session] : sessions_) {
    if (session.connection == connection) ::kill(session.pid, SIGKILL);
  }
}

base::Result<Keeper::Pod*> Keeper::find_pod(const std::string& uid) {
  const auto found = pods_.find(uid);
  if (found != pods_.end() && !found->second->removing) return found->second.get();
  return base::fail(Errc::NotFound, fmt::format("no pod {} on this node", uid));
}

base::Result<Keeper::Container*> Keeper::find_container(const nexus::ContainerId& id) {
  TRY(Pod * pod, find_pod(id.pod_uid));
  const auto found = pod->containers.find(id.name);
  if (found != pod->containers.end()) return found->second.get();
  return base::fail(Errc::NotFound, fmt::format("pod {} has no container {}", id.pod_uid, id.name));
}

base::Result<Keeper::Container*> Keeper::find_running(const nexus::ContainerId& id) {
  TRY(Container * container, find_container(id));
  if (container->running()) return container;
  return base::fail(Errc::FailedPrecondition, fmt::format("container {} does not run", id.name));
}

Job<base::Result<>> Keeper::run_in_copy(std::function<int()> body, std::string what) {
  auto child = start_copy({}, body);
  if (!child) co_return std::unexpected(std::move(child).error());
  const auto status = co_await loop_.exit_of(*child, std::chrono::hours(1));
  if (status == 0) co_return base::Result<>{};
  if (!status) ::kill(*child, SIGKILL);
  co_return base::fail(Errc::Internal, fmt::format("could not {}", what));
}

}  // namespace hypermesh::keeper
