#pragma once

#include <nexus/workload_driver.hpp>

namespace nexus {

/// Runs a command in a container to its end. Cancelling kills it.
/// Errors: FailedPrecondition (it ended with another code than 0: the message has the code and the
/// beginning of its output), and those of the driver.
base::Task<base::Result<>> run_command(WorkloadDriver& driver, ContainerId container,
                                       std::vector<std::string> command);

}  // namespace nexus
