#include "runtime/keeper/cgroups.hpp"

#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <sstream>

#include "runtime/keeper/cgroups_v1.hpp"
#include "runtime/keeper/cgroups_v2.hpp"

namespace hypermesh::keeper {
namespace {

constexpr std::size_t kMountInfoBytesMax = 16u << 20;

std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> parts;
  std::istringstream in(text);
  for (std::string part; std::getline(in, part, separator);) parts.push_back(std::move(part));
  return parts;
}

/// What a version 1 mount's own options say beside "rw" and the like.
bool is_controller(const std::string& option) {
  constexpr std::string_view kPlain[] = {"rw",
                                         "ro",
                                         "noprefix",
                                         "xattr",
                                         "clone_children",
                                         "cpuset_v2_mode",
                                         "favordynmods",
                                         "nofavordynmods"};
  return std::ranges::find(kPlain, option) == std::end(kPlain) &&
         !option.starts_with("release_agent=");
}

struct CgroupMounts {
  std::vector<CgroupHierarchy> hierarchies;
  std::vector<std::string> unified;
  bool version_1_has_memory() const {
    return std::ranges::any_of(hierarchies, [](const CgroupHierarchy& hierarchy) {
      return std::ranges::find(hierarchy.controllers, "memory") != hierarchy.controllers.end();
    });
  }
};

base::Result<CgroupMounts> read_mounts() {
  TRY(const std::string text, read_file("/proc/self/mountinfo", kMountInfoBytesMax));
  CgroupMounts found;
  for (const auto& line : split(text, '\n')) {
    // id parent major:minor root mount-point options [optional fields] - type source super-options
    const std::size_t dash = line.find(" - ");
    if (dash == line.npos) continue;
    const auto before = split(line.substr(0, dash), ' ');
    const auto after = split(line.substr(dash + 3), ' ');
    if (before.size() < 5 || after.size() < 3) continue;
    if (after[0] == "cgroup2") found.unified.push_back(before[4]);
    if (after[0] != "cgroup") continue;
    CgroupHierarchy hierarchy{before[4], {}};
    for (auto& option : split(after[2], ',')) {
      if (is_controller(option)) hierarchy.controllers.push_back(std::move(option));
    }
    const bool seen = std::ranges::any_of(
        found.hierarchies, [&](const auto& h) { return h.controllers == hierarchy.controllers; });
    if (!seen) found.hierarchies.push_back(std::move(hierarchy));
  }
  return found;
}

}  // namespace

base::Result<std::unique_ptr<Cgroups>> open_cgroups() {
  TRY(CgroupMounts mounts, read_mounts());
  if (mounts.version_1_has_memory())
    return std::make_unique<CgroupsV1>(std::move(mounts.hierarchies));
  if (!mounts.unified.empty()) return std::make_unique<CgroupsV2>(mounts.unified.front());
  return std::unexpected(base::with_hint(
      base::make_error(base::Errc::Unsupported,
                       "this machine has neither the memory controller of cgroups 1 nor cgroups 2"),
      "mount cgroup2 at /sys/fs/cgroup"));
}

base::Result<> hide_hybrid_cgroups() {
  TRY(const CgroupMounts mounts, read_mounts());
  if (!mounts.version_1_has_memory()) return {};
  for (const auto& mount_point : mounts.unified) unmount(mount_point);
  return {};
}

std::unique_ptr<Cgroups> open_cgroups_v2(std::string mount_point) {
  return std::make_unique<CgroupsV2>(std::move(mount_point));
}

void read_oom_watch(int fd) {
  std::array<char, 4096> buffer;
  while (::read(fd, buffer.data(), buffer.size()) > 0) {
  }
}

std::string disk_of(const std::string& path) {
  struct stat status{};
  if (::stat(path.c_str(), &status) != 0 || major(status.st_dev) == 0) return {};
  std::string device = fmt::format("{}:{}", major(status.st_dev), minor(status.st_dev));
  // A partition is limited through its disk.
  if (::access(fmt::format("/sys/dev/block/{}/partition", device).c_str(), F_OK) == 0) {
    auto disk = read_file(fmt::format("/sys/dev/block/{}/../dev", device), 64);
    if (!disk) return {};
    while (!disk->empty() && disk->back() == '\n') disk->pop_back();
    return *disk;
  }
  return device;
}

}  // namespace hypermesh::keeper
