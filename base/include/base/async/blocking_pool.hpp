#pragma once

#include <base/async/task.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/prefer.hpp>
#include <boost/asio/thread_pool.hpp>
#include <exception>
#include <optional>

namespace base {

/// Threads for calls that block: fsync, RocksDB, decompression, libcurl.
class BlockingPool {
 public:
  explicit BlockingPool(std::size_t threads) : pool_(threads) {}
  /// Waits for running calls.
  ~BlockingPool() { pool_.join(); }

  /// Runs `call` on a pool thread and resumes the caller on its own executor with the value. What
  /// `call` borrows must live until it returns, even if the awaiting task is cancelled.
  ///
  /// One hop there and one back: a task that runs on the pool's executor would take several.
  template <class F>
  auto run(F call) -> Task<decltype(call())> {
    if constexpr (std::is_void_v<decltype(call())>) {
      co_await run([call = std::move(call)]() mutable {
        call();
        return true;
      });
    } else {
      co_return co_await run_for_value(std::move(call));
    }
  }

  /// Likewise, without a task that waits: calls `then` with the value on `home`. Neither may throw.
  template <class F, class Then>
  void run(const Executor& home, F call, Then then) {
    asio::post(pool_,
               [home = Executor(asio::prefer(home, asio::execution::outstanding_work.tracked)),
                call = std::move(call), then = std::move(then)]() mutable noexcept {
                 asio::dispatch(home, [value = call(), then = std::move(then)]() mutable noexcept {
                   then(std::move(value));
                 });
               });
  }

 private:
  template <class F>
  auto run_for_value(F call) -> Task<decltype(call())> {
    using Value = std::optional<decltype(call())>;
    auto value = co_await asio::async_initiate<const asio::use_awaitable_t<>,
                                               void(std::exception_ptr, Value)>(
        [this](auto handler, F work) {
          Executor home = asio::prefer(asio::get_associated_executor(handler),
                                       asio::execution::outstanding_work.tracked);
          asio::post(pool_, [handler = std::move(handler), work = std::move(work),
                             home = std::move(home)]() mutable {
            std::exception_ptr thrown;
            Value made;
            try {
              made.emplace(work());
            } catch (...) {
              thrown = std::current_exception();
            }
            asio::dispatch(
                home, [handler = std::move(handler), thrown, made = std::move(made)]() mutable {
                  std::move(handler)(thrown, std::move(made));
                });
          });
        },
        asio::use_awaitable, std::move(call));
    co_return *std::move(value);
  }

  asio::thread_pool pool_;
};

}  // namespace base
