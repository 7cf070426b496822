#pragma once

#include "objects/object_store.hpp"
#include "orchestration/object_view.hpp"

namespace nexus::orchestration {

/// The cache of the object store.
class StoreView final : public ObjectView {
 public:
  explicit StoreView(const ObjectStore& store) : store_(store) {}
  ObjectPtr find(const ObjectRef& ref) const override { return store_.find(ref); }
  const ObjectMap& all(std::string_view kind) const override { return store_.all(kind); }

 private:
  const ObjectStore& store_;
};

}  // namespace nexus::orchestration
