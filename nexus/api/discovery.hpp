#pragma once

// The discovery documents of Kubernetes' API, from the table of served kinds.

#include <string_view>

#include "api/refusal.hpp"

namespace nexus::api {

Json api_versions();                            ///< /api
Json api_groups();                              ///< /apis
Reply<Json> api_group(std::string_view group);  ///< /apis/{group}. Errors: 404.
/// "v1", "apps/v1", "hypermesh.io/v1": what is in a group's version.
Json api_resources(std::string_view group_version);
Json openapi_index();  ///< /openapi/v3
/// "api/v1", "apis/apps/v1": the schemas of a group's version. Errors: 404.
Reply<Json> openapi_document(std::string_view path);

}  // namespace nexus::api
