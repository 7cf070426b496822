#pragma once

#include <optional>
#include <vector>

#include "orchestration/event_log.hpp"

namespace nexus::orchestration {

/// What a planner wants done: data, carried out by the executor as one transaction, all or nothing.
/// Every write names the state it was planned from, so that a plan that has become old fails whole
/// and is made anew.
struct Plan {
  std::vector<ObjectWrite> writes;
  std::vector<EventNote> events;        ///< Told when the writes are stored.
  std::optional<base::WallTime> again;  ///< Plan again at this time even if nothing changes.

  void plan_again_at(base::WallTime when) {
    if (!again || when < *again) again = when;
  }
};

}  // namespace nexus::orchestration
