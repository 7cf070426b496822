#pragma once

#include <base/async/task.hpp>
#include <boost/asio/thread_pool.hpp>

namespace base {

/// Threads for calls that block: fsync, RocksDB, decompression, libcurl.
class BlockingPool {
 public:
  explicit BlockingPool(std::size_t threads) : pool_(threads) {}
  /// Waits for running calls.
  ~BlockingPool() { pool_.join(); }

  /// Runs `call` on a pool thread and resumes the caller on its own executor with the value. What
  /// `call` borrows must live until it returns, even if the awaiting task is cancelled.
  template <class F>
  auto run(F call) -> Task<decltype(call())> {
    co_return co_await asio::co_spawn(
        pool_.get_executor(), [](F f) -> Task<decltype(call())> { co_return f(); }(std::move(call)),
        asio::use_awaitable);
  }

 private:
  asio::thread_pool pool_;
};

}  // namespace base
