#pragma once

// How objects are named and held. Light: neither JSON nor Asio.

#include <map>
#include <memory>
#include <nexus/revision.hpp>
#include <optional>
#include <string>

namespace nexus {

/// Names an object. `kind` as in manifests ("Deployment"); `name_space` is empty for cluster-scoped
/// kinds.
struct ObjectRef {
  std::string kind;
  std::string name_space;
  std::string name;
  auto operator<=>(const ObjectRef&) const = default;
};
/// "deployment/web": how messages name it. The namespace is told apart by its reader.
std::string to_string(const ObjectRef& ref);

struct Object;
using ObjectPtr = std::shared_ptr<const Object>;

/// The objects of one kind in order of (namespace, name).
struct ObjectKey {
  std::string name_space;
  std::string name;
  auto operator<=>(const ObjectKey&) const = default;
};
using ObjectMap = std::map<ObjectKey, ObjectPtr>;

struct RemovePrecondition {
  std::optional<std::string> uid;
  std::optional<Revision> revision;
};

}  // namespace nexus
