#pragma once

#include <base/time.hpp>
#include <functional>

namespace nexus::orchestration {

/// Calls back at a time: the seam through which tests move the time. Used from one executor.
/// Implementations: TimerAlarms; ManualTime (tests).
class Alarms {
 public:
  using Id = std::uint64_t;  ///< Never 0.
  virtual ~Alarms() = default;
  /// `call` runs once, on the executor, not before this returns, also when `when` has passed.
  virtual Id call_at(base::MonotonicTime when, std::function<void()> call) = 0;
  /// Nothing happens when it was called already.
  virtual void cancel(Id alarm) = 0;
};

}  // namespace nexus::orchestration
