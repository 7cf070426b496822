#pragma once

#include <nexus/placement.hpp>

namespace nexus {

/// The first node, in the order given, that is ready, not cordoned, has the labels, and has room.
class FirstFitPlacement final : public Placement {
 public:
  base::Result<std::string> place(const PlacementRequest& request,
                                  const std::vector<NodeCapacity>& nodes) override;
};

}  // namespace nexus
