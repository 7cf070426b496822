#include "runtime/keeper/rootfs.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cerrno>

namespace hypermesh::keeper {
namespace {

/// The lower folders have short relative names because all of them must fit on one page.
class WorkingFolder {
 public:
  static base::Result<WorkingFolder> enter(const std::string& path) {
    UniqueFd back(::open(".", O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!back || ::chdir(path.c_str()) != 0)
      return base::fail_errno(errno, fmt::format("cannot enter {}", path));
    return WorkingFolder(std::move(back));
  }
  WorkingFolder(WorkingFolder&&) = default;
  ~WorkingFolder() {
    if (back_) BASE_ASSERT(::fchdir(back_.get()) == 0, "cannot go back to the working folder");
  }

 private:
  explicit WorkingFolder(UniqueFd back) : back_(std::move(back)) {}
  UniqueFd back_;
};

void drop_lowers(const std::string& lower, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    const std::string target = fmt::format("{}/{}", lower, i);
    unmount(target);
    ::rmdir(target.c_str());
  }
  ::rmdir(lower.c_str());
}

base::Result<> mount_overlay(const RootFs& rootfs, const std::string& lower) {
  std::string lowers;
  for (std::size_t i = 0; i < rootfs.layers.size(); ++i) {
    const std::string target = fmt::format("{}/{}", lower, i);
    TRY(const UniqueFd layer,
        clone_mount(AT_FDCWD, rootfs.layers[i], {.ids_fd = rootfs.ids_fd, .read_only = true}));
    TRY_DO(make_folder(target, 0700));
    TRY_DO(place_mount(layer.get(), target));
    lowers = lowers.empty() ? std::to_string(i) : fmt::format("{}:{}", i, lowers);  // top first
  }
  TRY(const WorkingFolder in_lower, WorkingFolder::enter(lower));
  // Volatile: what a container writes into its root ends with it, so nothing waits for the disk.
  const std::string options =
      fmt::format("lowerdir={},upperdir=../upper,workdir=../work,volatile", lowers);
  const std::string target = rootfs.folder + "/rootfs";
  if (::mount("overlay", target.c_str(), "overlay", MS_NODEV, options.c_str()) != 0) {
    return base::fail_errno(errno, fmt::format("cannot mount the container's root at {}", target));
  }
  return {};
}

}  // namespace

base::Result<std::string> mount_rootfs(const RootFs& rootfs) {
  TRY_DO(make_folder(rootfs.folder + "/upper", 0755, rootfs.owner));
  TRY_DO(make_folder(rootfs.folder + "/work", 0755, rootfs.owner));
  TRY_DO(make_folder(rootfs.folder + "/rootfs", 0755, rootfs.owner));
  const std::string lower = rootfs.folder + "/lower";
  TRY_DO(make_folder(lower, 0700));
  auto mounted = mount_overlay(rootfs, lower);
  // The overlay holds its layers itself.
  drop_lowers(lower, rootfs.layers.size());
  if (!mounted) return std::unexpected(std::move(mounted).error());
  return rootfs.folder + "/rootfs";
}

void unmount_rootfs(const std::string& folder) {
  unmount(folder + "/rootfs");
  for (const auto& name : list_folder(folder + "/lower")) {
    unmount(folder + "/lower/" + name);
    ::rmdir((folder + "/lower/" + name).c_str());
  }
  ::rmdir((folder + "/lower").c_str());
}

}  // namespace hypermesh::keeper
