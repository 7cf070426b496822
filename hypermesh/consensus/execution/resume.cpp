#include "consensus/execution/resume.hpp"

namespace hypermesh::consensus {

Resumed resume(const Genesis& genesis, const Executor& state,
               const std::vector<pbft::Persist>& records, pbft::Lsn last) {
  const Configuration& configuration = state.configuration();
  const EpochBegun first{first_configuration(genesis).voters, 0, cluster_of(genesis)};
  Resumed resumed{pbft::recover(first, records), {}};
  auto& restored = resumed.restored;
  restored.last_lsn = std::max(restored.last_lsn, last);
  const Epoch epoch = restored.epoch.voters.epoch;
  // The state of an epoch's last slot knows of the next one, which begins with the checkpoint.
  const bool between =
      epoch + 1 == configuration.voters.epoch && state.applied() == configuration.start;
  if (epoch < configuration.voters.epoch && !between) {
    // The state survived a crash that the record of its epoch did not: then nothing was said in it.
    const pbft::Lsn kept = restored.last_lsn;
    restored = {};
    restored.last_lsn = kept;
    restored.epoch = {configuration.voters, configuration.start, configuration.start_digest};
    restored.base = {0, configuration.start, configuration.start_digest};
  }
  resumed.position = {state.applied(), state.applied_digest(), state.checkpoint_root(), {}};
  if (between) {
    resumed.position.next = NextEpoch{configuration.voters, configuration.start};
  } else if (configuration.voters.epoch == restored.epoch.voters.epoch) {
    resumed.position.next = configuration.next;
  }
  return resumed;
}

}  // namespace hypermesh::consensus
