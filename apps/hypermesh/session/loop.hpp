#pragma once

#include <base/async/task.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/io_context.hpp>
#include <functional>
#include <optional>

namespace cli {

/// From now on the first Ctrl-C (or SIGTERM) is noted instead of ending the process; a second one
/// ends it.
void watch_for_interrupt();
bool interrupted();

/// Runs tasks on the calling thread. Meanwhile the screen is drawn, and Ctrl-C and the deadline are
/// obeyed.
class Loop {
 public:
  /// `tick` is called about ten times a second while a task runs.
  explicit Loop(std::function<void()> tick) : tick_(std::move(tick)) {}

  base::Executor executor() { return context_.get_executor(); }

  /// Errors: the task's; Cancelled (Ctrl-C); TimedOut ("WHAT: not within LIMIT").
  template <class T>
  base::Result<T> run(base::Task<base::Result<T>> task, std::optional<base::Duration> limit = {},
                      std::string_view what = {}) {
    std::optional<base::Result<T>> result;
    std::exception_ptr thrown;
    bool done = false;
    base::asio::cancellation_signal cancel;
    base::asio::co_spawn(context_, std::move(task),
                         base::asio::bind_cancellation_slot(
                             cancel.slot(), [&](std::exception_ptr error, base::Result<T> value) {
                               thrown = error;
                               result.emplace(std::move(value));
                               done = true;
                             }));
    const Stop stop =
        drive(done, [&] { cancel.emit(base::asio::cancellation_type::terminal); }, limit);
    if (stop == Stop::Interrupted) return base::fail(base::Errc::Cancelled, "interrupted");
    if (stop == Stop::TimedOut) return std::unexpected(timed_out(what, *limit));
    if (thrown) std::rethrow_exception(thrown);
    return *std::move(result);
  }

  /// Errors: Cancelled (Ctrl-C).
  base::Result<> pause(base::Duration length);

 private:
  enum class Stop { Done, Interrupted, TimedOut };
  Stop drive(const bool& done, const std::function<void()>& cancel,
             std::optional<base::Duration> limit);
  static base::Error timed_out(std::string_view what, base::Duration limit);

  base::asio::io_context context_;
  std::function<void()> tick_;
};

}  // namespace cli
