#pragma once

// What goes when its owner goes, and the ends of deletions: foreground, background and orphan as in
// Kubernetes; namespaces with everything in them.

#include <map>
#include <set>

#include "orchestration/metadata.hpp"
#include "orchestration/object_view.hpp"
#include "orchestration/plan.hpp"

namespace nexus::orchestration {

inline constexpr std::string_view kForegroundFinalizer = "foregroundDeletion";
inline constexpr std::string_view kOrphanFinalizer = "orphan";
/// Writes of one plan; the rest is planned when these are stored.
inline constexpr std::size_t kGarbageBurst = 250;

/// Which objects name which owner.
class OwnerIndex {
 public:
  /// `object` is new or has changed.
  void put(const Object& object);
  void erase(const Object& object);
  std::vector<ObjectRef> dependents(const std::string& owner_uid) const;
  bool has_dependents(const std::string& owner_uid) const {
    return dependents_.contains(owner_uid);
  }

 private:
  std::map<ObjectRef, std::set<std::string>> owners_;
  std::map<std::string, std::set<ObjectRef>> dependents_;
};

/// For an object that has owners, or is marked for deletion. Pods and namespaces that are marked
/// end elsewhere (on their node, in plan_namespace).
Plan plan_garbage(const Object& object, const ObjectView& view, const OwnerIndex& index, Now now);

/// For a namespace that is marked: deletes what is in it, then itself.
Plan plan_namespace(const Object& name_space, const ObjectView& view, Now now);

/// Deletes `object` as the API does with background propagation: a pod gets its grace,
/// namespaces and what has finalizers are marked, the rest is removed. Empty when it is marked
/// already.
std::optional<ObjectWrite> background_deletion_of(const Object& object, base::WallTime now);

}  // namespace nexus::orchestration
