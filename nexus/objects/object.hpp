#pragma once

// Objects in full, without the store: what planners and other cores read. Costs the compilation of
// nlohmann/json.

#include <base/error.hpp>
#include <nlohmann/json.hpp>

#include "objects/json.hpp"
#include "objects/object_ref.hpp"

namespace nexus {

inline constexpr std::size_t kObjectBytesMax = 1u << 20;  ///< Compact JSON of one object.

/// One stored object. Immutable once read: the cache, lists and watches share it.
struct Object {
  Json json;              ///< Kubernetes' shape; metadata.resourceVersion is `revision` as text.
  Revision revision = 0;  ///< Of the last write to it.
  std::string writer;     ///< User of that write.
};

/// One write of ObjectStore::transact.
struct ObjectWrite {
  enum class Verb : std::uint8_t { Create, Update, UpdateStatus, Remove };
  Verb verb = Verb::Create;
  Json json{};      ///< Create, Update, UpdateStatus: as the call of that name takes it.
  ObjectRef ref{};  ///< Remove
  RemovePrecondition precondition{};  ///< Remove
};

/// Kind, metadata.namespace and metadata.name of an object.
/// Errors: InvalidArgument (one is missing, not a string, or holds a character that no key may
/// hold).
base::Result<ObjectRef> ref_of(const Json& json);

}  // namespace nexus
