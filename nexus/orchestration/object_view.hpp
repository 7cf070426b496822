#pragma once

#include <string_view>

#include "objects/object_ref.hpp"

namespace nexus::orchestration {

/// What exists, to read: the cache of the object store, or a map in tests.
class ObjectView {
 public:
  virtual ~ObjectView() = default;
  /// Null when there is none.
  virtual ObjectPtr find(const ObjectRef& ref) const = 0;
  virtual const ObjectMap& all(std::string_view kind) const = 0;
};

/// Calls `visit(const ObjectPtr&)` for the objects of `kind` in one namespace.
template <class Visit>
void for_each_in(const ObjectView& view, std::string_view kind, const std::string& name_space,
                 Visit visit) {
  const ObjectMap& all = view.all(kind);
  for (auto it = all.lower_bound(ObjectKey{name_space, ""});
       it != all.end() && it->first.name_space == name_space; ++it) {
    visit(it->second);
  }
}

}  // namespace nexus::orchestration
