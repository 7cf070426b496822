#pragma once

// What the plan says of one object. Pure.

#include <manifest/diff.hpp>
#include <string>

#include "output/json_access.hpp"
#include "output/plan.hpp"

namespace cli {

/// Of an object that is to be made: "3 × nginx:1.27   100m/64Mi each", "80 → 8080", "2 keys".
std::string summary_of(const Json& object);

/// The line of the plan for `before` (null: does not exist) becoming `after`. A change that
/// replaces running pods is Replace.
PlanLine plan_line(const nexus::manifest::KindInfo& kind, const Json& before, const Json& after);

}  // namespace cli
