#pragma once

#include "api/refusal.hpp"
#include "orchestration/object_view.hpp"

namespace nexus::api {

/// The Deployment with the template of an earlier revision, as its replica sets keep it. 0: the
/// revision before the current one.
/// Errors: NotFound (no such revision: names those there are), FailedPrecondition (paused, or it
/// has that template already).
Reply<Json> roll_back(const Json& deployment, std::int64_t to_revision,
                      const orchestration::ObjectView& view);

}  // namespace nexus::api
