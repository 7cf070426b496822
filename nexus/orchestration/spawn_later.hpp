#pragma once

#include <base/async/task_scope.hpp>

namespace nexus::orchestration {

/// Starts `task` in a later turn of the event loop, never inside of the caller, who may be in the
/// midst of a change: what the task does and calls then finds everything in order.
void spawn_later(base::TaskScope& scope, base::Task<> task);

}  // namespace nexus::orchestration
