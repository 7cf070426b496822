#include <base/async/task_scope.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/error.hpp>
#include <boost/system/system_error.hpp>
#include <exception>

namespace base {

TaskScope::TaskScope(const Executor& executor) : executor_(executor), ended_(executor) {}

TaskScope::~TaskScope() {
  BASE_ASSERT(signals_.empty(), "a task scope was destroyed before its tasks ended");
}

void TaskScope::spawn(Task<> task) {
  signals_.emplace_back();
  const auto signal = std::prev(signals_.end());
  asio::co_spawn(
      executor_, std::move(task),
      asio::bind_cancellation_slot(signal->slot(), [this, signal](std::exception_ptr thrown) {
        signals_.erase(signal);
        ended_.notify();
        if (!thrown) return;
        try {
          std::rethrow_exception(thrown);
        } catch (const boost::system::system_error& error) {
          if (error.code() != asio::error::operation_aborted) std::terminate();
        }
      }));
  if (cancelled_) signal->emit(asio::cancellation_type::all);
}

void TaskScope::cancel() {
  cancelled_ = true;
  for (auto& signal : signals_) signal.emit(asio::cancellation_type::all);
}

Task<> TaskScope::join() {
  co_await asio::this_coro::reset_cancellation_state();
  while (!signals_.empty()) co_await ended_.wait();
}

}  // namespace base
