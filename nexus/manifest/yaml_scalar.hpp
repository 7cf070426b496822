#pragma once

#include <base/error.hpp>
#include <nlohmann/json.hpp>
#include <string_view>

namespace nexus::manifest {

/// What a plain (unquoted, untagged) scalar of YAML stands for, by the rules of Kubernetes' tools.
/// Errors: InvalidArgument (.nan and .inf, which JSON does not have).
base::Result<nlohmann::json> resolve_plain_scalar(std::string_view text);

/// A scalar under an explicit tag such as "tag:yaml.org,2002:int".
/// Errors: InvalidArgument (not of that type), Unsupported (a tag that objects cannot hold).
base::Result<nlohmann::json> resolve_tagged_scalar(std::string_view tag, std::string_view text,
                                                   bool plain);

}  // namespace nexus::manifest
