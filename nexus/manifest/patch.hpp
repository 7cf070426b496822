#pragma once

// The four ways to change an object in part. Pure functions on values; what comes out is admitted
// again.
//
// Inputs are bounded by read_json() (depth, size); the results are bounded here, since a patch may
// copy.

#include <base/error.hpp>
#include <nlohmann/json.hpp>
#include <string_view>

#include "manifest/kinds.hpp"

namespace nexus::manifest {

using Json = nlohmann::json;

inline constexpr std::size_t kPatchOperationsMax = 10'000;   ///< Of one JSON patch.
inline constexpr std::size_t kPatchCopyBytesMax = 3u << 20;  ///< That "copy" and "move" may carry.
inline constexpr std::size_t kPatchDepthMax = 100;           ///< Of the result.

/// RFC 7386: members replace, null removes, lists are replaced.
/// Errors: ResourceExhausted (depth).
base::Result<Json> merge_patch(Json target, const Json& patch);

/// RFC 6902. All operations or none.
/// Errors: InvalidArgument (not a patch, a path that does not exist), Conflict (a "test" does not
/// hold), ResourceExhausted (a limit).
base::Result<Json> json_patch(Json target, const Json& operations);

/// Kubernetes' strategic merge: lists whose elements have a key are merged by it, as the schema of
/// the kind says. Knows $patch: replace|delete|merge, $retainKeys, $setElementOrder/x,
/// $deleteFromPrimitiveList/x. Errors: InvalidArgument (a directive or an element without its key).
base::Result<Json> strategic_merge_patch(Json target, const Json& patch, const KindInfo& kind);

/// What `kubectl apply` means: `wanted` goes over `current`, and what was in `last_applied` (null:
/// nothing) and is not wanted any more is removed. What others have set stays. For patches of
/// files.
base::Result<Json> apply_merge(const Json& last_applied, const Json& wanted, Json current,
                               const KindInfo& kind);

}  // namespace nexus::manifest
