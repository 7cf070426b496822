#include "dev/process.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <fstream>
#include <sstream>

#include "dev/files.hpp"

namespace cli::dev {
namespace {

namespace fs = std::filesystem;

std::string boot_id() {
  std::string id = read_text("/proc/sys/kernel/random/boot_id");
  while (!id.empty() && id.back() == '\n') id.pop_back();
  return id;
}

/// Field 22 of /proc/PID/stat: clock ticks from the boot to the process's start. The second field
/// is a name in parentheses that may hold anything, so fields are counted from the last one.
std::optional<std::uint64_t> start_ticks(pid_t pid) {
  const std::string stat = read_text(fmt::format("/proc/{}/stat", pid));
  const auto name_end = stat.rfind(')');
  if (name_end == std::string::npos) return {};
  std::istringstream fields(stat.substr(name_end + 1));
  std::string field;
  for (int number = 3; number <= 22; ++number) {
    if (!(fields >> field)) return {};
  }
  std::uint64_t ticks = 0;
  const auto [end, error] = std::from_chars(field.data(), field.data() + field.size(), ticks);
  if (error != std::errc() || end != field.data() + field.size()) return {};
  return ticks;
}

}  // namespace

std::optional<RunningProcess> RunningProcess::open(pid_t pid) {
  UniqueFd fd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (!fd) return {};
  RunningProcess process(pid, std::move(fd));
  if (process.ended()) return {};
  return process;
}

bool RunningProcess::ended() const {
  return wait(std::chrono::milliseconds(0));
}

bool RunningProcess::wait(std::chrono::milliseconds limit) const {
  pollfd waits{fd_.get(), POLLIN, 0};
  const auto until = std::chrono::steady_clock::now() + limit;
  for (;;) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(until - std::chrono::steady_clock::now());
    const int ready = ::poll(&waits, 1, static_cast<int>(std::max<std::int64_t>(left.count(), 0)));
    if (ready >= 0 || errno != EINTR) return ready > 0;
  }
}

void RunningProcess::wait_reaped() const {
  constexpr int kLooks = 2'500;  // 5 s
  constexpr timespec kLook{0, 2'000'000};
  for (int look = 0; look < kLooks; ++look) {
    if (::syscall(SYS_pidfd_send_signal, fd_.get(), 0, nullptr, 0) != 0) return;
    ::nanosleep(&kLook, nullptr);
  }
}

base::Result<> RunningProcess::signal(int number) const {
  if (::syscall(SYS_pidfd_send_signal, fd_.get(), number, nullptr, 0) == 0 || errno == ESRCH) {
    return {};
  }
  return base::fail_errno(errno, fmt::format("cannot signal process {}", pid_));
}

base::Result<> write_pid_file(const fs::path& file, pid_t pid) {
  const auto ticks = start_ticks(pid);
  if (!ticks) {
    return base::fail(base::Errc::NotFound, fmt::format("process {} ended at once", pid));
  }
  return replace_file(file, fmt::format("{} {} {}\n", pid, *ticks, boot_id()), 0644);
}

std::optional<RunningProcess> find_process(const fs::path& pid_file) {
  std::istringstream fields(read_text(pid_file));
  pid_t pid = 0;
  std::uint64_t ticks = 0;
  std::string boot;
  if (!(fields >> pid >> ticks >> boot) || pid <= 1 || boot != boot_id()) return {};
  auto process = RunningProcess::open(pid);
  // Read with the descriptor open: what is compared is the process that is held.
  if (!process || start_ticks(pid) != ticks || process->ended()) return {};
  return process;
}

std::vector<MarkedProcess> processes_with_variable(std::string_view name) {
  std::vector<MarkedProcess> found;
  const std::string start = std::string(name) + "=";
  std::error_code error;
  for (const auto& folder : fs::directory_iterator("/proc", error)) {
    const std::string number = folder.path().filename();
    pid_t pid = 0;
    const auto [end, bad] = std::from_chars(number.data(), number.data() + number.size(), pid);
    if (bad != std::errc() || end != number.data() + number.size() || pid == ::getpid()) continue;
    auto process = RunningProcess::open(pid);
    if (!process) continue;
    // Read with the descriptor open: what is read is of the process that is held.
    std::istringstream environment(read_text(folder.path() / "environ"));
    for (std::string entry; std::getline(environment, entry, '\0');) {
      if (!entry.starts_with(start)) continue;
      found.push_back({entry.substr(start.size()), std::move(*process)});
      break;
    }
  }
  return found;
}

base::Result<> end_processes(const std::vector<RunningProcess>& processes, int number,
                             std::chrono::milliseconds limit) {
  for (const RunningProcess& process : processes) TRY_DO(process.signal(number));
  const auto until = std::chrono::steady_clock::now() + limit;
  std::string left;
  for (const RunningProcess& process : processes) {
    const auto rest = std::chrono::duration_cast<std::chrono::milliseconds>(
        until - std::chrono::steady_clock::now());
    if (!process.wait(std::max(rest, std::chrono::milliseconds(0)))) {
      left += fmt::format("{}{}", left.empty() ? "" : ", ", process.pid());
    }
  }
  if (left.empty()) {
    for (const RunningProcess& process : processes) process.wait_reaped();
    return {};
  }
  return base::fail(base::Errc::TimedOut,
                    fmt::format("still running after signal {}: process {}", number, left));
}

}  // namespace cli::dev
