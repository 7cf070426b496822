#pragma once

#include <base/time.hpp>
#include <string>
#include <string_view>

#include "objects/object.hpp"

namespace nexus::orchestration {

/// A condition of an object's status.
struct Condition {
  std::string type, status, reason, message;  ///< status: "True", "False", "Unknown"
};

/// Puts `condition` into the array `conditions`. lastTransitionTime changes with the status only;
/// lastUpdateTime, where `with_update_time`, when anything of it changes or `touch` is set.
void set_condition(Json& conditions, const Condition& condition, base::WallTime now,
                   bool with_update_time, bool touch = false);

}  // namespace nexus::orchestration
