#include "process/usage.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <base/file.hpp>

#include "process/proc_files.hpp"

namespace nexus::process {

namespace {

constexpr std::size_t kTextBytesMax = 64u << 10;
constexpr std::uint64_t kNanosecondsPerSecond = 1'000'000'000;

std::string read_text(std::int32_t pid, const char* file) {
  return base::read_file(fmt::format("/proc/{}/{}", pid, file), kTextBytesMax).value_or("");
}

}  // namespace

ContainerStats usage_of(ContainerId id, std::int32_t supervisor_pid) {
  ContainerStats usage{.id = std::move(id)};
  const auto stats = all_stats();
  const auto supervisor = stats.find(supervisor_pid);
  if (supervisor == stats.end()) return usage;
  // Processes that ended are in the times of those that waited for them, at last the supervisor.
  std::uint64_t ticks = supervisor->second.waited_ticks;
  for (const std::int32_t pid : descendants(stats, supervisor_pid)) {
    const ProcStat& stat = stats.at(pid);
    ticks += stat.own_ticks + stat.waited_ticks;
    ++usage.processes;
    usage.memory_bytes += number_after(read_text(pid, "smaps_rollup"), "Pss") * 1024;
    const std::string io = read_text(pid, "io");
    usage.io_read_bytes += number_after(io, "read_bytes");
    usage.io_written_bytes += number_after(io, "write_bytes");
  }
  const auto ticks_per_second = static_cast<std::uint64_t>(::sysconf(_SC_CLK_TCK));
  usage.cpu_nanoseconds = ticks * (kNanosecondsPerSecond / ticks_per_second);
  return usage;
}

}  // namespace nexus::process
