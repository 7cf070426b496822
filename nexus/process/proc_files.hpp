#pragma once

// Processes of this machine, found in /proc and held by pidfds. All calls block a little.

#include <base/error.hpp>
#include <map>
#include <string>
#include <vector>

#include "process/proc_text.hpp"
#include "process/records.hpp"
#include "process/unique_fd.hpp"

namespace nexus::process {

/// Errors: NotFound.
base::Result<ProcStat> read_stat(std::int32_t pid);
base::Result<ProcessName> name_process(std::int32_t pid);
/// All processes that can be seen.
std::map<std::int32_t, ProcStat> all_stats();

/// A pidfd of exactly this process. Errors: NotFound (it has ended, or another has its pid).
base::Result<UniqueFd> open_process(ProcessName name);
/// Not an error when it has ended. Errors: of the system.
base::Result<> send_signal(int pidfd, int signal);

/// Kills all processes that carry `mark` (see kMarkVariable), those they start meanwhile too.
/// `beginning`: the mark of a pod, which is the beginning of its containers' marks.
void kill_marked(const std::string& mark, bool beginning);

}  // namespace nexus::process
