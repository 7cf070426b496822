#pragma once

// The records of pods and attempts on disk. All calls block.

#include <vector>

#include "process/places.hpp"
#include "process/records.hpp"
#include "process/unique_fd.hpp"

namespace nexus::process {

/// An attempt that is there; its lock says whether a supervisor lives.
struct FoundAttempt {
  std::uint32_t attempt = 0;
  AttemptFacts facts;
};
struct FoundContainer {
  std::string name;
  FoundAttempt latest;
};
struct FoundPod {
  PodRecord record;
  std::vector<FoundContainer> containers;
};

base::Result<> write_pod(const Places& places, const PodRecord& record);
/// Errors: DataLoss, and of the system. A record that is not there is left out.
base::Result<AttemptFacts> read_attempt(const Path& attempt);
/// Makes the attempt's folder and its first record, and takes its lock, to be given to a
/// supervisor. Errors: FailedPrecondition (a supervisor lives).
base::Result<UniqueFd> begin_attempt(const Path& attempt, const AttemptRecord& record);
/// After its supervisor has ended: what it recorded. Without a record it is lost: then what is left
/// of it is killed, and that is recorded.
base::Result<AttemptFacts> settle_attempt(const Path& folder, const ContainerId& id,
                                          std::uint32_t attempt, base::WallTime now);
/// One that did not start.
base::Result<> remove_attempt(const Path& attempt);
/// Keeps `attempt` and the one before it.
void remove_older_attempts(const Path& container, std::uint32_t attempt);

/// What a driver before us left. Finishes removals that it began; waits for supervisors that are
/// just starting; records as lost what ended without a record, and kills what is left of it.
base::Result<std::vector<FoundPod>> find_pods(const Places& places, base::WallTime now);

/// Its folder is gone at once, as far as others see, and then its content.
base::Result<> remove_pod_folder(const Places& places, const std::string& uid);

}  // namespace nexus::process
