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
using Command =
    std::variant<OnState, OnCluster<ChangeMembers>, OnCluster<ChangeVoters>, OnCluster<Evidence>>;

base::Bytes encode_on_state(base::BytesView operation);
base::Bytes encode(const OnCluster<ChangeMembers>& command);
base::Bytes encode(const OnCluster<ChangeVoters>& command);
base::Bytes encode(const OnCluster<Evidence>& command);
/// An OnState's view is into `bytes`. Errors: InvalidArgument, Unsupported (of a newer program).
base::Result<Command> decode_command(base::BytesView bytes);

}  // namespace hypermesh::consensus
