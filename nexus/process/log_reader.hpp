#pragma once

#include <base/async/task.hpp>
#include <nexus/workload_driver.hpp>

#include "process/places.hpp"

namespace base {
class BlockingPool;
}

namespace nexus::process {

/// `folder` is the container's; `pool` is borrowed. Errors: NotFound.
base::Task<base::Result<std::unique_ptr<LogReader>>> open_log(const base::Executor& executor,
                                                              base::BlockingPool& pool, Path folder,
                                                              LogQuery query);

}  // namespace nexus::process
