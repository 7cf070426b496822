#pragma once

#include "objects/object.hpp"
#include "orchestration/metadata.hpp"
#include "orchestration/object_view.hpp"

namespace nexus::orchestration {

/// Objects in a map, for tests of planners and views.
class MapView final : public ObjectView {
 public:
  /// Adds or replaces.
  ObjectPtr put(Json json) {
    auto object = std::make_shared<Object>();
    object->json = std::move(json);
    object->revision = ++revision_;
    object->json["metadata"]["resourceVersion"] = std::to_string(revision_);
    const ObjectRef ref = ref_to(*object);
    kinds_[ref.kind][{ref.name_space, ref.name}] = object;
    return object;
  }
  void erase(const ObjectRef& ref) { kinds_[ref.kind].erase({ref.name_space, ref.name}); }

  ObjectPtr find(const ObjectRef& ref) const override {
    const ObjectMap& objects = all(ref.kind);
    const auto found = objects.find({ref.name_space, ref.name});
    return found == objects.end() ? nullptr : found->second;
  }
  const ObjectMap& all(std::string_view kind) const override {
    static const ObjectMap none;
    const auto found = kinds_.find(std::string(kind));
    return found == kinds_.end() ? none : found->second;
  }

 private:
  std::map<std::string, ObjectMap> kinds_;
  Revision revision_ = 0;
};

}  // namespace nexus::orchestration
