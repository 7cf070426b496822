#pragma once

// A pod's namespaces without a process in them: a short-lived child makes them, descriptors keep
// them.

#include <map>
#include <optional>

#include "runtime/core/oci_spec.hpp"
#include "runtime/keeper/os.hpp"

namespace hypermesh::keeper {

struct NamespaceRequest {
  std::optional<IdRange> ids;  ///< Empty: the machine's users.
  bool own_network = true;
  std::string hostname;
  std::map<std::string, std::string> sysctls;
};

struct PodNamespaces {
  UniqueFd user, network, ipc, uts;  ///< None where the pod shares the machine's.
};

/// Errors: Unsupported (this kernel makes no user namespaces), InvalidArgument (a sysctl that is
/// not there or refuses the value: names it). Blocks for a few milliseconds.
base::Result<PodNamespaces> make_pod_namespaces(const NamespaceRequest& request);

/// A user namespace for idmapped mounts: ids `on_disk` and up of files appear as `shown` and up.
base::Result<UniqueFd> make_id_mapping(std::uint32_t on_disk, std::uint32_t shown,
                                       std::uint32_t count);

}  // namespace hypermesh::keeper
