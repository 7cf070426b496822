#include "orchestration/deployment_planner.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "orchestration/conditions.hpp"
#include "orchestration/deployment_sets.hpp"
#include "orchestration/deployment_status.hpp"
#include "orchestration/json_read.hpp"

namespace nexus::orchestration {

namespace {

/// Annotations of a Deployment that are not those of its sets.
bool is_own_annotation(const std::string& key) {
  return key == "kubectl.kubernetes.io/last-applied-configuration" || key == kRevisionAnnotation ||
         key == kRevisionHistoryAnnotation || key == kDesiredReplicasAnnotation ||
         key == kMaxReplicasAnnotation || key == kRollbackAnnotation ||
         key == kAutomaticRollbackAnnotation || key == kCompletedAnnotation ||
         key == kRolledBackAnnotation || key == kFromRevisionAnnotation;
}

class Planner {
 public:
  Planner(const DeploymentInput& input, Now now)
      : input_(input), deployment_(input.deployment), now_(now) {}

  Plan plan() {
    if (deployment_.meta.deletion || adopt()) return std::move(plan_);
    gather();
    if (sets_.newest) {
      take_over_current();
    } else if (!deployment_.paused && !is_scaling(deployment_, sets_)) {
      if (!make_current()) return std::move(plan_);
    }
    resize();
    const DeploymentVerdict verdict = judge(deployment_, sets_, now_);
    if (verdict.again) plan_.plan_again_at(*verdict.again);
    if (verdict.timed_out && roll_back()) {
      write_sets();
      return std::move(plan_);
    }
    if (verdict.complete) mark_complete();
    if (verdict.complete) forget_old();
    write_sets();
    // The object can be written once: its status follows when the annotation is there.
    if (!write_revision() && verdict.status != at(deployment_.object->json, "status")) {
      plan_.writes.push_back(status_of(*deployment_.object, verdict.status));
      tell_verdict(verdict);
    }
    return std::move(plan_);
  }

 private:
  bool adopt() {
    for (const ReplicaSet& set : input_.sets) {
      if (set.meta.controller() != nullptr || set.meta.deletion) continue;
      if (!deployment_.selector.matches(set.meta.labels)) continue;
      plan_.writes.push_back(
          adoption_of(*set.object, controller_reference(deployment_.object->json)));
    }
    return !plan_.writes.empty();
  }

  void gather() {
    for (const ReplicaSet& set : input_.sets) {
      const OwnerReference* owner = set.meta.controller();
      if (owner == nullptr || owner->uid != deployment_.meta.uid || set.meta.deletion) continue;
      const OwnedPods pods = claim(input_.pods, set.meta.uid, manifest::LabelSelector::nothing());
      SetDraft draft{.set = set,
                     .counts = count_replicas(pods.owned, deployment_.min_ready_seconds, now_.wall),
                     .pods_left = std::ranges::any_of(pods.owned,
                                                      [](const PodSummaryPtr& pod) {
                                                        return pod->state.phase !=
                                                                   PodPhase::Succeeded &&
                                                               pod->state.phase != PodPhase::Failed;
                                                      }),
                     .replicas = set.replicas,
                     .annotations = at(at(set.object->json, "metadata"), "annotations")};
      if (!draft.annotations.is_object()) draft.annotations = Json::object();
      if (draft.counts.next_available) plan_.plan_again_at(*draft.counts.next_available);
      sets_.sets.push_back(std::move(draft));
    }
    std::ranges::stable_sort(sets_.sets, [](const SetDraft& a, const SetDraft& b) {
      if (a.set.meta.created != b.set.meta.created) return a.set.meta.created < b.set.meta.created;
      return a.set.meta.name < b.set.meta.name;
    });
    const Json wanted = without_hash(deployment_.pod_template());
    for (std::size_t i = 0; i < sets_.sets.size() && !sets_.newest; ++i) {
      if (without_hash(sets_.sets[i].set.pod_template()) == wanted) sets_.newest = i;
    }
  }

  std::int64_t latest_old_revision() const {
    std::int64_t latest = 0;
    for (const SetDraft& set : sets_.sets) {
      if (sets_.is_old(set)) latest = std::max(latest, set.set.revision());
    }
    return latest;
  }

  /// A template that comes back gets a new revision, so that history has one order.
  void take_over_current() {
    SetDraft& current = *sets_.current();
    const std::int64_t revision = latest_old_revision() + 1;
    if (current.set.revision() < revision) {
      Json& annotations = current.annotations;
      const std::int64_t before = current.set.revision();
      if (before > 0) {
        const std::string past = text(annotations, kRevisionHistoryAnnotation);
        annotations[std::string(kRevisionHistoryAnnotation)] =
            past.empty() ? std::to_string(before) : fmt::format("{},{}", past, before);
      }
      annotations[std::string(kRevisionAnnotation)] = std::to_string(revision);
      annotations.erase(std::string(kRolledBackAnnotation));
      copy_annotations(annotations);
    }
    revision_ = std::max(revision, current.set.revision());
    if (current.set.min_ready_seconds != deployment_.min_ready_seconds) {
      current.min_ready_seconds = deployment_.min_ready_seconds;
    }
  }

  void copy_annotations(Json& into) const {
    for (const auto& [key, value] : deployment_.meta.annotations) {
      if (!is_own_annotation(key)) into[key] = value;
    }
    into[std::string(kFromRevisionAnnotation)] = std::to_string(deployment_.object->revision);
  }

  /// False when the name is taken: the status then has the count that gives another one.
  bool make_current() {
    Json status = at(deployment_.object->json, "status");
    const auto collisions = static_cast<std::int32_t>(number_or(status, "collisionCount", 0));
    const std::string hash = template_hash(deployment_.pod_template(), collisions);
    const std::string name = generated_name(deployment_.meta.name, hash);
    const auto taken = std::ranges::find_if(
        input_.sets, [&](const ReplicaSet& set) { return set.meta.name == name; });
    if (taken != input_.sets.end()) {
      // A set of an earlier Deployment of this name may be on its way out: its end plans anew.
      if (taken->meta.deletion) return false;
      if (!status.is_object()) status = Json::object();
      status["collisionCount"] = collisions + 1;
      plan_.writes.push_back(status_of(*deployment_.object, std::move(status)));
      return false;
    }
    revision_ = latest_old_revision() + 1;
    if (deployment_.recreate) {
      recreate(deployment_, sets_);
      const bool left =
          std::ranges::any_of(sets_.sets, [](const SetDraft& set) { return set.pods_left; });
      if (left) {
        revision_ = 0;
        return true;  // the old pods go first
      }
    }
    plan_.writes.push_back(creation(name, hash));
    return true;
  }

  ObjectWrite creation(const std::string& name, const std::string& hash) {
    const std::int32_t replicas = first_replicas(deployment_, sets_);
    Json pod_template = deployment_.pod_template();
    pod_template["metadata"]["labels"][std::string(kTemplateHashLabel)] = hash;
    Json selector = at(at(deployment_.object->json, "spec"), "selector");
    selector["matchLabels"][std::string(kTemplateHashLabel)] = hash;
    Json annotations = Json::object();
    copy_annotations(annotations);
    annotations[std::string(kRevisionAnnotation)] = std::to_string(revision_);
    annotate_size(annotations);
    Json spec{{"replicas", replicas}, {"selector", std::move(selector)}};
    if (deployment_.min_ready_seconds > 0) spec["minReadySeconds"] = deployment_.min_ready_seconds;
    Json labels = at(at(pod_template, "metadata"), "labels");
    spec["template"] = std::move(pod_template);
    ObjectWrite write;
    write.json = Json{{"apiVersion", "apps/v1"},
                      {"kind", "ReplicaSet"},
                      {"metadata",
                       {{"name", name},
                        {"namespace", deployment_.meta.name_space},
                        {"labels", std::move(labels)},
                        {"annotations", std::move(annotations)},
                        {"ownerReferences",
                         Json::array({to_json(controller_reference(deployment_.object->json))})}}},
                      {"spec", std::move(spec)},
                      {"status", {{"replicas", 0}}}};
    tell("ScalingReplicaSet", fmt::format("Scaled up replica set {} from 0 to {}", name, replicas));
    made_ = true;
    return write;
  }

  void annotate_size(Json& annotations) const {
    annotations[std::string(kDesiredReplicasAnnotation)] = std::to_string(deployment_.replicas);
    annotations[std::string(kMaxReplicasAnnotation)] =
        std::to_string(deployment_.replicas + deployment_.surge());
  }

  void resize() {
    if (is_scaling(deployment_, sets_)) {
      scale_in_proportion(deployment_, sets_);
    } else if (deployment_.paused || made_) {
      return;  // paused, or old sets shrink when the new one has its pods
    } else if (deployment_.recreate) {
      recreate(deployment_, sets_);
    } else if (sets_.newest) {
      roll(deployment_, sets_);
    }
  }

  /// Puts the template of the last complete revision back. False when there is none, or when this
  /// already is a rollback.
  bool roll_back() {
    if (deployment_.meta.annotation(std::string(kAutomaticRollbackAnnotation)) == "false")
      return false;
    const auto mark = rollback_mark(deployment_.meta);
    if (mark && mark->generation == deployment_.meta.generation) return false;
    const SetDraft* target = nullptr;
    for (const SetDraft& set : sets_.sets) {
      if (!sets_.is_old(set) || !set.annotations.contains(std::string(kCompletedAnnotation)))
        continue;
      if (target == nullptr || set.set.revision() > target->set.revision()) target = &set;
    }
    if (target == nullptr) return false;
    SetDraft& failed = *sets_.current();
    const std::string why =
        fmt::format("revision {} made no progress for {} s ({} of {} replicas available)",
                    failed.set.revision(), deployment_.progress_deadline_seconds,
                    failed.counts.available, deployment_.replicas);
    const std::string message =
        fmt::format("{}; rolled back to the template of revision {}", why, target->set.revision());
    failed.annotations[std::string(kRolledBackAnnotation)] = why;
    Json restored = deployment_.object->json;
    restored["spec"]["template"] = without_hash(target->set.pod_template());
    restored["metadata"]["annotations"][std::string(kRollbackAnnotation)] =
        to_text(RollbackMark{.generation = deployment_.meta.generation + 1, .message = message});
    plan_.writes.push_back(update_of(std::move(restored)));
    tell("RolledBack", message, true);
    return true;
  }

  void mark_complete() {
    SetDraft& current = *sets_.current();
    if (current.annotations.contains(std::string(kCompletedAnnotation))) return;
    current.annotations[std::string(kCompletedAnnotation)] = base::to_rfc3339(now_.wall);
  }

  /// Keeps the newest `history_limit` old sets.
  void forget_old() {
    std::vector<SetDraft*> old;
    for (SetDraft& set : sets_.sets) {
      if (sets_.is_old(set) && set.replicas == 0 && set.set.replicas == 0 &&
          set.counts.active == 0) {
        old.push_back(&set);
      }
    }
    std::ranges::sort(old, {}, [](const SetDraft* set) { return set->set.revision(); });
    const auto limit = static_cast<std::size_t>(deployment_.history_limit);
    for (std::size_t i = 0; i + limit < old.size(); ++i) old[i]->remove = true;
  }

  void write_sets() {
    for (SetDraft& draft : sets_.sets) {
      if (draft.remove) {
        plan_.writes.push_back(removal_of(*draft.set.object));
        continue;
      }
      if (draft.replicas > 0 || draft.set.replicas > 0) annotate_size(draft.annotations);
      Json json = draft.set.object->json;
      if (!draft.annotations.empty()) json["metadata"]["annotations"] = draft.annotations;
      if (draft.replicas != draft.set.replicas) {
        json["spec"]["replicas"] = draft.replicas;
        tell("ScalingReplicaSet",
             fmt::format("Scaled {} replica set {} from {} to {}",
                         draft.replicas > draft.set.replicas ? "up" : "down", draft.set.meta.name,
                         draft.set.replicas, draft.replicas));
      }
      if (draft.min_ready_seconds) json["spec"]["minReadySeconds"] = *draft.min_ready_seconds;
      if (json != draft.set.object->json) plan_.writes.push_back(update_of(std::move(json)));
    }
  }

  bool write_revision() {
    const std::string key(kRevisionAnnotation);
    if (revision_ == 0 || deployment_.meta.annotation(key) == std::to_string(revision_))
      return false;
    Json json = deployment_.object->json;
    json["metadata"]["annotations"][key] = std::to_string(revision_);
    plan_.writes.push_back(update_of(std::move(json)));
    return true;
  }

  void tell_verdict(const DeploymentVerdict& verdict) {
    const Json* before = find_condition(at(deployment_.object->json, "status"), "Progressing");
    const Json* after = find_condition(verdict.status, "Progressing");
    if (after == nullptr) return;
    const std::string reason = text(*after, "reason");
    if (before != nullptr && text(*before, "reason") == reason) return;
    if (reason == "ProgressDeadlineExceeded") tell(reason, text(*after, "message"), true);
    if (reason == "NewReplicaSetAvailable") tell("RolloutComplete", text(*after, "message"));
  }

  void tell(std::string reason, std::string message, bool warning = false) {
    plan_.events.push_back(
        {.about = {"Deployment", deployment_.meta.name_space, deployment_.meta.name},
         .about_uid = deployment_.meta.uid,
         .warning = warning,
         .reason = std::move(reason),
         .message = std::move(message)});
  }

  const DeploymentInput& input_;
  const Deployment& deployment_;
  Now now_;
  DeploymentSets sets_;
  std::int64_t revision_ = 0;  // of the current template; 0 while it has no set
  bool made_ = false;
  Plan plan_;
};

}  // namespace

Plan plan_deployment(const DeploymentInput& input, Now now) {
  return Planner(input, now).plan();
}

}  // namespace nexus::orchestration
