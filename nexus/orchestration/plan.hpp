#pragma once

#include <optional>
#include <vector>

#include "orchestration/event_log.hpp"

namespace nexus::orchestration {

/// What a planner wants done: data, carried out by the executor as one transaction, all or nothing.
/// Every write names the state it was planned from, so that a plan that has become old fails whole
/// and is made anew.
struct Plan {
  /// Half of what one transaction takes (kStateCommitBytesMax): the last write may exceed this by
  /// an object, and a status comes on top.
  static constexpr std::size_t kBytesMax = 8u << 20;

  std::vector<ObjectWrite> writes;
  std::vector<EventNote> events;        ///< Told when the writes are stored.
  std::optional<base::WallTime> again;  ///< Plan again at this time even if nothing changes.

  /// One of many writes, of which `full` bounds the number; the rest is planned when these are
  /// stored.
  void add(ObjectWrite write);
  /// There is always room for one.
  bool full(std::size_t writes_max) const {
    return writes.size() >= writes_max || bytes_ >= kBytesMax;
  }

  void plan_again_at(base::WallTime when) {
    if (!again || when < *again) again = when;
  }

 private:
  std::size_t bytes_ = 0;  // of the objects that `add` took
};

}  // namespace nexus::orchestration
