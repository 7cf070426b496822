#include "runtime/keeper/cgroups_v2.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <csignal>

namespace hypermesh::keeper {
namespace {

using base::Errc;

constexpr std::size_t kFileBytesMax = 1u << 20;
constexpr std::string_view kControllers[] = {"cpu", "memory", "pids", "io"};
constexpr int kKillRoundsMax = 50;

bool exists(const std::string& path) {
  return ::access(path.c_str(), F_OK) == 0;
}

std::vector<std::string> folder_names(const std::string& path) {
  std::vector<std::string> folders;
  for (auto& name : list_folder(path)) {
    struct stat status{};
    if (::lstat((path + "/" + name).c_str(), &status) == 0 && S_ISDIR(status.st_mode))
      folders.push_back(std::move(name));
  }
  return folders;
}

base::Result<> remove_groups(const std::string& folder) {
  if (::rmdir(folder.c_str()) == 0 || errno == ENOENT) return {};
  for (const auto& child : folder_names(folder)) TRY_DO(remove_groups(folder + "/" + child));
  if (::rmdir(folder.c_str()) == 0 || errno == ENOENT) return {};
  return base::fail_errno(errno, fmt::format("cannot remove the cgroup {}", folder));
}

void collect_processes(const std::string& folder, std::vector<pid_t>& into) {
  const std::string text = read_file(folder + "/cgroup.procs", kFileBytesMax).value_or("");
  for (const char *at = text.data(), *end = at + text.size(); at < end;) {
    pid_t pid = 0;
    const auto parsed = std::from_chars(at, end, pid);
    if (parsed.ec == std::errc{} && pid > 0) into.push_back(pid);
    at = std::find(parsed.ptr, end, '\n') + 1;
  }
  for (const auto& child : folder_names(folder)) collect_processes(folder + "/" + child, into);
}

}  // namespace

base::Result<> CgroupsV2::create(const std::string& path) {
  std::string above = mount_point_;
  for (std::size_t end = path.find('/', 1);; end = path.find('/', end + 1)) {
    // One by one: a controller that the machine keeps elsewhere must not cost the others.
    for (std::string_view controller : kControllers) {
      (void)write_kernel_file(above + "/cgroup.subtree_control", fmt::format("+{}", controller));
    }
    const std::string folder = mount_point_ + path.substr(0, end);
    if (::mkdir(folder.c_str(), 0755) != 0 && errno != EEXIST) {
      return base::fail_errno(errno, fmt::format("cannot make the cgroup {}", folder));
    }
    above = folder;
    if (end == path.npos) return {};
  }
}

base::Result<> CgroupsV2::limit(const std::string& path, const std::vector<CgroupWrite>& writes) {
  for (const CgroupWrite& write : writes) {
    const std::string target = fmt::format("{}{}/{}", mount_point_, path, write.file);
    if (!exists(target)) {
      if (write.optional) continue;
      return std::unexpected(base::with_hint(
          base::make_error(
              Errc::Unsupported,
              fmt::format("this machine has no cgroup controller {}", write.controller)),
          "enable it in cgroup.subtree_control of the group above, or boot without "
          "cgroup_disable"));
    }
    auto written = write_kernel_file(target, write.value);
    if (!written && !write.optional) return written;
  }
  return {};
}

base::Result<> CgroupsV2::confine_devices(const std::string& path) {
  const UniqueFd group(::open((mount_point_ + path).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!group) return base::fail_errno(errno, fmt::format("cannot open the cgroup {}", path));
  return attach_device_filter(group.get(), default_devices());
}

bool CgroupsV2::join(const std::string& path) {
  return write_kernel_file(mount_point_ + path + "/cgroup.procs", "0").has_value();
}

base::Result<nexus::ContainerStats> CgroupsV2::stats(const std::string& path) {
  const auto read = [&](const char* name) {
    return read_file(fmt::format("{}{}/{}", mount_point_, path, name), kFileBytesMax);
  };
  nexus::ContainerStats stats;
  TRY(const std::string cpu, read("cpu.stat"));
  stats.cpu_nanoseconds = keyed_value(cpu, "usage_usec") * 1000;
  const std::uint64_t used = single_value(read("memory.current").value_or(""));
  const std::uint64_t inactive = keyed_value(read("memory.stat").value_or(""), "inactive_file");
  stats.memory_bytes = used > inactive ? used - inactive : 0;
  stats.processes = single_value(read("pids.current").value_or(""));
  const IoBytes io = io_bytes(CgroupVersion::V2, read("io.stat").value_or(""));
  stats.io_read_bytes = io.read;
  stats.io_written_bytes = io.written;
  return stats;
}

std::uint64_t CgroupsV2::oom_kills(const std::string& path) {
  return keyed_value(read_file(mount_point_ + path + "/memory.events", kFileBytesMax).value_or(""),
                     "oom_kill");
}

base::Result<UniqueFd> CgroupsV2::watch_oom(const std::string& path) {
  UniqueFd watch(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  const std::string events = mount_point_ + path + "/memory.events";
  if (!watch || ::inotify_add_watch(watch.get(), events.c_str(), IN_MODIFY) < 0) {
    return base::fail_errno(errno, fmt::format("cannot watch {}", events));
  }
  return watch;
}

std::vector<pid_t> CgroupsV2::processes(const std::string& path) {
  std::vector<pid_t> pids;
  collect_processes(mount_point_ + path, pids);
  return pids;
}

void CgroupsV2::kill(const std::string& path) {
  if (write_kernel_file(mount_point_ + path + "/cgroup.kill", "1")) return;
  for (int round = 0; round < kKillRoundsMax; ++round) {
    const auto pids = processes(path);
    if (pids.empty()) return;
    for (pid_t pid : pids) ::kill(pid, SIGKILL);
  }
}

base::Result<> CgroupsV2::remove(const std::string& path) {
  return remove_groups(mount_point_ + path);
}

}  // namespace hypermesh::keeper
