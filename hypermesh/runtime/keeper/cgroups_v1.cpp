#include "runtime/keeper/cgroups_v1.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/eventfd.h>
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
constexpr int kKillRoundsMax = 50;

/// Hierarchies that hold nothing that we limit or read.
constexpr std::string_view kUnused[] = {"cpuset",  "net_cls", "net_prio", "perf_event",
                                        "hugetlb", "rdma",    "misc",     "debug"};

bool is_used(const std::vector<std::string>& controllers) {
  return std::ranges::any_of(controllers, [](const std::string& controller) {
    return std::ranges::find(kUnused, controller) == std::end(kUnused);
  });
}

bool exists(const std::string& path) {
  return ::access(path.c_str(), F_OK) == 0;
}

/// Folders right below `path`, as whole paths.
std::vector<std::string> folders_in(const std::string& path) {
  std::vector<std::string> folders;
  for (const auto& name : list_folder(path)) {
    struct stat status{};
    const std::string child = path + "/" + name;
    if (::lstat(child.c_str(), &status) == 0 && S_ISDIR(status.st_mode)) folders.push_back(child);
  }
  return folders;
}

base::Result<> remove_groups(const std::string& folder) {
  if (::rmdir(folder.c_str()) == 0 || errno == ENOENT) return {};
  for (const auto& child : folders_in(folder)) TRY_DO(remove_groups(child));
  if (::rmdir(folder.c_str()) == 0 || errno == ENOENT) return {};
  return base::fail_errno(errno, fmt::format("cannot remove the cgroup {}", folder));
}

void collect_processes(const std::string& folder, std::vector<pid_t>& into) {
  auto text = read_file(folder + "/cgroup.procs", kFileBytesMax);
  if (text) {
    for (const char *at = text->data(), *end = at + text->size(); at < end;) {
      pid_t pid = 0;
      const auto parsed = std::from_chars(at, end, pid);
      if (parsed.ec == std::errc{} && pid > 0) into.push_back(pid);
      at = std::find(parsed.ptr, end, '\n') + 1;
    }
  }
  for (const auto& child : folders_in(folder)) collect_processes(child, into);
}

}  // namespace

CgroupsV1::CgroupsV1(std::vector<CgroupHierarchy> hierarchies) : all_(std::move(hierarchies)) {
  for (const auto& hierarchy : all_) {
    if (is_used(hierarchy.controllers)) hierarchies_.push_back(hierarchy);
  }
}

const CgroupHierarchy* CgroupsV1::of(std::string_view controller) const {
  for (const auto& hierarchy : hierarchies_) {
    if (std::ranges::find(hierarchy.controllers, controller) != hierarchy.controllers.end())
      return &hierarchy;
  }
  return nullptr;
}

std::string CgroupsV1::file(std::string_view controller, const std::string& path,
                            std::string_view name) const {
  const CgroupHierarchy* hierarchy = of(controller);
  return hierarchy ? fmt::format("{}{}/{}", hierarchy->mount_point, path, name) : std::string();
}

base::Result<> CgroupsV1::create(const std::string& path) {
  for (const auto& hierarchy : hierarchies_) {
    const bool has_cpuset =
        std::ranges::find(hierarchy.controllers, "cpuset") != hierarchy.controllers.end();
    for (std::size_t end = path.find('/', 1);; end = path.find('/', end + 1)) {
      const std::string folder = hierarchy.mount_point + path.substr(0, end);
      if (::mkdir(folder.c_str(), 0755) != 0 && errno != EEXIST) {
        return base::fail_errno(errno, fmt::format("cannot make the cgroup {}", folder));
      }
      // A cpuset begins without processors and takes no process until it has some.
      for (const char* name : {"cpuset.cpus", "cpuset.mems"}) {
        if (!has_cpuset) break;
        TRY(const std::string above,
            read_file(folder.substr(0, folder.rfind('/')) + "/" + name, kFileBytesMax));
        TRY_DO(write_kernel_file(folder + "/" + name, above));
      }
      if (end == path.npos) break;
    }
  }
  return {};
}

base::Result<> CgroupsV1::limit(const std::string& path, const std::vector<CgroupWrite>& writes) {
  for (const CgroupWrite& write : writes) {
    const std::string target = file(write.controller, path, write.file);
    if (target.empty() || (write.optional && !exists(target))) {
      if (write.optional) continue;
      return base::fail(Errc::Unsupported,
                        fmt::format("this machine has no cgroup controller {}", write.controller));
    }
    auto written = write_kernel_file(target, write.value);
    if (written || write.optional) continue;
    if (write.file == "memory.limit_in_bytes" && exists(target)) {
      return std::unexpected(base::with_hint(
          base::make_error(
              Errc::FailedPrecondition,
              fmt::format(
                  "the kernel refuses a memory limit of {} bytes: the container uses {} that it "
                  "cannot give back",
                  write.value, usage_of(path))),
          "choose a higher limit, or restart the container"));
    }
    return written;
  }
  return {};
}

std::uint64_t CgroupsV1::usage_of(const std::string& path) const {
  return single_value(
      read_file(file("memory", path, "memory.usage_in_bytes"), kFileBytesMax).value_or(""));
}

base::Result<> CgroupsV1::confine_devices(const std::string& path) {
  if (!of("devices"))
    return base::fail(Errc::Unsupported, "this machine has no cgroup controller devices");
  TRY_DO(write_kernel_file(file("devices", path, "devices.deny"), "a"));
  for (const DeviceRule& rule : default_devices()) {
    TRY_DO(write_kernel_file(file("devices", path, "devices.allow"), to_text(rule)));
  }
  return {};
}

bool CgroupsV1::join(const std::string& path) {
  return std::ranges::all_of(hierarchies_, [&](const CgroupHierarchy& hierarchy) {
    return write_kernel_file(hierarchy.mount_point + path + "/cgroup.procs", "0").has_value();
  });
}

base::Result<nexus::ContainerStats> CgroupsV1::stats(const std::string& path) {
  nexus::ContainerStats stats;
  TRY(const std::string cpu, read_file(file("cpuacct", path, "cpuacct.usage"), kFileBytesMax));
  stats.cpu_nanoseconds = single_value(cpu);
  TRY(const std::string memory, read_file(file("memory", path, "memory.stat"), kFileBytesMax));
  const std::uint64_t used = usage_of(path), inactive = keyed_value(memory, "total_inactive_file");
  stats.memory_bytes = used > inactive ? used - inactive : 0;
  TRY(const std::string processes, read_file(file("pids", path, "pids.current"), kFileBytesMax));
  stats.processes = single_value(processes);
  if (of("blkio")) {
    const auto text =
        read_file(file("blkio", path, "blkio.throttle.io_service_bytes"), kFileBytesMax)
            .value_or("");
    const IoBytes io = io_bytes(CgroupVersion::V1, text);
    stats.io_read_bytes = io.read;
    stats.io_written_bytes = io.written;
  }
  return stats;
}

std::uint64_t CgroupsV1::oom_kills(const std::string& path) {
  return keyed_value(
      read_file(file("memory", path, "memory.oom_control"), kFileBytesMax).value_or(""),
      "oom_kill");
}

base::Result<UniqueFd> CgroupsV1::watch_oom(const std::string& path) {
  const std::string control = file("memory", path, "memory.oom_control");
  const UniqueFd subject(::open(control.c_str(), O_RDONLY | O_CLOEXEC));
  UniqueFd event(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!subject || !event) return base::fail_errno(errno, fmt::format("cannot watch {}", control));
  TRY_DO(write_kernel_file(file("memory", path, "cgroup.event_control"),
                           fmt::format("{} {}", event.get(), subject.get())));
  return event;
}

std::vector<pid_t> CgroupsV1::processes(const std::string& path) {
  std::vector<pid_t> pids;
  if (!hierarchies_.empty()) collect_processes(hierarchies_.front().mount_point + path, pids);
  return pids;
}

void CgroupsV1::kill(const std::string& path) {
  // Frozen processes do not fork; SIGKILL waits for them to thaw.
  const std::string freezer =
      of("freezer") ? file("freezer", path, "freezer.state") : std::string();
  for (int round = 0; round < kKillRoundsMax; ++round) {
    const auto pids = processes(path);
    if (pids.empty()) return;
    if (!freezer.empty()) (void)write_kernel_file(freezer, "FROZEN");
    for (pid_t pid : processes(path)) ::kill(pid, SIGKILL);
    if (!freezer.empty()) {
      (void)write_kernel_file(freezer, "THAWED");
      return;
    }
  }
}

base::Result<> CgroupsV1::remove(const std::string& path) {
  for (const auto& hierarchy : all_) TRY_DO(remove_groups(hierarchy.mount_point + path));
  return {};
}

}  // namespace hypermesh::keeper
