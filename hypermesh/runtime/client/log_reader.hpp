#pragma once

#include <base/async/task.hpp>
#include <memory>
#include <nexus/workload_driver.hpp>

namespace base {
class BlockingPool;
}

namespace hypermesh {

/// Reads the log files of the keeper. `log_folder` is <logs>/<pod uid>/<container>; `pool` is
/// borrowed. Errors: NotFound.
base::Task<base::Result<std::unique_ptr<nexus::LogReader>>> open_log_reader(
    base::BlockingPool& pool, std::string log_folder, nexus::LogQuery query);

}  // namespace hypermesh
