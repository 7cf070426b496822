#include "runtime/images/retry.hpp"

#include <algorithm>

namespace hypermesh {

std::optional<base::Duration> RetryState::failed(std::optional<base::Duration> retry_after) {
  ++in_a_row_;
  ++total_;
  if (in_a_row_ >= policy_.failures_max || total_ >= policy_.failures_total_max)
    return std::nullopt;
  if (retry_after && *retry_after > policy_.retry_after_max) return std::nullopt;
  const unsigned doublings = std::min(in_a_row_ - 1, 20u);
  const base::Duration grown = std::min(policy_.wait_max, policy_.first_wait * (1u << doublings));
  // Between half and all of it, so that nodes that failed together do not come back together.
  const auto half = std::uint64_t(std::max<std::int64_t>(grown.count() / 2, 0));
  const base::Duration wait(std::int64_t(half + rng_.below(half + 1)));
  return retry_after ? std::max(wait, *retry_after) : wait;
}

}  // namespace hypermesh
