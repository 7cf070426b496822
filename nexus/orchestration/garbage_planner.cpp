#include "orchestration/garbage_planner.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "manifest/kinds.hpp"
#include "orchestration/job_planner.hpp"
#include "orchestration/json_read.hpp"

namespace nexus::orchestration {

namespace {

ObjectRef owner_ref(const OwnerReference& owner, const std::string& name_space) {
  const manifest::KindInfo* kind = manifest::find_kind(owner.kind);
  const bool namespaced = kind == nullptr || kind->namespaced;
  return {owner.kind, namespaced ? name_space : "", owner.name};
}

/// The owner itself, not something else that has its name now. Null when it is gone.
ObjectPtr owner_of(const OwnerReference& owner, const std::string& name_space,
                   const ObjectView& view) {
  ObjectPtr found = view.find(owner_ref(owner, name_space));
  if (found == nullptr || text(at(found->json, "metadata"), "uid") != owner.uid) return nullptr;
  return found;
}

bool has(const std::vector<std::string>& finalizers, std::string_view name) {
  return std::ranges::find(finalizers, name) != finalizers.end();
}

class Planner {
 public:
  Planner(const Object& object, const ObjectView& view, const OwnerIndex& index, Now now)
      : object_(object), view_(view), index_(index), now_(now), meta_(read_metadata(object.json)) {}

  Plan plan() {
    if (meta_.deletion) {
      marked();
    } else if (!meta_.owners.empty() && ownerless()) {
      if (auto write = background_deletion_of(object_, now_.wall))
        plan_.writes.push_back(std::move(*write));
    }
    return std::move(plan_);
  }

 private:
  /// Every owner is gone, or one goes in the foreground and waits for this.
  bool ownerless() const {
    bool any_left = false;
    for (const OwnerReference& owner : meta_.owners) {
      const ObjectPtr found = owner_of(owner, meta_.name_space, view_);
      if (found == nullptr) continue;
      any_left = true;
      const Metadata meta = read_metadata(found->json);
      if (meta.deletion && has(meta.finalizers, kForegroundFinalizer) && owner.block_deletion)
        return true;
    }
    return !any_left;
  }

  void marked() {
    if (has(meta_.finalizers, kOrphanFinalizer)) return orphan();
    if (has(meta_.finalizers, kForegroundFinalizer)) return foreground();
    const std::string kind = text(object_.json, "kind");
    if (kind == "Pod") {
      // Nobody is left to count it.
      if (has(meta_.finalizers, kJobTrackingFinalizer) && controller_gone()) {
        plan_.writes.push_back(without_finalizer(object_, kJobTrackingFinalizer));
      }
      return;
    }
    if (meta_.finalizers.empty() && kind != "Namespace")
      plan_.writes.push_back(removal_of(object_));
  }

  bool controller_gone() const {
    const OwnerReference* owner = meta_.controller();
    return owner == nullptr || owner_of(*owner, meta_.name_space, view_) == nullptr;
  }

  void orphan() {
    for (const ObjectRef& ref : index_.dependents(meta_.uid)) {
      const ObjectPtr dependent = view_.find(ref);
      if (dependent == nullptr) continue;
      if (plan_.full(kGarbageBurst)) return;
      plan_.add(release_of(*dependent, meta_.uid));
    }
    if (plan_.writes.empty()) end(kOrphanFinalizer);
  }

  void foreground() {
    bool blocked = false;
    for (const ObjectRef& ref : index_.dependents(meta_.uid)) {
      const ObjectPtr dependent = view_.find(ref);
      if (dependent == nullptr) continue;
      const Metadata meta = read_metadata(dependent->json);
      blocked = blocked || (blocks(meta, meta_.uid) && !waits_for_this(meta));
      if (plan_.full(kGarbageBurst) || meta.deletion) continue;
      plan_.add(foreground_deletion_of(*dependent, meta));
    }
    if (!blocked && plan_.writes.empty()) end(kForegroundFinalizer);
  }

  static bool blocks(const Metadata& dependent, const std::string& owner_uid) {
    return std::ranges::any_of(dependent.owners, [&](const OwnerReference& owner) {
      return owner.uid == owner_uid && owner.block_deletion;
    });
  }

  /// Whether a dependent goes in the foreground, too, and waits for this object in turn: of those
  /// that own each other in a circle, one has to go first.
  bool waits_for_this(const Metadata& dependent) const {
    std::set<std::string> seen;
    std::vector<Metadata> open{dependent};
    while (!open.empty()) {
      const Metadata owner = std::move(open.back());
      open.pop_back();
      const bool waits = owner.deletion && has(owner.finalizers, kForegroundFinalizer);
      if (!waits || !seen.insert(owner.uid).second) continue;
      for (const ObjectRef& ref : index_.dependents(owner.uid)) {
        const ObjectPtr next = view_.find(ref);
        // What owns nothing is in no circle.
        if (next == nullptr || !index_.has_dependents(text(at(next->json, "metadata"), "uid")))
          continue;
        Metadata meta = read_metadata(next->json);
        if (!blocks(meta, owner.uid)) continue;
        if (meta.uid == meta_.uid) return true;
        open.push_back(std::move(meta));
      }
    }
    return false;
  }

  /// What owns something itself waits for that as well.
  ObjectWrite foreground_deletion_of(const Object& dependent, const Metadata& meta) const {
    if (!index_.has_dependents(meta.uid)) return *background_deletion_of(dependent, now_.wall);
    ObjectWrite write = *deletion_of(dependent, now_.wall, 0);
    Json& finalizers = write.json["metadata"]["finalizers"];
    if (!finalizers.is_array()) finalizers = Json::array();
    finalizers.push_back(std::string(kForegroundFinalizer));
    return write;
  }

  void end(std::string_view finalizer) {
    if (meta_.finalizers.size() == 1) {
      plan_.writes.push_back(removal_of(object_));
    } else {
      plan_.writes.push_back(without_finalizer(object_, finalizer));
    }
  }

  const Object& object_;
  const ObjectView& view_;
  const OwnerIndex& index_;
  Now now_;
  Metadata meta_;
  Plan plan_;
};

}  // namespace

void OwnerIndex::put(const Object& object) {
  std::set<std::string> uids;
  for (const Json& owner : items(at(object.json, "metadata"), "ownerReferences")) {
    uids.insert(text(owner, "uid"));
  }
  const ObjectRef ref = ref_to(object);
  const auto known = owners_.find(ref);
  if (known == owners_.end() ? uids.empty() : known->second == uids) return;
  erase(object);
  for (const std::string& uid : uids) dependents_[uid].insert(ref);
  if (!uids.empty()) owners_.emplace(ref, std::move(uids));
}

void OwnerIndex::erase(const Object& object) {
  const ObjectRef ref = ref_to(object);
  const auto known = owners_.find(ref);
  if (known == owners_.end()) return;
  for (const std::string& uid : known->second) {
    const auto entry = dependents_.find(uid);
    if (entry == dependents_.end()) continue;
    entry->second.erase(ref);
    if (entry->second.empty()) dependents_.erase(entry);
  }
  owners_.erase(known);
}

std::vector<ObjectRef> OwnerIndex::dependents(const std::string& owner_uid) const {
  const auto found = dependents_.find(owner_uid);
  if (found == dependents_.end()) return {};
  return {found->second.begin(), found->second.end()};
}

Plan plan_garbage(const Object& object, const ObjectView& view, const OwnerIndex& index, Now now) {
  return Planner(object, view, index, now).plan();
}

std::optional<ObjectWrite> background_deletion_of(const Object& object, base::WallTime now) {
  const Metadata meta = read_metadata(object.json);
  if (meta.deletion) return std::nullopt;
  const std::string kind = text(object.json, "kind");
  if (kind == "Pod") {
    return deletion_of(object, now,
                       number_or(at(object.json, "spec"), "terminationGracePeriodSeconds", 30));
  }
  if (kind == "Namespace" || !meta.finalizers.empty()) return deletion_of(object, now, 0);
  return removal_of(object);
}

Plan plan_namespace(const Object& name_space, const ObjectView& view, Now now) {
  Plan plan;
  const Metadata meta = read_metadata(name_space.json);
  if (!meta.deletion) return plan;
  bool empty = true;
  // The reverse of the order in which things are made: what uses others goes first.
  const auto kinds = manifest::served_kinds();
  for (auto kind = kinds.rbegin(); kind != kinds.rend(); ++kind) {
    if (!kind->namespaced) continue;
    for_each_in(view, kind->kind, meta.name, [&](const ObjectPtr& object) {
      empty = false;
      if (plan.full(kGarbageBurst)) return;
      if (auto write = background_deletion_of(*object, now.wall)) plan.add(std::move(*write));
    });
    // ConfigMaps and Secrets stay until the pods that read them are gone.
    if (!empty && kind->kind == "Pod") break;
  }
  if (!plan.writes.empty()) return plan;
  if (empty && meta.finalizers.empty()) {
    plan.writes.push_back(removal_of(name_space));
    return plan;
  }
  Json status = at(name_space.json, "status");
  if (!status.is_object()) status = Json::object();
  status["phase"] = "Terminating";
  if (status != at(name_space.json, "status"))
    plan.writes.push_back(status_of(name_space, std::move(status)));
  return plan;
}

}  // namespace nexus::orchestration
