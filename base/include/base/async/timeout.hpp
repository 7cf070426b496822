#pragma once

#include <base/async/task.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/steady_timer.hpp>
#include <variant>

namespace base {

/// `task`'s result, or TimedOut "<what>: no answer within ..." after `limit`; the task is cancelled
/// then.
template <class T>
Task<Result<T>> with_timeout(Task<Result<T>> task, Duration limit, std::string what) {
  using namespace asio::experimental::awaitable_operators;
  asio::steady_timer timer(co_await asio::this_coro::executor,
                           std::chrono::duration_cast<asio::steady_timer::duration>(limit));
  auto first = co_await (std::move(task) || timer.async_wait(use_result));
  if (first.index() == 0) co_return std::get<0>(std::move(first));
  const auto millis = std::chrono::duration_cast<std::chrono::milliseconds>(limit).count();
  co_return fail(Errc::TimedOut,
                 std::move(what) + ": no answer within " + std::to_string(millis) + " ms");
}

}  // namespace base
