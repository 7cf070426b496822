#pragma once

#include <map>
#include <nexus/placement.hpp>
#include <string>
#include <vector>

namespace hypermesh {

/// Why a node was or was not chosen.
struct NodeVerdict {
  std::string node;
  bool fits = false;
  std::string excluded_by;               ///< The clause that excluded it; empty when it fits.
  std::map<std::string, double> scores;  ///< By objective, 0 to 1.
};
struct Decision {
  std::string node;  ///< Empty: none fits.
  std::vector<NodeVerdict> verdicts;
};
struct Move {
  std::string workload, from, to;
  double gain = 0;  ///< Net of what the move costs.
};

/// Places workloads by filters and weighted objectives, and says why.
///
/// Pure. Doubles: FirstNodeScheduler.
class Scheduler : public nexus::Placement {
 public:
  virtual Decision explain(const nexus::PlacementRequest& request,
                           const std::vector<nexus::NodeCapacity>& nodes) const = 0;
  /// Moves that pay for themselves, best first.
  virtual std::vector<Move> rebalance(const std::vector<nexus::NodeCapacity>& nodes) const = 0;
};

}  // namespace hypermesh
