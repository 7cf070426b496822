#pragma once

#include <base/error.hpp>
#include <base/time.hpp>
#include <stoq/types.hpp>
#include <vector>

namespace stoq {

/// What was measured between two neighbours.
struct LinkMeasurement {
  NodeId from, to;
  base::Duration round_trip{};
  double loss = 0;                              ///< 0 to 1.
  std::uint64_t bandwidth_bits_per_second = 0;  ///< 0: unknown.
  double load = 0;                              ///< 0 to 1, of the far end.
};

struct Route {
  std::vector<NodeId> hops;  ///< Source first, destination last.
  base::Duration predicted_round_trip{};
};

/// Chooses paths over the overlay by what its links cost.
///
/// Pure: the same measurements in the same order give the same routes. Doubles: MemoryRouter.
class Router {
 public:
  virtual ~Router() = default;
  virtual void update(const LinkMeasurement& measurement) = 0;
  virtual void remove(const NodeId& node) = 0;
  /// Errors: Unavailable (no path is known).
  virtual base::Result<Route> route(const NodeId& from, const NodeId& to) const = 0;
  virtual std::vector<NodeId> neighbours(const NodeId& node) const = 0;
};

}  // namespace stoq
