#pragma once

#include <algorithm>
#include <base/time.hpp>
#include <cstdint>

namespace hypermesh::consensus {

/// Nanoseconds of UTC since 1970, as ordered time counts them.
inline std::uint64_t wall_of(const base::Clock& clock) {
  return static_cast<std::uint64_t>(clock.wall().time_since_epoch().count());
}

/// A quarter of the limit, but no more, is for what is ordered after a deadline to be seen.
inline constexpr base::Duration kDeadlineMarginMax = std::chrono::seconds(1);

/// In ordered time, a little before `limit` has passed.
inline std::uint64_t deadline_within(const base::Clock& clock, base::Duration limit) {
  const auto within = limit - std::min(limit / 4, kDeadlineMarginMax);
  return wall_of(clock) + static_cast<std::uint64_t>(std::max<std::int64_t>(within.count(), 0));
}

}  // namespace hypermesh::consensus
