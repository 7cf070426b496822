#pragma once

// What a pod's lifecycle asks for, done: calls of the driver, probes and hooks. Each answers with
// the event that the lifecycle waits for.

#include <nexus/workload_driver.hpp>

#include "orchestration/needs.hpp"
#include "orchestration/pod_config.hpp"
#include "orchestration/pod_lifecycle.hpp"

namespace nexus::orchestration {

class PodCalls {
 public:
  PodCalls(const base::Executor& executor, const OrchestratorNeeds& needs, const ObjectView& view,
           const OrchestratorNode& node)
      : executor_(executor), needs_(needs), view_(view), node_(node) {}

  base::Task<PodEvent> create_sandbox(std::shared_ptr<const Pod> pod);
  base::Task<PodEvent> pull(std::shared_ptr<const Pod> pod, pod_effect::PullImage effect);
  base::Task<PodEvent> start(std::shared_ptr<const Pod> pod, std::vector<std::string> addresses,
                             pod_effect::StartContainer effect);
  base::Task<PodEvent> stop(std::string uid, pod_effect::StopContainer effect);
  base::Task<PodEvent> hook(std::shared_ptr<const Pod> pod, std::vector<std::string> addresses,
                            pod_effect::RunHook effect);
  base::Task<PodEvent> check(std::shared_ptr<const Pod> pod, std::vector<std::string> addresses,
                             pod_effect::RunCheck effect);
  base::Task<PodEvent> remove(std::string uid);
  /// Errors are told as events of the pod by the caller.
  base::Task<base::Result<>> set_limits(std::string uid, pod_effect::SetLimits effect);

  PodConfigInput config(const Pod& pod, std::vector<std::string> addresses) const;

 private:
  base::Task<base::Result<>> run_action(Action action, ContainerId container,
                                        std::vector<std::string> addresses);

  base::Executor executor_;
  OrchestratorNeeds needs_;
  const ObjectView& view_;
  const OrchestratorNode& node_;
};

/// What a probe's action asks; empty for an action that is no check.
std::optional<Check> check_of(const Action& action, ContainerId container,
                              const std::vector<std::string>& addresses);

}  // namespace nexus::orchestration
