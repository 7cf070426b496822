#pragma once

// What clients' bundles carry: docs/wire/consensus.md, "Commands".

#include <span>
#include <variant>

#include "consensus/execution/change.hpp"

namespace hypermesh::consensus {

/// An operation on the replicated keys (state/operation.hpp), as bytes.
struct OnState {
  base::BytesView operation;
};
/// Anything else has a deadline of its own. Nanoseconds of ordered time; 0: none.
template <class Change>
struct OnCluster {
  std::uint64_t deadline = 0;
  Change change;
};
/// Bytes that are put into the order and mean something to others only. Their number is their
/// position among all ordered operations, from 1.
struct Proposed {
  base::Bytes bytes;
};
using Command = std::variant<OnState, OnCluster<ChangeMembers>, OnCluster<ChangeVoters>,
                             OnCluster<Evidence>, OnCluster<Proposed>, OnCluster<ChangeVersion>>;

base::Bytes encode_on_state(base::BytesView operation);
base::Bytes encode(const OnCluster<ChangeMembers>& command);
base::Bytes encode(const OnCluster<ChangeVoters>& command);
base::Bytes encode(const OnCluster<Evidence>& command);
base::Bytes encode(const OnCluster<Proposed>& command);
base::Bytes encode(const OnCluster<ChangeVersion>& command);
/// What is a command in a cluster that goes by `version`; programs of later ones say the same
/// words. An OnState's view is into `bytes`. Errors: InvalidArgument, Unsupported (of a later
/// version).
base::Result<Command> decode_command(base::BytesView bytes, Version version = 1);
/// In ordered time: a command that is ordered later changes nothing. 0: none.
std::uint64_t deadline_of(base::BytesView command);

}  // namespace hypermesh::consensus
