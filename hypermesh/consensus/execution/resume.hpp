#pragma once

#include "consensus/execution/executor.hpp"
#include "consensus/pbft/replica.hpp"

namespace hypermesh::consensus {

/// What a replica begins with when its log and its state are on disk.
struct Resumed {
  pbft::Restored restored;
  pbft::Position position;
};
/// `records`: those of the log, in order; `last`: the highest that it ever held.
Resumed resume(const Genesis& genesis, const Executor& state,
               const std::vector<pbft::Persist>& records, pbft::Lsn last);

/// What a replica of `epoch` is told of the next one by a state that it has fetched or opened. The
/// state of an epoch's last slot has the next voters already, and the replica begins with them when
/// it has the checkpoint.
std::optional<NextEpoch> next_epoch(const Executor& state, Epoch epoch);

}  // namespace hypermesh::consensus
