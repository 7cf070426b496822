#pragma once

#include <base/async/event.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <list>
#include <memory>

namespace base {

/// Owns the tasks it spawns: none outlives it. Used from one executor. Destroying a scope whose
/// tasks have not ended is our mistake; call cancel() and await join() first.
class TaskScope {
 public:
  explicit TaskScope(const Executor& executor);
  ~TaskScope();
  TaskScope(const TaskScope&) = delete;
  TaskScope& operator=(const TaskScope&) = delete;

  /// Starts `task` soon. An exception other than cancellation ends the process: it is a bug.
  void spawn(Task<> task);
  /// Asks every task to end at its next suspension point.
  void cancel();
  /// Resumes when no task is left.
  Task<> join();
  std::size_t size() const { return signals_.size(); }
  const Executor& executor() const { return executor_; }

 private:
  Executor executor_;
  Event ended_;
  std::list<asio::cancellation_signal> signals_;
  bool cancelled_ = false;
};

}  // namespace base
