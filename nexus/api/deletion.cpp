#include "api/deletion.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace nexus::api {
namespace {

constexpr std::int64_t kDefaultGraceSeconds = 30;

const Json* member(const Json& object, const char* outer, const char* inner) {
  const auto at = object.find(outer);
  if (at == object.end() || !at->is_object()) return nullptr;
  const auto found = at->find(inner);
  return found == at->end() || found->is_null() ? nullptr : &*found;
}

std::int64_t integer_or(const Json* value, std::int64_t otherwise) {
  return value != nullptr && value->is_number_integer() ? value->get<std::int64_t>() : otherwise;
}

bool has_finalizers(const Json& object) {
  const Json* list = member(object, "metadata", "finalizers");
  return list != nullptr && list->is_array() && !list->empty();
}

void add_finalizer(Json& object, const char* name) {
  Json& list = object["metadata"]["finalizers"];
  if (!list.is_array()) list = Json::array();
  if (std::ranges::find(list, Json(name)) == list.end()) list.push_back(name);
}

Reply<DeletionPlan> plan_pod(const Object& object, const DeleteOptions& options,
                             base::WallTime now) {
  const bool marked = member(object.json, "metadata", "deletionTimestamp") != nullptr;
  const std::int64_t own = integer_or(member(object.json, "spec", "terminationGracePeriodSeconds"),
                                      kDefaultGraceSeconds);
  std::int64_t grace = std::max<std::int64_t>(0, options.grace_seconds.value_or(own));
  if (marked) {
    const std::int64_t earlier =
        integer_or(member(object.json, "metadata", "deletionGracePeriodSeconds"), own);
    if (!options.grace_seconds || grace >= earlier) return AlreadyMarked{};
  }
  Json next = object.json;
  next["metadata"]["deletionTimestamp"] = base::to_rfc3339(now + std::chrono::seconds(grace));
  next["metadata"]["deletionGracePeriodSeconds"] = grace;
  return MarkForDeletion{std::move(next)};
}

}  // namespace

Reply<DeletionPlan> plan_deletion(const manifest::KindInfo& kind, const Object& object,
                                  const DeleteOptions& options, base::WallTime now) {
  const Json* uid = member(object.json, "metadata", "uid");
  const Json* name = member(object.json, "metadata", "name");
  if (options.precondition.uid && (uid == nullptr || *uid != *options.precondition.uid)) {
    return refuse(base::Errc::Conflict, fmt::format("the uid is {}, not {}",
                                                    uid == nullptr ? "" : uid->get<std::string>(),
                                                    *options.precondition.uid));
  }
  if (options.precondition.revision && *options.precondition.revision != object.revision) {
    return refuse(base::Errc::Conflict,
                  fmt::format("the resourceVersion is {}, not {}", object.revision,
                              *options.precondition.revision));
  }
  if (kind.kind == "Namespace" && name != nullptr && *name == "default") {
    return refuse(base::Errc::Forbidden, "the namespace default cannot be deleted");
  }
  if (kind.kind == "Pod") return plan_pod(object, options, now);
  // Whoever took its last finalizer did not come to remove it, as when the power failed.
  if (goes_with_its_last_finalizer(kind, object.json)) return RemoveNow{};
  const bool waits = kind.kind == "Namespace" || has_finalizers(object.json) ||
                     options.propagation != Propagation::Background;
  if (!waits) return RemoveNow{};
  if (member(object.json, "metadata", "deletionTimestamp") != nullptr) return AlreadyMarked{};
  Json next = object.json;
  next["metadata"]["deletionTimestamp"] = base::to_rfc3339(now);
  next["metadata"]["deletionGracePeriodSeconds"] = 0;
  if (options.propagation == Propagation::Foreground) add_finalizer(next, "foregroundDeletion");
  if (options.propagation == Propagation::Orphan) add_finalizer(next, "orphan");
  return MarkForDeletion{std::move(next)};
}

bool goes_with_its_last_finalizer(const manifest::KindInfo& kind, const Json& object) {
  if (kind.kind == "Pod" || kind.kind == "Namespace") return false;
  return member(object, "metadata", "deletionTimestamp") != nullptr && !has_finalizers(object);
}

}  // namespace nexus::api
