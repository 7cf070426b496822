#pragma once

#include "consensus/execution/executor.hpp"
#include "consensus/pbft/replica.hpp"

namespace hypermesh::consensus {

/// What a replica begins with when its log and its state are on disk.
struct Resumed {
  pbft::Restored restored;
  pbft::Position position;
};
/// `records`: those of the log, in order; `last`: the highest that it ever held. A log without
/// records is one that was lost, since a node's key is made together with first_record(): its
/// replica votes no more.
Resumed resume(const Genesis& genesis, const Executor& state,
               const std::vector<pbft::Persist>& records, pbft::Lsn last);

/// Of the log of a node that begins with the genesis.
Record first_record(const Genesis& genesis);

}  // namespace hypermesh::consensus
