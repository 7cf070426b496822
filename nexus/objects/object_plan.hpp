#pragma once

#include "objects/object.hpp"

namespace nexus {

/// What the store stamps on new objects.
struct ObjectStamp {
  std::string uid;
  std::string now;  ///< RFC 3339, seconds.
};

/// What one write does to its object.
struct ObjectPlan {
  ObjectRef ref;
  std::optional<Json> json;  ///< New content, without resourceVersion; empty: it goes.
  Revision expected = 0;     ///< Of the object that the plan was made for; 0: there must be none.
  bool changed = true;       ///< false: the content would be the same.
  bool audited = true;
  std::string_view action;  ///< "create", "update", "delete"
};

/// Decides a write against the object as it is (`current` may be null). Pure.
/// Errors: as the calls of ObjectStore.
base::Result<ObjectPlan> plan_object_write(const ObjectWrite& write, const ObjectPtr& current,
                                           const ObjectStamp& stamp);

/// The text that is stored; bytes that are no UTF-8 are replaced. Errors: ResourceExhausted
/// (kObjectBytesMax).
base::Result<std::string> object_text(const ObjectRef& ref, const Json& json);

}  // namespace nexus
