#include <fmt/format.h>

#include <algorithm>
#include <csignal>

#include "runtime/core/pod_files.hpp"
#include "runtime/keeper/keeper_state.hpp"

namespace hypermesh::keeper {
namespace {

using base::Errc;

constexpr std::uint64_t kSharedMemoryBytesMax = 64u << 20;  // of /dev/shm, as everywhere
constexpr mode_t kSharedMemoryMode = 01777;
/// For millions of files on a slow disk. What was done by then need not be done again.
constexpr auto kFsGroupLimit = std::chrono::minutes(30);

/// Content of files is written and then forgotten: it may be secret, and it may be large.
void forget_content(nexus::PodSpec& spec) {
  for (auto& volume : spec.volumes) {
    auto* files = std::get_if<nexus::FilesVolume>(&volume.source);
    if (files) files->files = {};
  }
}

}  // namespace

nexus::PodStatus Keeper::status_of(const Pod& pod) const {
  const auto& spec = pod.record.spec;
  nexus::PodStatus status{spec.uid,  spec.name_space,       spec.name,
                          pod.ready, pod.sandbox.addresses, {}};
  for (const auto& [name, container] : pod.containers) {
    if (!container->starting) status.containers.push_back(container->record.status);
  }
  return status;
}

std::vector<nexus::PodStatus> Keeper::list_pods() const {
  std::vector<nexus::PodStatus> all;
  for (const auto& [uid, pod] : pods_) all.push_back(status_of(*pod));
  return all;
}

VolumePlace Keeper::volume_place(const Pod& pod) const {
  const std::uint32_t root =
      pod.record.spec.host_users ? 0 : first_id(options_.id_base, pod.record.slot);
  return {pod_folder(pod.record.spec.uid),
          options_.state_folder + "/volumes",
          {root, root},
          options_.id_base,
          pod.record.spec.fs_group,
          options_.access.host_paths};
}

Job<base::Result<nexus::PodStatus>> Keeper::create_pod(CreatePod request) {
  CO_TRY_DO(check_access(options_.access, request.spec));
  const std::string uid = request.spec.uid;
  if (const auto later = pods_of_later_.find(uid); later != pods_of_later_.end())
    co_return std::unexpected(later->second);
  // The same pod may be on its way in or out.
  for (;;) {
    const auto found = pods_.find(uid);
    if (found == pods_.end()) break;
    const auto pod = found->second;
    if (!pod->busy) break;
    co_await pod->changed.wait();
  }
  auto& entry = pods_[uid];
  if (entry && entry->ready) co_return status_of(*entry);
  if (!entry) {
    auto slot = sandboxes_.allocate(request.spec);
    if (!slot) {
      pods_.erase(uid);
      co_return std::unexpected(
          base::wrap(std::move(slot).error(), "this node has as many pods as it has addresses"));
    }
    entry = std::make_shared<Pod>(loop_);
    entry->record.slot = *slot;
  }
  const auto pod = entry;
  pod->busy = true;
  pod->record.boot_id = boot_id_;
  pod->record.spec = std::move(request.spec);
  auto made = make_sandbox(*pod);
  if (made) made = co_await give_volumes_to_group(*pod);
  forget_content(pod->record.spec);
  if (!made) {
    (void)drop_sandbox(*pod);
    release_volumes(pod_folder(uid), pod->record.spec.volumes);
    // A pod that was never there leaves nothing; one that lost its sandbox stays, to be made again.
    if (pod->containers.empty()) {
      (void)cgroups_->remove(options_.cgroup + "/" + uid);
      (void)remove_tree(pod_folder(uid));
      (void)remove_tree(log_folder_of(uid));
      sandboxes_.release(pod->record.slot);
      pods_.erase(uid);
    }
  }
  pod->busy = false;
  pod->ready = made.has_value();
  pod->changed.notify();
  if (!made)
    co_return std::unexpected(
        base::wrap(made.error(), fmt::format("cannot make pod {}", pod->record.spec.name)));
  log_.info("pod made", {{"pod", pod->record.spec.name}, {"uid", uid}});
  co_return status_of(*pod);
}

base::Result<> Keeper::make_sandbox(Pod& pod) {
  const auto& spec = pod.record.spec;
  const VolumePlace place = volume_place(pod);
  TRY_DO(make_folder(place.pod_folder, 0711));
  TRY_DO(make_folder(log_folder_of(spec.uid), 0750, {0, options_.log_group}));
  TRY_DO(write_whole(place.pod_folder + "/record", encode_pod_record(pod.record)));
  TRY_DO(cgroups_->create(options_.cgroup + "/" + spec.uid));

  TRY(pod.sandbox, sandboxes_.make(pod.record.slot, spec));

  const std::string shm = place.pod_folder + "/shm";
  unmount(shm);
  TRY_DO(make_folder(shm, kSharedMemoryMode, place.root));
  TRY_DO(mount_tmpfs(shm, kSharedMemoryBytesMax, kSharedMemoryMode, place.root, true));
  TRY_DO(prepare_volumes(place, spec.volumes));
  return write_pod_files(pod);
}

// In a copy: a volume may hold any number of files.
Job<base::Result<>> Keeper::give_volumes_to_group(const Pod& pod) {
  const VolumePlace place = volume_place(pod);
  const auto& volumes = pod.record.spec.volumes;
  const bool wanted = place.fs_group && std::ranges::any_of(volumes, [](const auto& volume) {
                        return std::holds_alternative<nexus::NamedVolume>(volume.source);
                      });
  if (!wanted) co_return base::Result<>{};
  CO_TRY_DO(co_await ask_copy(
      [&]() -> Reply {
        auto given = give_to_fs_group(place, volumes);
        if (!given) return Failed{std::move(given).error()};
        return Done{};
      },
      {}, kFsGroupLimit));
  co_return base::Result<>{};
}

base::Result<> Keeper::write_pod_files(const Pod& pod) {
  const VolumePlace place = volume_place(pod);
  const auto& spec = pod.record.spec;
  const std::pair<const char*, std::string> files[] = {
      {"hosts", hosts_file(spec, pod.sandbox.addresses)},
      {"resolv.conf", resolver_file(spec, network_.node_addresses())},
      {"hostname", pod_hostname(spec) + "\n"},
  };
  for (const auto& [name, text] : files) {
    const std::string path = place.pod_folder + "/" + name;
    TRY_DO(write_whole(path, base::as_bytes(text), 0644));
    TRY_DO(give_file(path, place.root));
  }
  return {};
}

base::Result<> Keeper::drop_sandbox(Pod& pod) {
  pod.ready = false;
  unmount(pod_folder(pod.record.spec.uid) + "/shm");
  return sandboxes_.drop(pod.sandbox);
}

Job<base::Result<>> Keeper::remove_pod(std::string uid) {
  if (const auto later = pods_of_later_.find(uid); later != pods_of_later_.end())
    co_return std::unexpected(later->second);
  for (;;) {
    const auto found = pods_.find(uid);
    if (found == pods_.end()) {
      // What of it could not be told to be a pod's.
      (void)co_await run_in_copy(
          [&] { return remove_tree(pod_folder(uid)) && remove_tree(log_folder_of(uid)) ? 0 : 1; },
          "remove the pod's files");
      co_return base::Result<>{};
    }
    const auto pod = found->second;
    if (pod->busy) {
      co_await pod->changed.wait();
      continue;
    }
    pod->busy = pod->removing = true;
    auto cleared = co_await clear_pod(*pod);
    pod->busy = pod->removing = false;
    if (cleared) {
      sandboxes_.release(pod->record.slot);
      pods_.erase(uid);
      log_.info("pod removed", {{"pod", pod->record.spec.name}, {"uid", uid}});
    }
    pod->changed.notify();
    co_return cleared;
  }
}

Job<base::Result<>> Keeper::clear_pod(Pod& pod) {
  const std::string uid = pod.record.spec.uid;
  const std::string cgroup = options_.cgroup + "/" + uid;
  while (pod.starts > 0) {
    for (auto& [name, container] : pod.containers) kill_container(*container);
    co_await pod.changed.wait();
  }
  for (auto& [name, container] : pod.containers) kill_container(*container);
  for (auto& [name, container] : pod.containers) {
    while (container->running()) co_await container->changed.wait();
  }
  while (pod.starts > 0) co_await pod.changed.wait();
  cgroups_->kill(cgroup);
  base::Result<> removed;
  for (int round = 0; round < 200; ++round) {
    removed = cgroups_->remove(cgroup);
    if (removed) break;
    co_await loop_.sleep(std::chrono::milliseconds(5));
  }
  if (!removed) co_return removed;
  CO_TRY_DO(drop_sandbox(pod));
  release_volumes(pod_folder(uid), pod.record.spec.volumes);
  (void)remove_tree(work_folder_of(uid));
  co_return co_await run_in_copy(
      [&] { return remove_tree(pod_folder(uid)) && remove_tree(log_folder_of(uid)) ? 0 : 1; },
      "remove the pod's files");
}

base::Result<> Keeper::update_files(const UpdateFiles& request) {
  TRY(Pod * pod, find_pod(request.pod_uid));
  // Without its sandbox nothing is mounted: a Secret's files would come to lie on the disk.
  if (!pod->ready) {
    return base::fail(Errc::FailedPrecondition,
                      fmt::format("pod {} has no sandbox", pod->record.spec.name));
  }
  for (const auto& volume : pod->record.spec.volumes) {
    if (volume.name == request.volume)
      return write_volume_files(volume_place(*pod), volume, request.files);
  }
  return base::fail(Errc::NotFound,
                    fmt::format("pod {} has no volume {}", pod->record.spec.name, request.volume));
}

}  // namespace hypermesh::keeper
