#pragma once

// The parent of one container's processes. It outlives the daemon: it writes their output to the
// log, reaps them, and records the end, so that a later daemon knows how it was.
//
// It is the reaper of all that the container leaves behind (PR_SET_CHILD_SUBREAPER), and kills what
// is left when the first process ends. When it is killed itself, the first process dies too.

#include "process/places.hpp"

namespace nexus::process {

/// Starts what kLaunchFd holds, records it in `attempt`, and returns when it has ended and that is
/// recorded as well. Answers the exit code of this process.
int supervise(const Path& attempt);

}  // namespace nexus::process
