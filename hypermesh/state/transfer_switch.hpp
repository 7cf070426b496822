#pragma once

#include "state/transfer_staging.hpp"

namespace hypermesh::state {

struct TransferTarget;

/// Makes a fetched state the state. Begins with a marker and ends by taking it away, in the same
/// batch that names the new tree; whoever finds the marker (Machine::open) goes on from there
/// before anything is served. Every step may be done twice.
///
/// What is not certified follows from what is: the order of keys and the keys of leases are built
/// again from the leaves that changed. The local history and the older checkpoints go: reads and
/// watches start at the fetched revision.
/// Errors: of the storage, DataLoss (something is missing: fetch again).
base::Result<> switch_state(Storage& storage, const TransferTarget& target);
/// Ends a switch that was begun, if there is one.
base::Result<> resume_switch(Storage& storage);

}  // namespace hypermesh::state
