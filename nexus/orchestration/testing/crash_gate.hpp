#pragma once

#include <base/async/event.hpp>
#include <limits>

namespace nexus::orchestration {

/// Counts the steps that a daemon takes towards the outside and kills it at one of them: from then
/// on no step of it comes to anything. Each call passes twice, before and after it has its effect.
class CrashGate {
 public:
  explicit CrashGate(const base::Executor& executor) : never_(executor) {}

  base::Task<> pass() {
    if (++steps_ >= crash_at_) dead_ = true;
    // A dead process waits for nothing; its tasks are cancelled.
    while (dead_) co_await never_.wait();
  }
  /// The `step`th pass from now on is the last.
  void arm(std::size_t step) {
    steps_ = 0;
    crash_at_ = step;
    dead_ = false;
  }
  void disarm() { arm(std::numeric_limits<std::size_t>::max()); }
  bool dead() const { return dead_; }
  std::size_t steps() const { return steps_; }

 private:
  base::Event never_;
  std::size_t steps_ = 0;
  std::size_t crash_at_ = std::numeric_limits<std::size_t>::max();
  bool dead_ = false;
};

}  // namespace nexus::orchestration
