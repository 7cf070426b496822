#include "orchestration/replica_set_planner.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

#include "orchestration/json_read.hpp"

namespace nexus::orchestration {

namespace {

std::int64_t deletion_cost(const PodSummary& pod) {
  const std::string text = pod.meta.annotation("controller.kubernetes.io/pod-deletion-cost");
  return std::strtoll(text.c_str(), nullptr, 10);
}

int phase_rank(PodPhase phase) {
  return phase == PodPhase::Pending ? 0 : phase == PodPhase::Unknown ? 1 : 2;
}

Json status_for(const ReplicaSet& set, const std::vector<PodSummaryPtr>& owned,
                const ReplicaCounts& counts) {
  const auto selector =
      manifest::LabelSelector::from_labels(text_map(at(set.pod_template(), "metadata"), "labels"));
  const auto labelled = std::ranges::count_if(owned, [&](const PodSummaryPtr& pod) {
    return pod->state.active() && selector.matches(pod->meta.labels);
  });
  return Json{{"replicas", counts.active},
              {"fullyLabeledReplicas", labelled},
              {"readyReplicas", counts.ready},
              {"availableReplicas", counts.available},
              {"observedGeneration", set.meta.generation}};
}

EventNote note(const ReplicaSet& set, std::string reason, std::string message) {
  return {.about = {"ReplicaSet", set.meta.name_space, set.meta.name},
          .about_uid = set.meta.uid,
          .warning = false,
          .reason = std::move(reason),
          .message = std::move(message)};
}

}  // namespace

ReplicaCounts count_replicas(const std::vector<PodSummaryPtr>& owned,
                             std::int64_t min_ready_seconds, base::WallTime now) {
  ReplicaCounts counts;
  for (const PodSummaryPtr& pod : owned) {
    if (pod->state.leaving) ++counts.leaving;
    if (!pod->state.active()) continue;
    ++counts.active;
    if (!pod->state.ready) continue;
    ++counts.ready;
    if (pod->state.available(min_ready_seconds, now)) {
      ++counts.available;
      continue;
    }
    const base::WallTime when = pod->state.ready_since + std::chrono::seconds(min_ready_seconds);
    if (!counts.next_available || when < *counts.next_available) counts.next_available = when;
  }
  return counts;
}

void sort_for_deletion(std::vector<PodSummaryPtr>& pods) {
  std::ranges::stable_sort(pods, [](const PodSummaryPtr& a, const PodSummaryPtr& b) {
    const auto key = [](const PodSummary& pod) {
      const PodState& state = pod.state;
      // Later is younger: negated times put the youngest first.
      const auto ready_since = state.ready ? -state.ready_since.time_since_epoch().count() : 0;
      return std::tuple(state.scheduled, phase_rank(state.phase), state.ready, deletion_cost(pod),
                        ready_since, -state.restarts, -pod.meta.created.time_since_epoch().count());
    };
    return key(*a) < key(*b);
  });
}

Plan plan_replica_set(const ReplicaSet& set, const std::vector<PodSummaryPtr>& pods, Now now,
                      base::Rng& rng) {
  Plan plan;
  OwnedPods claimed = claim(pods, set.meta.uid, set.selector);
  if (set.meta.deletion) return plan;

  const OwnerReference self = controller_reference(set.object->json);
  for (const PodSummaryPtr& pod : claimed.orphans) {
    if (plan.full(kReplicaBurst)) break;
    plan.add(adoption_of(*pod->object, self));
  }
  for (const PodSummaryPtr& pod : claimed.owned) {
    if (pod->state.terminating || set.selector.matches(pod->meta.labels)) continue;
    if (plan.full(kReplicaBurst)) break;
    plan.add(release_of(*pod->object, set.meta.uid));
  }
  if (!plan.writes.empty()) return plan;  // count again when they are ours

  std::vector<PodSummaryPtr> active;
  std::ranges::copy_if(claimed.owned, std::back_inserter(active),
                       [](const PodSummaryPtr& pod) { return pod->state.active(); });
  const auto have = static_cast<std::int64_t>(active.size());
  if (have < set.replicas) {
    for (std::int64_t i = have; i < set.replicas && !plan.full(kReplicaBurst); ++i) {
      const std::string name = generated_name(set.meta.name, base::make_name_suffix(rng));
      ObjectWrite create;
      create.json = pod_from_template(set.pod_template(), set.object->json, name);
      plan.add(std::move(create));
      plan.events.push_back(note(set, "SuccessfulCreate", "Created pod: " + name));
    }
    return plan;
  }
  if (have > set.replicas) {
    sort_for_deletion(active);
    const auto surplus = static_cast<std::size_t>(have - set.replicas);
    for (std::size_t i = 0; i < surplus && !plan.full(kReplicaBurst); ++i) {
      const std::int64_t grace =
          number_or(at(active[i]->object->json, "spec"), "terminationGracePeriodSeconds", 30);
      if (auto mark = deletion_of(*active[i]->object, now.wall, grace)) {
        plan.add(std::move(*mark));
        plan.events.push_back(
            note(set, "SuccessfulDelete", "Deleted pod: " + active[i]->meta.name));
      }
    }
    return plan;
  }

  const ReplicaCounts counts = count_replicas(claimed.owned, set.min_ready_seconds, now.wall);
  if (counts.next_available) plan.plan_again_at(*counts.next_available);
  Json status = status_for(set, claimed.owned, counts);
  if (status != at(set.object->json, "status")) {
    plan.writes.push_back(status_of(*set.object, std::move(status)));
  }
  return plan;
}

}  // namespace nexus::orchestration
