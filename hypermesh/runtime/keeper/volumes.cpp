#include "runtime/keeper/volumes.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <filesystem>
#include <set>

#include "runtime/core/access_policy.hpp"
#include "runtime/core/request_checks.hpp"
#include "runtime/core/user_lookup.hpp"

namespace hypermesh::keeper {
namespace {

using base::Errc;
using nexus::EmptyDirVolume;
using nexus::FilesVolume;
using nexus::HostPathVolume;
using nexus::NamedVolume;

constexpr const char* kDataLink = "..data";
constexpr mode_t kVolumeMode = 0777;  // as kubelet makes them: any user of the pod may write
constexpr mode_t kGroupBits = S_ISGID | 070;
constexpr int kGroupDepthMax = 200;

std::string folder_of(const VolumePlace& place, const nexus::Volume& volume) {
  if (const auto* named = std::get_if<NamedVolume>(&volume.source)) {
    return place.named_folder + "/" + volume_folder_name(named->name);
  }
  return place.pod_folder + "/volumes/" + volume.name;
}

/// The folder's owner and mode where a pod has an fsGroup: the group owns it, and what is made in
/// it.
Owner owner_of(const VolumePlace& place) {
  return {place.root.uid, place.fs_group ? place.root.gid + *place.fs_group : place.root.gid};
}
mode_t mode_of(const VolumePlace& place) {
  return place.fs_group ? kVolumeMode | S_ISGID : kVolumeMode;
}

/// Gives what lies in a folder to a group, following no link.
base::Result<> give_to_group(int folder_fd, gid_t group, int depth) {
  if (depth > kGroupDepthMax)
    return base::fail(Errc::ResourceExhausted, "a volume is nested too deeply for fsGroup");
  const int copy = ::dup(folder_fd);
  DIR* folder = copy >= 0 ? ::fdopendir(copy) : nullptr;
  if (!folder) return base::fail_errno(errno, "cannot read a volume");
  base::Result<> result;
  while (const dirent* entry = ::readdir(folder)) {
    const std::string_view name = entry->d_name;
    if (name == "." || name == "..") continue;
    struct stat status{};
    if (::fstatat(folder_fd, entry->d_name, &status, AT_SYMLINK_NOFOLLOW) != 0) continue;
    if (::fchownat(folder_fd, entry->d_name, static_cast<uid_t>(-1), group, AT_SYMLINK_NOFOLLOW) !=
            0 &&
        result) {
      result = base::fail_errno(
          errno, fmt::format("cannot give {} of a volume to group {}", entry->d_name, group));
    }
    if (S_ISREG(status.st_mode)) {
      const UniqueFd file(
          ::openat(folder_fd, entry->d_name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
      // Its mode as it is now: another pod may have put another file in its place.
      if (file && ::fstat(file.get(), &status) == 0)
        ::fchmod(file.get(), (status.st_mode & 07777) | 060);
    } else if (S_ISDIR(status.st_mode)) {
      const UniqueFd child(
          ::openat(folder_fd, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
      if (!child || ::fstat(child.get(), &status) != 0) continue;
      ::fchmod(child.get(), (status.st_mode & 07777) | kGroupBits);
      result = give_to_group(child.get(), group, depth + 1);
      if (!result) break;
    }
  }
  ::closedir(folder);
  return result;
}

base::Result<> prepare_named(const VolumePlace& place, const std::string& folder) {
  if (::mkdir(folder.c_str(), kVolumeMode) == 0)
    return make_folder(folder, kVolumeMode, {place.disk_root, place.disk_root});
  if (errno != EEXIST)
    return base::fail_errno(errno, fmt::format("cannot make the volume {}", folder));
  return {};
}

base::Result<> apply_fs_group(const VolumePlace& place, const std::string& folder) {
  const gid_t group = place.disk_root + *place.fs_group;
  const UniqueFd fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  struct stat status{};
  if (!fd || ::fstat(fd.get(), &status) != 0)
    return base::fail_errno(errno, fmt::format("cannot open {}", folder));
  // The top is changed last: where it fits, the rest does.
  if (status.st_gid == group && (status.st_mode & kGroupBits) == kGroupBits) return {};
  TRY_DO(give_to_group(fd.get(), group, 0));
  if (::fchown(fd.get(), static_cast<uid_t>(-1), group) != 0 ||
      ::fchmod(fd.get(), (status.st_mode & 07777) | kGroupBits) != 0) {
    return base::fail_errno(errno, fmt::format("cannot give {} to the group", folder));
  }
  return {};
}

/// Where a descriptor's file is, without links.
base::Result<std::string> real_path(int fd) {
  std::array<char, PATH_MAX> text;
  const ssize_t length =
      ::readlink(fmt::format("/proc/self/fd/{}", fd).c_str(), text.data(), text.size());
  if (length < 0) return base::fail_errno(errno, "cannot tell where a hostPath leads");
  return std::string(text.data(), static_cast<std::size_t>(length));
}

/// A hostPath as far as it exists, and what is missing of it.
struct HostPath {
  UniqueFd fd;
  std::vector<std::string> missing;
};

// The daemon and containers may set links at any moment, so what was opened is held to what is
// allowed, not its name.
base::Result<HostPath> open_host_path(const VolumePlace& place, const std::string& path) {
  std::vector<std::string> folders;
  for (const auto& folder : place.host_paths) {
    const UniqueFd fd(::open(folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!fd) continue;
    TRY(std::string real, real_path(fd.get()));
    folders.push_back(std::move(real));
  }
  HostPath found;
  std::filesystem::path there(path);
  if (!there.has_filename()) there = there.parent_path();
  for (;;) {
    found.fd.reset(::open(there.c_str(), O_PATH | O_CLOEXEC));
    if (found.fd) break;
    if (errno != ENOENT || there == there.root_path())
      return base::fail_errno(errno, fmt::format("hostPath {}", path));
    found.missing.insert(found.missing.begin(), there.filename().string());
    there = there.parent_path();
  }
  TRY(std::string real, real_path(found.fd.get()));
  for (const auto& name : found.missing) real += (real == "/" ? "" : "/") + name;
  TRY_DO(check_host_path_access(folders, path, real));
  return found;
}

/// Makes what is missing of a hostPath, where it was found to be missing.
base::Result<> make_host_path(HostPath& host, bool folder, const std::string& path) {
  for (std::size_t i = 0; i < host.missing.size(); ++i) {
    const char* name = host.missing[i].c_str();
    const bool is_folder = folder || i + 1 < host.missing.size();
    if (is_folder && ::mkdirat(host.fd.get(), name, 0755) != 0 && errno != EEXIST)
      return base::fail_errno(errno, fmt::format("cannot make hostPath {}", path));
    UniqueFd next(is_folder
                      ? ::openat(host.fd.get(), name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
                      : ::openat(host.fd.get(), name,
                                 O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644));
    if (!next) return base::fail_errno(errno, fmt::format("cannot make hostPath {}", path));
    host.fd = std::move(next);
  }
  host.missing.clear();
  return {};
}

base::Result<> check_host_path(const VolumePlace& place, const HostPathVolume& volume) {
  using Type = HostPathVolume::Type;
  TRY(HostPath host, open_host_path(place, volume.path));
  if (volume.type == Type::DirectoryOrCreate || volume.type == Type::FileOrCreate)
    TRY_DO(make_host_path(host, volume.type == Type::DirectoryOrCreate, volume.path));
  struct stat status{};
  if (!host.missing.empty())
    return base::fail(Errc::NotFound, fmt::format("hostPath {} is not there", volume.path));
  if (::fstat(host.fd.get(), &status) != 0)
    return base::fail_errno(errno, fmt::format("hostPath {}", volume.path));
  const bool wants_folder =
      volume.type == Type::Directory || volume.type == Type::DirectoryOrCreate;
  const bool wants_file = volume.type == Type::File || volume.type == Type::FileOrCreate;
  if ((wants_folder && !S_ISDIR(status.st_mode)) || (wants_file && !S_ISREG(status.st_mode))) {
    return base::fail(
        Errc::FailedPrecondition,
        fmt::format("hostPath {} is no {}", volume.path, wants_folder ? "folder" : "regular file"));
  }
  return {};
}

bool is_mount_point(const std::string& path) {
  struct stat own{}, above{};
  return ::lstat(path.c_str(), &own) == 0 && ::lstat((path + "/..").c_str(), &above) == 0 &&
         own.st_dev != above.st_dev;
}

bool is_in_memory(const nexus::Volume& volume) {
  if (const auto* empty = std::get_if<EmptyDirVolume>(&volume.source)) return empty->in_memory;
  if (const auto* files = std::get_if<FilesVolume>(&volume.source)) return files->secret;
  return false;
}

base::Result<> prepare_volume(const VolumePlace& place, const nexus::Volume& volume) {
  const std::string folder = folder_of(place, volume);
  if (const auto* host = std::get_if<HostPathVolume>(&volume.source))
    return check_host_path(place, *host);
  if (std::holds_alternative<NamedVolume>(volume.source)) return prepare_named(place, folder);
  const auto* empty = std::get_if<EmptyDirVolume>(&volume.source);
  const bool is_files = std::holds_alternative<FilesVolume>(volume.source);
  const mode_t mode = is_files ? 0755 : mode_of(place);
  if (!is_mount_point(folder)) TRY_DO(make_folder(folder, mode, owner_of(place)));
  if (is_in_memory(volume) && !is_mount_point(folder)) {
    TRY_DO(mount_tmpfs(folder, empty ? empty->bytes_max : 0, mode, owner_of(place), is_files));
  }
  if (const auto* files = std::get_if<FilesVolume>(&volume.source))
    return write_volume_files(place, volume, files->files);
  return {};
}

std::string top_of(const std::string& path) {
  return path.substr(0, path.find('/'));
}

base::Result<> write_one_file(const VolumePlace& place, const std::string& folder,
                              const nexus::VolumeFile& file) {
  const Owner owner = owner_of(place);
  for (std::size_t slash = file.path.find('/'); slash != file.path.npos;
       slash = file.path.find('/', slash + 1)) {
    TRY_DO(make_folder(folder + "/" + file.path.substr(0, slash), 0755, owner));
  }
  // With an fsGroup the group may read what its owner may.
  const mode_t mode = place.fs_group ? file.mode | (file.mode & 0400) >> 3 : file.mode;
  const std::string path = folder + "/" + file.path;
  const UniqueFd fd(
      ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!fd) return base::fail_errno(errno, fmt::format("cannot make {}", path));
  std::string_view left = file.content;
  while (!left.empty()) {
    const ssize_t count = ::write(fd.get(), left.data(), left.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return base::fail_errno(errno, fmt::format("cannot write {}", path));
    left.remove_prefix(static_cast<std::size_t>(count));
  }
  if (::fchown(fd.get(), owner.uid, owner.gid) != 0 || ::fchmod(fd.get(), mode) != 0) {
    return base::fail_errno(errno, fmt::format("cannot set owner and mode of {}", path));
  }
  return {};
}

base::Result<> exchange_link(const std::string& link, const std::string& target) {
  const std::string temporary = link + ".new";
  ::unlink(temporary.c_str());
  if (::symlink(target.c_str(), temporary.c_str()) != 0 ||
      ::rename(temporary.c_str(), link.c_str()) != 0) {
    return base::fail_errno(errno, fmt::format("cannot set the link {}", link));
  }
  return {};
}

/// A name that no earlier set had.
std::string next_set_name(const std::string& folder) {
  unsigned long last = 0;
  for (const auto& name : list_folder(folder)) {
    if (name.starts_with("..set-"))
      last = std::max(last, std::strtoul(name.c_str() + 6, nullptr, 10));
  }
  return fmt::format("..set-{}", last + 1);
}

/// The folder that `sub_path` names in a volume, made if it is missing and the volume is ours to
/// write.
base::Result<UniqueFd> open_sub_path(int volume_fd, const std::string& sub_path, bool may_make,
                                     Owner owner) {
  auto found = open_in_root(volume_fd, sub_path, O_PATH);
  if (found || !may_make || found.error().code != Errc::NotFound) return found;
  TRY(UniqueFd at, duplicate(volume_fd));
  std::string done;
  for (std::size_t start = 0; start < sub_path.size();) {
    const std::size_t end = std::min(sub_path.find('/', start), sub_path.size());
    const std::string name = sub_path.substr(start, end - start);
    done += (done.empty() ? "" : "/") + name;
    auto next = open_in_root(volume_fd, done, O_PATH | O_DIRECTORY);
    if (!next) {
      const UniqueFd parent(::openat(at.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
      const bool made = parent && ::mkdirat(parent.get(), name.c_str(), 0755) == 0;
      // A container of another pod may have been faster; a link that leads nowhere stays one.
      if (!made && errno != EEXIST)
        return base::fail_errno(errno, fmt::format("cannot make the subPath {}", sub_path));
      if (made &&
          ::fchownat(parent.get(), name.c_str(), owner.uid, owner.gid, AT_SYMLINK_NOFOLLOW) != 0) {
        return base::fail_errno(errno,
                                fmt::format("cannot give the subPath {} to the pod", sub_path));
      }
      TRY(next, open_in_root(volume_fd, done, O_PATH | O_DIRECTORY));
    }
    at = *std::move(next);
    start = end + 1;
  }
  return at;
}

base::Result<OciMount> place_one(const VolumePlace& place, const nexus::Volume& volume,
                                 const nexus::VolumeMount& mount, const std::string& target,
                                 const MountIds& ids) {
  const auto* host = std::get_if<HostPathVolume>(&volume.source);
  const bool is_named = std::holds_alternative<NamedVolume>(volume.source);
  const bool is_files = std::holds_alternative<FilesVolume>(volume.source);
  UniqueFd at;
  if (host) {
    TRY(HostPath found, open_host_path(place, host->path));
    if (!found.missing.empty())
      return base::fail(Errc::NotFound, fmt::format("hostPath {} is not there", host->path));
    at = std::move(found.fd);
  } else {
    at.reset(::open(folder_of(place, volume).c_str(), O_PATH | O_CLOEXEC));
    if (!at) return base::fail_errno(errno, fmt::format("volume {}", volume.name));
  }
  const Owner owner = is_named ? Owner{place.disk_root, place.disk_root} : place.root;
  if (!mount.sub_path.empty()) {
    auto sub = open_sub_path(at.get(), mount.sub_path, !host && !is_files, owner);
    if (!sub) {
      return std::unexpected(
          base::wrap(std::move(sub).error(),
                     fmt::format("subPath {} of volume {}", mount.sub_path, volume.name)));
    }
    at = *std::move(sub);
  }
  struct stat status{};
  if (::fstat(at.get(), &status) != 0)
    return base::fail_errno(errno, fmt::format("volume {}", volume.name));
  const CloneOptions options{.ids_fd = host       ? ids.host_paths
                                       : is_named ? ids.named
                                                  : -1,
                             .recursive = host != nullptr,
                             // What Kubernetes writes, only Kubernetes writes.
                             .read_only = mount.read_only || is_files};
  auto clone = clone_mount(at.get(), "", options);
  if (!clone)
    return std::unexpected(base::wrap(std::move(clone).error(),
                                      fmt::format("volume {} at {}", volume.name, mount.path)));
  if (S_ISDIR(status.st_mode)) {
    TRY_DO(make_folder(target, 0755));
  } else {
    TRY_DO(write_whole(target, {}, 0644));
  }
  TRY_DO(place_mount(clone->get(), target));
  return OciMount{mount.path, "bind", target, {"rbind", "rprivate"}};
}

}  // namespace

base::Result<> prepare_volumes(const VolumePlace& place,
                               const std::vector<nexus::Volume>& volumes) {
  TRY_DO(make_folder(place.pod_folder + "/volumes", 0711));
  for (const auto& volume : volumes) {
    auto prepared = prepare_volume(place, volume);
    if (!prepared)
      return std::unexpected(
          base::wrap(std::move(prepared).error(), fmt::format("volume {}", volume.name)));
  }
  return {};
}

base::Result<> give_to_fs_group(const VolumePlace& place,
                                const std::vector<nexus::Volume>& volumes) {
  for (const auto& volume : volumes) {
    if (!place.fs_group || !std::holds_alternative<NamedVolume>(volume.source)) continue;
    auto given = apply_fs_group(place, folder_of(place, volume));
    if (!given)
      return std::unexpected(
          base::wrap(std::move(given).error(), fmt::format("volume {}", volume.name)));
  }
  return {};
}

void release_volumes(const std::string& pod_folder, const std::vector<nexus::Volume>& volumes) {
  for (const auto& volume : volumes) {
    if (is_in_memory(volume)) unmount(pod_folder + "/volumes/" + volume.name);
  }
}

base::Result<> write_volume_files(const VolumePlace& place, const nexus::Volume& volume,
                                  const std::vector<nexus::VolumeFile>& files) {
  if (!std::holds_alternative<FilesVolume>(volume.source)) {
    return base::fail(Errc::NotFound, fmt::format("volume {} holds no files of ours", volume.name));
  }
  const std::string folder = folder_of(place, volume);
  const std::string set = next_set_name(folder);
  const auto filled = [&]() -> base::Result<> {
    TRY_DO(make_folder(folder + "/" + set, 0755, owner_of(place)));
    for (const auto& file : files) TRY_DO(write_one_file(place, folder + "/" + set, file));
    return {};
  }();
  if (!filled) {
    (void)remove_tree(folder + "/" + set);
    return filled;
  }
  std::set<std::string> tops;
  for (const auto& file : files) tops.insert(top_of(file.path));
  TRY_DO(exchange_link(folder + "/" + kDataLink, set));
  for (const auto& top : tops) {
    const std::string link = folder + "/" + top;
    struct stat status{};
    if (::lstat(link.c_str(), &status) != 0)
      TRY_DO(exchange_link(link, fmt::format("{}/{}", kDataLink, top)));
  }
  for (const auto& name : list_folder(folder)) {
    if (name == set || name == kDataLink || tops.contains(name)) continue;
    if (name.starts_with("..set-")) {
      (void)remove_tree(folder + "/" + name);
    } else {
      ::unlink((folder + "/" + name).c_str());
    }
  }
  return {};
}

base::Result<std::vector<OciMount>> place_mounts(const VolumePlace& place,
                                                 const std::vector<nexus::Volume>& volumes,
                                                 const std::vector<nexus::VolumeMount>& mounts,
                                                 const std::string& folder, const MountIds& ids) {
  std::vector<OciMount> placed;
  if (mounts.empty()) return placed;
  TRY_DO(make_folder(folder + "/mounts", 0711));
  for (const auto& mount : mounts) {
    const auto volume = std::ranges::find(volumes, mount.volume, &nexus::Volume::name);
    if (volume == volumes.end()) {
      return base::fail(Errc::NotFound, fmt::format("the pod has no volume {} to mount at {}",
                                                    mount.volume, mount.path));
    }
    TRY(OciMount one,
        place_one(place, *volume, mount, fmt::format("{}/mounts/{}", folder, placed.size()), ids));
    placed.push_back(std::move(one));
  }
  // What is mounted inside another mount comes after it.
  std::ranges::stable_sort(
      placed, {}, [](const OciMount& m) { return std::ranges::count(m.destination, '/'); });
  return placed;
}

void release_mounts(const std::string& folder) {
  for (const auto& name : list_folder(folder + "/mounts")) {
    const std::string target = folder + "/mounts/" + name;
    unmount(target);
    if (::rmdir(target.c_str()) != 0) ::unlink(target.c_str());
  }
  ::rmdir((folder + "/mounts").c_str());
}

}  // namespace hypermesh::keeper
