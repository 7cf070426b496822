#include "orchestration/deployment_sets.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "orchestration/json_read.hpp"

namespace nexus::orchestration {

namespace {

std::int32_t number_annotation(const Json& annotations, std::string_view key,
                               std::int32_t fallback) {
  const std::string written = text(annotations, key);
  std::int32_t value = fallback;
  std::from_chars(written.data(), written.data() + written.size(), value);
  return value;
}

/// Room for more pods of the new set. Pods that a set has too many still count: they go, but are
/// there.
std::int32_t grown(const Deployment& deployment, const DeploymentSets& sets,
                   std::int32_t replicas) {
  std::int32_t present = 0;
  for (const SetDraft& set : sets.sets) present += std::max(set.replicas, set.counts.active);
  const std::int32_t room = deployment.replicas + deployment.surge() - present;
  if (room <= 0) return replicas;
  return replicas + std::min(room, std::max(0, deployment.replicas - replicas));
}

void shrink_old(const Deployment& deployment, DeploymentSets& sets) {
  SetDraft* current = sets.current();
  const std::int32_t available_min = deployment.replicas - deployment.unavailable();
  const std::int32_t new_missing =
      current == nullptr
          ? 0
          : current->replicas - std::min(current->counts.available, current->replicas);
  // Replicas that may go at once: what is above the minimum, if every pod that is not there yet
  // fails.
  std::int32_t spare = sets.total_replicas() - available_min - new_missing;
  if (spare <= 0) return;
  // Pods that are not available are no loss: they go first, of the oldest sets first.
  for (SetDraft& old : sets.sets) {
    if (!sets.is_old(old)) continue;
    const std::int32_t useless = std::min(spare, old.replicas - old.lasting_available());
    if (useless <= 0) continue;
    old.replicas -= useless;
    spare -= useless;
  }
  std::int32_t surplus = std::min(spare, sets.total_available() - available_min);
  for (SetDraft& old : sets.sets) {
    if (!sets.is_old(old) || surplus <= 0) continue;
    const std::int32_t going = std::min(surplus, old.replicas);
    old.replicas -= going;
    surplus -= going;
  }
}

}  // namespace

std::int32_t DeploymentSets::total_replicas() const {
  std::int32_t sum = 0;
  for (const SetDraft& set : sets) sum += set.replicas;
  return sum;
}

std::int32_t DeploymentSets::total_available() const {
  std::int32_t sum = 0;
  for (const SetDraft& set : sets) sum += set.lasting_available();
  return sum;
}

std::int32_t first_replicas(const Deployment& deployment, const DeploymentSets& sets) {
  if (deployment.recreate) return deployment.replicas;
  return grown(deployment, sets, 0);
}

void roll(const Deployment& deployment, DeploymentSets& sets) {
  if (SetDraft* current = sets.current()) {
    current->replicas = current->replicas > deployment.replicas
                            ? deployment.replicas
                            : grown(deployment, sets, current->replicas);
  }
  shrink_old(deployment, sets);
}

void recreate(const Deployment& deployment, DeploymentSets& sets) {
  bool old_pods_left = false;
  for (SetDraft& old : sets.sets) {
    if (!sets.is_old(old)) continue;
    old_pods_left = old_pods_left || old.pods_left || old.replicas > 0;
    old.replicas = 0;
  }
  if (SetDraft* current = sets.current()) {
    if (!old_pods_left || current->replicas > deployment.replicas)
      current->replicas = deployment.replicas;
  }
}

bool is_scaling(const Deployment& deployment, const DeploymentSets& sets) {
  return std::ranges::any_of(sets.sets, [&](const SetDraft& set) {
    return set.replicas > 0 && number_annotation(set.annotations, kDesiredReplicasAnnotation,
                                                 deployment.replicas) != deployment.replicas;
  });
}

void scale_in_proportion(const Deployment& deployment, DeploymentSets& sets) {
  std::vector<SetDraft*> active;
  for (SetDraft& set : sets.sets) {
    if (set.replicas > 0) active.push_back(&set);
  }
  if (active.empty()) return;
  if (active.size() == 1) {
    active.front()->replicas = deployment.replicas;
    return;
  }
  const std::int32_t total = sets.total_replicas();
  const std::int32_t allowed =
      deployment.replicas > 0 ? deployment.replicas + deployment.surge() : 0;
  std::int32_t to_add = allowed - total;
  // The largest first; of equals the newer one grows and the older one shrinks.
  std::ranges::stable_sort(active, [&](const SetDraft* a, const SetDraft* b) {
    if (a->replicas != b->replicas) return a->replicas > b->replicas;
    return to_add > 0 ? a->set.meta.created > b->set.meta.created
                      : a->set.meta.created < b->set.meta.created;
  });
  std::int32_t added = 0;
  for (SetDraft* set : active) {
    if (to_add == 0) break;
    // The share that the set had of the bound before, of the bound now.
    const std::int32_t before =
        std::max(1, number_annotation(set->annotations, kMaxReplicasAnnotation, total));
    const double share = static_cast<double>(set->replicas) * allowed / before;
    std::int32_t change = static_cast<std::int32_t>(std::lround(share)) - set->replicas;
    const std::int32_t left = to_add - added;
    change = to_add > 0 ? std::clamp(change, 0, left) : std::clamp(change, left, 0);
    change = std::max(change, -set->replicas);
    set->replicas += change;
    added += change;
  }
  // What rounding left over goes to the largest.
  SetDraft* largest = active.front();
  largest->replicas = std::max(0, largest->replicas + to_add - added);
}

}  // namespace nexus::orchestration
