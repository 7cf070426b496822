#pragma once

#include <base/async/task_scope.hpp>
#include <nexus/workload_driver.hpp>

#include "process/places.hpp"
#include "process/spawn.hpp"

namespace nexus::process {

/// Starts `launch` beside a container. Resumes when it runs. Tasks that watch it live in `scope`,
/// which is borrowed. Errors: NotFound (no such program), Forbidden.
base::Task<base::Result<std::unique_ptr<ProcessSession>>> start_command(base::TaskScope& scope,
                                                                        Path helper, Launch launch,
                                                                        bool stdin_open);

}  // namespace nexus::process
