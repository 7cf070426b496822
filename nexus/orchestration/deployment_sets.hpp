#pragma once

// The replica sets of one Deployment while a plan is made, and the arithmetic of moving replicas
// between them.

#include "orchestration/deployment_planner.hpp"
#include "orchestration/replica_set_planner.hpp"

namespace nexus::orchestration {

/// A set as it is and as it shall be.
struct SetDraft {
  ReplicaSet set;
  ReplicaCounts counts;
  bool pods_left = false;     ///< Any pod that has not finished, those being stopped too.
  std::int32_t replicas = 0;  ///< As planned.
  Json annotations;           ///< As planned.
  std::optional<std::int64_t> min_ready_seconds{};  ///< As planned, when it changes.
  bool remove = false;

  /// Pods that stay available when the set has only `replicas` left: those above it are going.
  std::int32_t lasting_available() const { return std::min(counts.available, replicas); }
};

struct DeploymentSets {
  std::vector<SetDraft> sets;           ///< Oldest first.
  std::optional<std::size_t> newest{};  ///< The one of the current template.

  SetDraft* current() { return newest ? &sets[*newest] : nullptr; }
  const SetDraft* current() const { return newest ? &sets[*newest] : nullptr; }
  bool is_old(const SetDraft& set) const { return &set != current(); }
  std::int32_t total_replicas() const;   ///< As planned.
  std::int32_t total_available() const;  ///< That last.
};

/// One step of a rolling update: grows the new set, shrinks the old ones.
void roll(const Deployment& deployment, DeploymentSets& sets);
/// Recreate: empties the old sets. The new one is filled when their pods are gone.
void recreate(const Deployment& deployment, DeploymentSets& sets);
/// The number of replicas changed: spreads it over the sets in proportion, whatever state a rollout
/// is in.
void scale_in_proportion(const Deployment& deployment, DeploymentSets& sets);
/// Whether the number of replicas changed since the sets were sized.
bool is_scaling(const Deployment& deployment, const DeploymentSets& sets);
/// Replicas that a set starts with which is made now.
std::int32_t first_replicas(const Deployment& deployment, const DeploymentSets& sets);

}  // namespace nexus::orchestration
