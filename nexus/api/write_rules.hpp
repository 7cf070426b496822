#pragma once

// What a body must be before it becomes an object: named like its path, of its kind, without what
// only the server sets, with defaults and valid (manifest::admit). Pure.

#include <nlohmann/json.hpp>

#include "api/options.hpp"
#include "api/refusal.hpp"
#include "api/route.hpp"
#include "nexus/access.hpp"

namespace nexus::api {

struct AdmittedObject {
  Json object;
  std::vector<std::string> warnings;
};

/// The body of a POST. `name_suffix` completes metadata.generateName.
/// Errors: 400 (another kind, name or namespace than the path's), 422 (with a cause for each
/// field), 403 (`role` may not ask for what is in its pods).
Reply<AdmittedObject> admit_new(const Route& route, Json object, const WriteOptions& options,
                                std::string_view name_suffix, Role role);

/// The body of a PUT, or the outcome of a PATCH, of the stored `existing`.
/// Errors: as above.
Reply<AdmittedObject> admit_change(const Route& route, Json object, const Json& existing,
                                   const WriteOptions& options, Role role);

/// The object with the `status` of `body`, for a write of the subresource.
/// Errors: 400 (another name or kind, no status).
Reply<Json> with_status(const Route& route, const Json& body, const Json& existing);

/// Whether `role` may go into a running pod: what runs with more than a pod's rights is for
/// administrators. Errors: 403.
Reply<> check_entry(const Json& pod, Role role);

}  // namespace nexus::api
