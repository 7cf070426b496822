#pragma once

#include "consensus/execution/configuration.hpp"
#include "consensus/log/log.hpp"

namespace hypermesh::consensus {

/// Begins the log of a node whose key is made now, once. A node whose log is empty later has lost
/// it, and with it what it promised to others: it votes no more under that key. Blocks.
/// Errors: FailedPrecondition (the log is not empty), of the disk.
base::Result<> begin_log(Log& log, const Genesis& genesis);

}  // namespace hypermesh::consensus
