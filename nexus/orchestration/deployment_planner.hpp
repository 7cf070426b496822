#pragma once

// Deployments: which replica sets there should be and how large they are.
//
// A template has one replica set, found by comparing templates, named by their hash. A rollout
// moves pods from the old sets to the new one within two bounds: never more than replicas + surge
// pods, never fewer than replicas - unavailable of them available because of us. A rollout that
// makes no progress for progressDeadlineSeconds goes back to the last revision that once was
// complete.
//
// All counts come from pods, not from the status of replica sets, and all times from stored
// conditions: a plan can be made anew after any crash.

#include "orchestration/plan.hpp"
#include "orchestration/pod_summary.hpp"
#include "orchestration/workloads.hpp"

namespace nexus::orchestration {

struct DeploymentInput {
  Deployment deployment;
  std::vector<ReplicaSet> sets;     ///< All of its namespace.
  std::vector<PodSummaryPtr> pods;  ///< All of its namespace.
};

Plan plan_deployment(const DeploymentInput& input, Now now);

}  // namespace nexus::orchestration
