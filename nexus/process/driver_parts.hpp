#pragma once

// What ProcessWorkloadDriver remembers of pods; the disk is the record.

#include <base/async/event.hpp>

#include "process/async_fd.hpp"
#include "process/process_workload_driver.hpp"

namespace nexus {

/// One attempt, the latest of its container.
struct ProcessWorkloadDriver::Container {
  Container(const base::Executor& executor, ContainerStatus of)
      : status(std::move(of)), ended(executor) {}

  bool runs() const { return status.state == ContainerState::Running; }

  ContainerStatus status;
  process::UniqueFd process;                     ///< pidfd of the first process.
  std::unique_ptr<process::AsyncFd> supervisor;  ///< pidfd; null once it has ended.
  std::int32_t supervisor_pid = 0;
  base::Event ended;
};

/// A start that goes on. It is nobody's task: who waits for it may give up, it goes on.
struct ProcessWorkloadDriver::Start {
  explicit Start(const base::Executor& executor) : done(executor) {}
  std::uint32_t attempt = 0;
  std::optional<base::Result<ContainerStatus>> result;
  base::Event done;
};

struct ProcessWorkloadDriver::Pod {
  process::PodRecord record;
  std::map<std::string, ContainerPtr> containers;
  std::map<std::string, std::shared_ptr<Start>> starts;  ///< By container.
  bool removing = false;
};

}  // namespace nexus
