#pragma once

#include <base/error.hpp>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace nexus {

/// Pods that a node has addresses for.
inline constexpr std::uint16_t kNodePodsMax = 253;

/// A node as placement sees it.
struct NodeCapacity {
  std::string name;
  bool ready = false;
  bool schedulable = true;  ///< false: cordoned
  std::map<std::string, std::string> labels;
  std::uint64_t cpu_millis = 0, memory_bytes = 0, pods_max = 110;  ///< Allocatable.
  std::uint64_t cpu_millis_used = 0, memory_bytes_used = 0,
                pods = 0;  ///< Requested by what is placed.
};

struct PlacementRequest {
  std::string workload;  ///< "namespace/pod", for messages.
  std::uint64_t cpu_millis = 0, memory_bytes = 0;
  std::map<std::string, std::string> node_selector;
};

/// Chooses nodes for pods. Pure: the same arguments give the same answer.
/// Implementations: FirstFitPlacement; HyperMesh's scheduler.
class Placement {
 public:
  virtual ~Placement() = default;
  /// Name of the node. Errors: CannotPlace, with a hint for each node that says what excluded it.
  virtual base::Result<std::string> place(const PlacementRequest& request,
                                          const std::vector<NodeCapacity>& nodes) = 0;
};

}  // namespace nexus
