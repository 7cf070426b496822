#pragma once

// The schema for people and for tools: `hm explain`, completion of field paths, OpenAPI.

#include <base/error.hpp>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace nexus::manifest {

/// "deployment.spec.strategy" -> what it is, its values, default and fields. `recursive` lists all
/// fields below with their types only. Steps into lists need no index: "pod.spec.containers.image".
/// Errors: as resolve_kind(); NotFound (no such field: the hint names the nearest).
base::Result<std::string> explain(std::string_view path, bool recursive = false);

struct PathCompletion {
  std::string path;  ///< "deployment.spec.strategy"; ends with "." when more must follow.
  std::string description;
};
/// What may follow the beginning of a path; kinds when there is no dot yet.
std::vector<PathCompletion> complete_path(std::string_view beginning);

/// OpenAPI 3.0 of the kinds of one group and version ("apps/v1", "v1"), or of all when empty:
/// schemas with x-kubernetes-group-version-kind and the paths that are served.
nlohmann::json openapi_v3(std::string_view api_version = {});
/// Versions for the index at /openapi/v3: "v1", "apps/v1", ...
std::vector<std::string> openapi_versions();

}  // namespace nexus::manifest
