#pragma once

#include <base/async/task.hpp>
#include <boost/asio/steady_timer.hpp>
#include <map>

#include "orchestration/alarms.hpp"

namespace nexus::orchestration {

/// Alarms on one timer of the executor.
class TimerAlarms final : public Alarms {
 public:
  /// `clock` is borrowed; its monotonic time is that of the system.
  TimerAlarms(const base::Executor& executor, const base::Clock& clock);
  ~TimerAlarms() override;
  Id call_at(base::MonotonicTime when, std::function<void()> call) override;
  void cancel(Id alarm) override;

 private:
  struct State;
  std::shared_ptr<State> state_;  // outlives this while the timer's handler is on its way
};

}  // namespace nexus::orchestration
