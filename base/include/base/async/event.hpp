#pragma once

#include <base/async/task.hpp>
#include <boost/asio/steady_timer.hpp>

namespace base {

/// Wakes tasks of one executor. `notify` wakes all that wait now; a notification that nobody waits
/// for is kept until the next `wait`, so a wake-up between checking a condition and waiting is
/// never lost.
class Event {
 public:
  explicit Event(const Executor& executor);
  void notify();
  Task<> wait();
  /// False when `limit` passed first.
  Task<bool> wait_for(Duration limit);

 private:
  asio::steady_timer timer_;
  bool pending_ = false;
  std::size_t waiters_ = 0;
};

}  // namespace base
