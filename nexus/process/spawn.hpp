#pragma once

#include <base/error.hpp>
#include <optional>
#include <string>
#include <vector>

#include "process/launch.hpp"
#include "process/places.hpp"
#include "process/unique_fd.hpp"

namespace nexus::process {

/// A child of ours that runs the helper program (helper_main.cpp), in a session of its own.
struct Spawned {
  std::int32_t pid = 0;
  UniqueFd pidfd;
  UniqueFd report;  ///< Reading end of kReportFd.
};
/// A pipe's two ends, closed on exec.
struct PipeEnds {
  UniqueFd read, write;
};
base::Result<PipeEnds> make_pipe();

/// What else the child gets; -1 is /dev/null for the standard ones and nothing for the lock.
struct SpawnFds {
  int input = -1, output = -1, errors = -1, lock = -1;
};

/// Waits until the child runs the helper, which takes about a millisecond. The environment of the
/// helper is empty; nothing but `fds` is inherited. Errors: of the system.
base::Result<Spawned> spawn_helper(const Path& helper, const std::vector<std::string>& arguments,
                                   const Launch& launch, SpawnFds fds);

/// A child of ours that has ended. Answers its exit code, 128 + signal when it was killed; empty:
/// it runs, or it is no child of ours.
std::optional<int> reap(int pidfd);

}  // namespace nexus::process
