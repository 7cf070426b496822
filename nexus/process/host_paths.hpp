#pragma once

#include <nexus/workload_types.hpp>

namespace nexus::process {

/// Makes the folders and files that hostPath volumes ask to be made, and checks the others. Blocks.
/// Errors: NotFound, FailedPrecondition (of another kind).
base::Result<> provide_host_paths(const std::vector<Volume>& volumes);

}  // namespace nexus::process
