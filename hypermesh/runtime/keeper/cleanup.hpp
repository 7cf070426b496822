#pragma once

#include <string>

#include "runtime/keeper/cgroups.hpp"

namespace hypermesh::keeper {

/// Ends everything in the node's cgroup, removes the cgroup, and takes away what is mounted below
/// the two folders in this mount namespace. Records, layers, volumes and logs stay. Errors:
/// FailedPrecondition (a process does not end).
base::Result<> clean_up_node(Cgroups& cgroups, const std::string& cgroup,
                             const std::string& state_folder, const std::string& run_folder);

}  // namespace hypermesh::keeper
