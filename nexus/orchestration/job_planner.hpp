#pragma once

// Jobs: runs pods until enough have succeeded.
//
// A pod counts once: it carries a finalizer until its end is in the Job's status, and both change
// in one transaction. So neither a crash nor a pod that somebody deletes makes a run count twice or
// not at all.

#include <base/random.hpp>

#include "orchestration/plan.hpp"
#include "orchestration/pod_summary.hpp"
#include "orchestration/workloads.hpp"

namespace nexus::orchestration {

inline constexpr std::string_view kJobTrackingFinalizer = "batch.kubernetes.io/job-tracking";
/// Before a failed pod is replaced: doubles with every failure since the last success.
inline constexpr std::chrono::seconds kJobBackOffFirst{10};
inline constexpr std::chrono::seconds kJobBackOffMax{360};
/// Pods created by one plan.
inline constexpr std::size_t kJobBurst = 100;
/// Pods counted or stopped by one plan; what is left is planned when these are stored.
inline constexpr std::size_t kJobWritesMax = 400;

/// `pods`: all of its namespace.
Plan plan_job(const Job& job, const std::vector<PodSummaryPtr>& pods, Now now, base::Rng& rng);

}  // namespace nexus::orchestration
