#include <gtest/gtest.h>

#include <base/async/blocking_pool.hpp>
#include <base/async/channel.hpp>
#include <base/async/task_scope.hpp>
#include <base/async/timeout.hpp>
#include <boost/asio/io_context.hpp>
#include <thread>

namespace base {
namespace {

using namespace std::chrono_literals;

// Runs one task to its end on a context of its own.
void run(std::function<Task<>(Executor)> body) {
  asio::io_context context;
  bool done = false;
  asio::co_spawn(
      context,
      [&]() -> Task<> {
        co_await body(context.get_executor());
        done = true;
      },
      [](std::exception_ptr thrown) {
        if (thrown) std::rethrow_exception(thrown);
      });
  context.run();
  EXPECT_TRUE(done);
}

TEST(Channel, HoldsWritersBackAndEndsAfterClose) {
  run([](Executor executor) -> Task<> {
    Channel<int> channel(executor, 2);
    TaskScope scope(executor);
    int sent = 0;
    scope.spawn([](Channel<int>& to, int& count) -> Task<> {
      for (int i = 0; i < 5; ++i) {
        EXPECT_TRUE(co_await to.send(i));
        ++count;
      }
      to.close();
    }(channel, sent));
    for (int i = 0; i < 5; ++i) {
      EXPECT_EQ(co_await channel.receive(), i);
      EXPECT_LE(sent, i + 3);
    }
    EXPECT_EQ(co_await channel.receive(), std::nullopt);
    co_await scope.join();
  });
}

TEST(TaskScope, CancelEndsWaitingTasks) {
  run([](Executor executor) -> Task<> {
    TaskScope scope(executor);
    Event never(executor);
    for (int i = 0; i < 3; ++i) {
      scope.spawn([](Event& event) -> Task<> {
        for (;;) co_await event.wait();
      }(never));
    }
    co_await asio::post(executor, asio::use_awaitable);
    EXPECT_EQ(scope.size(), 3u);
    scope.cancel();
    co_await scope.join();
    EXPECT_EQ(scope.size(), 0u);
  });
}

TEST(Timeout, NamesWhatDidNotAnswer) {
  run([](Executor executor) -> Task<> {
    Event never(executor);
    auto waits = [](Event& event) -> Task<Result<int>> {
      co_await event.wait();
      co_return 1;
    };
    auto late = co_await with_timeout(waits(never), 1ms, "registry");
    EXPECT_EQ(late.error().code, Errc::TimedOut);
    EXPECT_EQ(late.error().message, "registry: no answer within 1 ms");
    never.notify();
    auto early = co_await with_timeout(waits(never), 10s, "registry");
    EXPECT_EQ(early, 1);
  });
}

TEST(Event, ANotificationIsNotLost) {
  run([](Executor executor) -> Task<> {
    Event event(executor);
    event.notify();
    EXPECT_TRUE(co_await event.wait_for(10s));
    EXPECT_FALSE(co_await event.wait_for(1ms));
  });
}

TEST(BlockingPool, ComesBackWithTheValue) {
  run([](Executor) -> Task<> {
    BlockingPool pool(2);
    const auto here = std::this_thread::get_id();
    auto there = co_await pool.run([] { return std::this_thread::get_id(); });
    EXPECT_NE(here, there);
    EXPECT_EQ(here, std::this_thread::get_id());
  });
}

}  // namespace
}  // namespace base
