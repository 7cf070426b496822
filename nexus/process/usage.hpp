#pragma once

#include <nexus/workload_types.hpp>

namespace nexus::process {

/// What everything below a supervisor uses now. Blocks on /proc. Memory is the proportional set
/// size (shared pages are counted once over all); disk traffic is that of processes that live.
ContainerStats usage_of(ContainerId id, std::int32_t supervisor_pid);

}  // namespace nexus::process
