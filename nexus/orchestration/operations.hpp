#pragma once

// What people do to workloads, as changes of their objects. Pure.

#include <base/time.hpp>
#include <map>
#include <nexus/workload_state.hpp>

#include "objects/object.hpp"
#include "orchestration/object_view.hpp"

namespace nexus::orchestration {

/// Errors: Unsupported (it has no replicas), InvalidArgument.
base::Result<Json> scaled(const Json& object, std::int32_t replicas);
/// Errors: Unsupported (no Deployment), NotFound (no container of that name).
base::Result<Json> with_image(const Json& object, const std::string& container,
                              const std::string& image);
/// Errors: Unsupported (no Deployment), NotFound (names the revisions there are),
/// FailedPrecondition (it has that template).
base::Result<Json> rolled_back(const Json& object, std::int64_t revision, const ObjectView& view);
/// Errors: Unsupported (a kind without replicas or completions).
base::Result<WorkloadState> workload_state(const Json& object);

/// The object of kind Node for the node that this process is.
struct NodeDescription {
  std::string name;
  std::vector<std::string> addresses;
  std::map<std::string, std::string> labels;
  std::uint64_t cpu_millis = 0, memory_bytes = 0, pods_max = 0;
  std::string version, kernel, architecture;
};
/// `before`: the stored one, or null. What others wrote (cordon, labels) stays.
Json node_object(const NodeDescription& node, const Json* before);
Json node_status(const NodeDescription& node, const Json& before, base::WallTime now);

}  // namespace nexus::orchestration
