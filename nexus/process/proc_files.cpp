#include "process/proc_files.hpp"

#include <dirent.h>
#include <fmt/format.h>
#include <sys/syscall.h>

#include <base/file.hpp>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstring>

namespace nexus::process {

namespace {

using base::Errc;
using base::Result;

constexpr std::size_t kStatBytesMax = 4096;
constexpr std::size_t kEnvironmentBytesMax = 4u << 20;
/// A process that forks faster than we find its children is stopped by this many looks or not.
constexpr int kKillRoundsMax = 20;

Result<UniqueFd> open_pid(std::int32_t pid) {
  UniqueFd fd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (!fd && errno == ESRCH)
    return base::fail(Errc::NotFound, fmt::format("process {} has ended", pid));
  if (!fd) return base::fail_errno(errno, fmt::format("cannot open process {}", pid));
  return fd;
}

std::vector<std::int32_t> all_pids() {
  std::vector<std::int32_t> pids;
  DIR* folder = ::opendir("/proc");
  if (folder == nullptr) return pids;
  while (const dirent* entry = ::readdir(folder)) {
    std::int32_t pid = 0;
    const char* end = entry->d_name + std::strlen(entry->d_name);
    const auto [at, wrong] = std::from_chars(entry->d_name, end, pid);
    if (wrong == std::errc() && at == end) pids.push_back(pid);
  }
  ::closedir(folder);
  return pids;
}

}  // namespace

Result<ProcStat> read_stat(std::int32_t pid) {
  TRY(const std::string text, base::read_file(fmt::format("/proc/{}/stat", pid), kStatBytesMax));
  const auto stat = parse_stat(text);
  if (!stat) return base::fail(Errc::NotFound, fmt::format("process {} has ended", pid));
  return *stat;
}

Result<ProcessName> name_process(std::int32_t pid) {
  TRY(const ProcStat stat, read_stat(pid));
  return ProcessName{pid, stat.start_ticks};
}

std::map<std::int32_t, ProcStat> all_stats() {
  std::map<std::int32_t, ProcStat> stats;
  for (const std::int32_t pid : all_pids()) {
    if (const auto stat = read_stat(pid)) stats.emplace(pid, *stat);
  }
  return stats;
}

Result<UniqueFd> open_process(ProcessName name) {
  // The pidfd first: what it refers to cannot change any more while its start is compared.
  TRY(UniqueFd fd, open_pid(name.pid));
  TRY(const ProcessName now, name_process(name.pid));
  if (now != name) {
    return base::fail(Errc::NotFound,
                      fmt::format("process {} has ended, another has its number", name.pid));
  }
  return fd;
}

Result<> send_signal(int pidfd, int signal) {
  if (::syscall(SYS_pidfd_send_signal, pidfd, signal, nullptr, 0) == 0 || errno == ESRCH) return {};
  return base::fail_errno(errno, fmt::format("cannot send signal {}", signal));
}

void kill_marked(const std::string& mark, bool beginning) {
  for (int round = 0; round < kKillRoundsMax; ++round) {
    bool found = false;
    for (const std::int32_t pid : all_pids()) {
      const auto fd = open_pid(pid);
      if (!fd) continue;
      const auto environment =
          base::read_file(fmt::format("/proc/{}/environ", pid), kEnvironmentBytesMax);
      if (!environment || !has_mark(*environment, mark, beginning)) continue;
      found = true;
      (void)send_signal(fd->get(), SIGKILL);
    }
    if (!found) return;
  }
}

}  // namespace nexus::process
