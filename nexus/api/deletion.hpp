#pragma once

#include <base/time.hpp>
#include <variant>

#include "api/options.hpp"
#include "manifest/kinds.hpp"
#include "objects/object.hpp"

namespace nexus::api {

/// The object goes now.
struct RemoveNow {};
/// The object is written so; it goes when those who wait for the mark are done.
struct MarkForDeletion {
  Json object;
};
/// It is marked already, and this changes nothing.
struct AlreadyMarked {};
using DeletionPlan = std::variant<RemoveNow, MarkForDeletion, AlreadyMarked>;

/// What a DELETE does (docs/wire/api.md). Pure.
/// Errors: Conflict (a precondition does not hold), 403 (the namespace "default").
Reply<DeletionPlan> plan_deletion(const manifest::KindInfo& kind, const Object& object,
                                  const DeleteOptions& options, base::WallTime now);

/// Whether an object that was just written goes with this write: it is marked, and its last
/// finalizer is gone. Pods and Namespaces are removed by those who empty them.
bool goes_with_its_last_finalizer(const manifest::KindInfo& kind, const Json& object);

}  // namespace nexus::api
