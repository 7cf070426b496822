#include "state/lease_table.hpp"

namespace nexus {

void LeaseTable::grant(std::uint64_t lease, base::Duration time_to_live, base::MonotonicTime now) {
  revoke(lease);
  leases_.emplace(lease, Lease{time_to_live, now + time_to_live});
  ids_.insert(lease);
  by_end_.emplace(now + time_to_live, lease);
}

bool LeaseTable::keep_alive(std::uint64_t lease, base::MonotonicTime now) {
  const auto found = leases_.find(lease);
  if (found == leases_.end() || found->second.end <= now) return false;
  by_end_.erase({found->second.end, lease});
  found->second.end = now + found->second.time_to_live;
  by_end_.emplace(found->second.end, lease);
  return true;
}

void LeaseTable::revoke(std::uint64_t lease) {
  const auto found = leases_.find(lease);
  if (found == leases_.end()) return;
  by_end_.erase({found->second.end, lease});
  ids_.erase(lease);
  leases_.erase(found);
}

std::vector<std::uint64_t> LeaseTable::expired(base::MonotonicTime now) const {
  std::vector<std::uint64_t> ended;
  for (const auto& [end, lease] : by_end_) {
    if (end > now) break;
    ended.push_back(lease);
  }
  return ended;
}

std::optional<base::MonotonicTime> LeaseTable::next_end() const {
  if (by_end_.empty()) return std::nullopt;
  return by_end_.begin()->first;
}

}  // namespace nexus
