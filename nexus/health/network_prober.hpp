#pragma once

#include <base/async/event.hpp>
#include <nexus/health.hpp>
#include <nexus/workload_driver.hpp>

namespace nexus {

/// Asks over HTTP and TCP from the node, and by commands through the driver.
///
/// Redirects are not followed: the status that the pod itself gives is the answer.
///
/// A check counts among those that run at once for its first kTurn, as long as a check takes by
/// default. One that goes on longer keeps nobody waiting: there is one for each probe, whatever its
/// timeout.
class NetworkProber final : public Prober {
 public:
  static constexpr std::size_t kChecksAtOnceMax = 64;
  static constexpr base::Duration kTurn = std::chrono::seconds(1);

  /// `driver` is borrowed. Tasks of `run` end before the prober does.
  NetworkProber(const base::Executor& executor, WorkloadDriver& driver,
                std::size_t checks_at_once_max = kChecksAtOnceMax, base::Duration turn = kTurn)
      : executor_(executor),
        driver_(driver),
        checks_at_once_max_(checks_at_once_max),
        turn_(turn),
        turn_over_(executor) {}

  base::Task<CheckResult> run(Check check, base::Duration timeout) override;

 private:
  class Turn;
  base::Task<base::Result<>> ask(Check check);

  base::Executor executor_;
  WorkloadDriver& driver_;
  std::size_t checks_at_once_max_;
  base::Duration turn_;
  std::size_t running_ = 0;  // whose turn it is
  base::Event turn_over_;
};

}  // namespace nexus
