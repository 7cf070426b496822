#pragma once

#include <base/async/event.hpp>
#include <nexus/health.hpp>
#include <nexus/workload_driver.hpp>

namespace nexus {

/// Asks over HTTP and TCP from the node, and by commands through the driver.
///
/// Redirects are not followed: the status that the pod itself gives is the answer.
class NetworkProber final : public Prober {
 public:
  static constexpr std::size_t kChecksAtOnceMax = 64;

  /// `driver` is borrowed. Tasks of `run` end before the prober does.
  NetworkProber(const base::Executor& executor, WorkloadDriver& driver,
                std::size_t checks_at_once_max = kChecksAtOnceMax)
      : driver_(driver), checks_at_once_max_(checks_at_once_max), ended_(executor) {}

  base::Task<CheckResult> run(Check check, base::Duration timeout) override;

 private:
  base::Task<base::Result<>> ask(Check check);

  WorkloadDriver& driver_;
  std::size_t checks_at_once_max_;
  std::size_t running_ = 0;
  base::Event ended_;
};

}  // namespace nexus
