#pragma once

// The keeper's event loop: epoll, timers, children. One thread.

#include <sys/types.h>

#include <base/error.hpp>
#include <base/time.hpp>
#include <coroutine>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>

#include "datapath/unique_fd.hpp"
#include "runtime/keeper/job.hpp"

namespace hypermesh::keeper {

using datapath::UniqueFd;
using TimerId = std::uint64_t;

class Loop {
 public:
  /// Blocks SIGCHLD, SIGTERM and SIGINT for the process and makes it the reaper of its descendants.
  static base::Result<std::unique_ptr<Loop>> open();

  /// Calls `ready` with the events (EPOLLIN ...) whenever there are any, until unwatch. One watch
  /// per descriptor.
  base::Result<> watch(int fd, std::uint32_t events, std::function<void(std::uint32_t)> ready);
  void change(int fd, std::uint32_t events);
  void unwatch(int fd);

  TimerId after(base::Duration delay, std::function<void()> call);
  void cancel(TimerId timer);
  /// Runs `call` before the loop waits again.
  void post(std::function<void()> call) { posted_.push_back(std::move(call)); }

  /// Calls `ended` with the child's wait status, soon if it ended before this was asked.
  void on_exit(pid_t child, std::function<void(int)> ended);
  /// While one lives, the end of an unknown child is remembered: it may be one whose pid is not yet
  /// known to us.
  class ExpectsChild {
   public:
    explicit ExpectsChild(Loop& loop) : loop_(loop) { ++loop_.expecting_; }
    ~ExpectsChild() {
      if (--loop_.expecting_ == 0) loop_.unclaimed_.clear();
    }
    ExpectsChild(const ExpectsChild&) = delete;

   private:
    Loop& loop_;
  };

  /// Called once on SIGTERM or SIGINT.
  void on_terminate(std::function<void()> call) { terminate_ = std::move(call); }
  void run();
  void stop() { running_ = false; }
  /// Ends run(), which may be called again.
  void stop_once() { pausing_ = true; }

  // --- Awaitable: `co_await loop.sleep(...)`
  // --------------------------------------------------------------
  Job<void> sleep(base::Duration delay);
  /// The child's wait status; empty when it still runs after `limit`.
  Job<std::optional<int>> exit_of(pid_t child, base::Duration limit);
  /// False when nothing happened within `limit`. The descriptor is not otherwise watched.
  Job<bool> ready(int fd, std::uint32_t events, base::Duration limit);

 private:
  Loop() = default;
  void read_signals();
  void reap();
  int next_timeout_ms();
  void run_timers();
  void run_posted();

  struct Watch {
    std::uint64_t id;
    std::shared_ptr<std::function<void(std::uint32_t)>> ready;
  };
  UniqueFd epoll_, signals_;
  std::map<int, Watch> watches_;
  std::map<std::uint64_t, int> fd_of_watch_;
  std::uint64_t next_watch_ = 1;
  std::map<std::pair<base::MonotonicTime, TimerId>, std::function<void()>> timers_;
  std::map<TimerId, base::MonotonicTime> time_of_timer_;
  TimerId next_timer_ = 1;
  std::deque<std::function<void()>> posted_;
  std::map<pid_t, std::function<void(int)>> children_;
  std::map<pid_t, int> unclaimed_;
  unsigned expecting_ = 0;
  std::function<void()> terminate_;
  bool running_ = true, pausing_ = false;
};

/// Wakes every job that waits for something to change. The waker does not run them: the loop does,
/// soon.
class Signal {
 public:
  explicit Signal(Loop& loop) : loop_(loop) {}
  void notify();
  auto wait() {
    struct Awaiter {
      Signal& signal;
      bool await_ready() const noexcept { return false; }
      void await_suspend(std::coroutine_handle<> job) { signal.waiting_.push_back(job); }
      void await_resume() const noexcept {}
    };
    return Awaiter{*this};
  }

 private:
  Loop& loop_;
  std::vector<std::coroutine_handle<>> waiting_;
};

}  // namespace hypermesh::keeper
