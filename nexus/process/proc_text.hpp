#pragma once

// Reads what the kernel says of processes in /proc (proc(5)).

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>

namespace nexus::process {

/// Of /proc/<pid>/stat.
struct ProcStat {
  std::int32_t parent = 0;
  std::uint64_t own_ticks = 0;     ///< Time on a core, user and system.
  std::uint64_t waited_ticks = 0;  ///< The same of children that were waited for.
  std::uint64_t start_ticks = 0;   ///< Since the machine's start.
};
/// Empty: it is none. The name in it may hold anything.
std::optional<ProcStat> parse_stat(std::string_view text);

/// The number after `name` in text of lines "name: number unit": smaps_rollup, io. 0 when there is
/// none.
std::uint64_t number_after(std::string_view text, std::string_view name);

/// Whether /proc/<pid>/environ holds the variable `mark` ("NAME=value"), or one that begins so.
bool has_mark(std::string_view environment, std::string_view mark, bool beginning);

/// All below `root`, without it. `stats` by pid.
std::set<std::int32_t> descendants(const std::map<std::int32_t, ProcStat>& stats,
                                   std::int32_t root);

}  // namespace nexus::process
