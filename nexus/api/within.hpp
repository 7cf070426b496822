#pragma once

#include <base/async/task.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/experimental/parallel_group.hpp>
#include <boost/asio/steady_timer.hpp>
#include <optional>

namespace nexus::api {

/// The task's result, or nothing when `limit` passed first; the task is cancelled then. A result
/// that comes in the moment of the limit is not lost. Errors: Cancelled (the caller was).
template <class T>
base::Task<base::Result<std::optional<T>>> within(base::Task<base::Result<T>> task,
                                                  base::Duration limit) {
  namespace asio = base::asio;
  const auto executor = co_await asio::this_coro::executor;
  asio::steady_timer timer(executor,
                           std::chrono::duration_cast<asio::steady_timer::duration>(limit));
  auto [order, thrown, result, code] =
      co_await asio::experimental::make_parallel_group(
          asio::co_spawn(executor, std::move(task), asio::deferred),
          timer.async_wait(asio::deferred))
          .async_wait(asio::experimental::wait_for_one(), asio::use_awaitable);
  const bool timer_rang = order[0] == 1 && !code;
  if (thrown && !timer_rang) co_return base::fail(base::Errc::Cancelled, "cancelled");
  if (thrown) co_return std::nullopt;
  if (!result && timer_rang && result.error().code == base::Errc::Cancelled) co_return std::nullopt;
  if (!result) co_return std::unexpected(std::move(result).error());
  co_return std::optional<T>(*std::move(result));
}

}  // namespace nexus::api
