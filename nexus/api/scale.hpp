#pragma once

#include "api/refusal.hpp"

namespace nexus::api {

/// autoscaling/v1 Scale of a Deployment or ReplicaSet.
Json scale_of(const Json& object);
/// `object` with the number of replicas of `scale`; a resourceVersion in it must be the object's.
/// Errors: 400 (not a Scale), 422 (not a number from 0 to 1,000,000).
Reply<Json> with_scale(const Json& object, const Json& scale);

}  // namespace nexus::api
