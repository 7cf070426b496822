#pragma once

#include <base/random.hpp>

#include "orchestration/plan.hpp"
#include "orchestration/pod_summary.hpp"
#include "orchestration/workloads.hpp"

namespace nexus::orchestration {

/// Pods created, deleted, adopted or let go by one plan; what is left is planned when these are
/// there.
inline constexpr std::size_t kReplicaBurst = 250;

/// Keeps as many pods as wanted. `pods`: all of its namespace.
Plan plan_replica_set(const ReplicaSet& set, const std::vector<PodSummaryPtr>& pods, Now now,
                      base::Rng& rng);

/// How many of the pods are what.
struct ReplicaCounts {
  std::int32_t active = 0, ready = 0, available = 0;
  std::int32_t leaving = 0;                      ///< Not active any more, and still served.
  std::optional<base::WallTime> next_available;  ///< When a ready pod becomes available.
};
ReplicaCounts count_replicas(const std::vector<PodSummaryPtr>& owned,
                             std::int64_t min_ready_seconds, base::WallTime now);

/// Orders pods by who goes first when there are too many: not placed, pending, not ready, lower
/// deletion cost, ready for a shorter time, more restarts, younger.
void sort_for_deletion(std::vector<PodSummaryPtr>& pods);

}  // namespace nexus::orchestration
