#pragma once

#include <base/time.hpp>
#include <optional>
#include <string>
#include <vector>

#include "manifest/label_selector.hpp"
#include "objects/object.hpp"

namespace nexus::orchestration {

/// The two clocks at one moment: intervals are counted on the first, what is stored and what a
/// restart must find again on the second.
struct Now {
  base::MonotonicTime mono;
  base::WallTime wall;
};

struct OwnerReference {
  std::string api_version, kind, name, uid;
  bool controller = false;
  bool block_deletion = false;
  bool operator==(const OwnerReference&) const = default;
};

struct Metadata {
  std::string name, name_space, uid;
  std::int64_t generation = 0;
  manifest::Labels labels;
  std::map<std::string, std::string> annotations;
  std::vector<OwnerReference> owners;
  std::vector<std::string> finalizers;
  base::WallTime created{};
  std::optional<base::WallTime> deletion;  ///< deletionTimestamp: for a pod, when its grace ends.
  std::optional<std::int64_t> deletion_grace_seconds;

  /// The owner that manages the object; null when nobody does.
  const OwnerReference* controller() const;
  /// Annotation, or "".
  std::string annotation(const std::string& key) const;
};

Metadata read_metadata(const Json& object);
OwnerReference read_owner(const Json& reference);
Json to_json(const OwnerReference& owner);
/// What a controller writes into what it makes.
OwnerReference controller_reference(const Json& owner);

/// `object` as a write that must find it unchanged: with its resourceVersion and uid.
ObjectWrite update_of(Json object);
/// Status of `object` replaced by `status`; must find it unchanged.
ObjectWrite status_of(const Object& object, Json status);
ObjectWrite removal_of(const Object& object);
/// Marks for deletion. A pod is stopped within `grace_seconds`. Empty when it is marked already.
std::optional<ObjectWrite> deletion_of(const Object& object, base::WallTime now,
                                       std::int64_t grace_seconds);

/// `object` with an owner more, or without the entries of one.
ObjectWrite adoption_of(const Object& object, const OwnerReference& owner);
ObjectWrite release_of(const Object& object, const std::string& owner_uid);
ObjectWrite without_finalizer(const Object& object, std::string_view finalizer);

ObjectRef ref_to(const Object& object);

}  // namespace nexus::orchestration
