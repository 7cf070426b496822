#include "consensus/execution/resume.hpp"

namespace hypermesh::consensus {

namespace {

// What a replica of `epoch` has to know of the next one. The state of an epoch's last slot has the
// next voters already, and the replica begins with them when it has the checkpoint.
std::optional<NextEpoch> next_epoch(const Executor& state, Epoch epoch) {
  const Configuration& configuration = state.configuration();
  if (configuration.voters.epoch == epoch) return configuration.next;
  if (configuration.voters.epoch == epoch + 1 && configuration.start == state.applied())
    return NextEpoch{configuration.voters, configuration.start};
  return std::nullopt;
}

EpochBegun first_epoch(const Genesis& genesis) {
  return {first_configuration(genesis).voters, 0, cluster_of(genesis)};
}

}  // namespace

Record first_record(const Genesis& genesis) {
  return first_epoch(genesis);
}

Resumed resume(const Genesis& genesis, const Executor& state,
               const std::vector<pbft::Persist>& records, pbft::Lsn last) {
  const Configuration& configuration = state.configuration();
  Resumed resumed{pbft::recover(first_epoch(genesis), records), {}};
  auto& restored = resumed.restored;
  restored.silenced = restored.silenced || records.empty();
  restored.last_lsn = std::max(restored.last_lsn, last);
  const Epoch epoch = restored.epoch.voters.epoch;
  const bool between = epoch < configuration.voters.epoch && next_epoch(state, epoch);
  if (epoch < configuration.voters.epoch && !between) {
    // The state survived a crash that the record of its epoch did not: then nothing was said in it.
    pbft::Restored kept;
    kept.last_lsn = restored.last_lsn;
    kept.genesis = std::move(restored.genesis);
    kept.ended = std::move(restored.ended);
    kept.silenced = restored.silenced;
    restored = std::move(kept);
    restored.epoch = {configuration.voters, configuration.start, configuration.start_digest};
    restored.base = {0, configuration.start, configuration.start_digest};
  }
  resumed.position = {state.applied(), state.applied_digest(), state.checkpoint_root(), {}};
  resumed.position.next = next_epoch(state, restored.epoch.voters.epoch);
  return resumed;
}

}  // namespace hypermesh::consensus
