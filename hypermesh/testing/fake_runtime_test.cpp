#include "testing/fake_runtime.hpp"

#include <gtest/gtest.h>

#include <base/async/task_scope.hpp>
#include <boost/asio/io_context.hpp>
#include <csignal>

namespace hypermesh {
namespace {

using nexus::ContainerId;
using nexus::ContainerState;
using nexus::DriverEvent;

void run(std::function<base::Task<>(FakeRuntime&)> body) {
  base::asio::io_context context;
  FakeRuntime runtime(context.get_executor());
  base::asio::co_spawn(context, body(runtime), [](std::exception_ptr thrown) {
    if (thrown) std::rethrow_exception(thrown);
  });
  context.run();
}

const ContainerId kWeb{"uid", "web"};

nexus::ContainerSpec container(std::uint32_t attempt = 0) {
  nexus::ContainerSpec spec;
  spec.id = kWeb;
  spec.attempt = attempt;
  return spec;
}
nexus::PodSpec pod() {
  nexus::PodSpec spec;
  spec.uid = "uid";
  return spec;
}

TEST(FakeRuntime, CallsCanBeRepeated) {
  run([](FakeRuntime& runtime) -> base::Task<> {
    const auto first = co_await runtime.create_pod(pod());
    const auto again = co_await runtime.create_pod(pod());
    EXPECT_EQ(first->addresses, again->addresses);
    const auto started = co_await runtime.start_container(container());
    const auto found = co_await runtime.start_container(container());
    EXPECT_EQ(started->pid, found->pid);
    EXPECT_EQ((co_await runtime.start_container(container(1))).error().code,
              base::Errc::FailedPrecondition);
    EXPECT_TRUE(co_await runtime.remove_pod("uid"));
    EXPECT_TRUE(co_await runtime.remove_pod("uid"));
    EXPECT_TRUE(runtime.pods().empty());
  });
}

TEST(FakeRuntime, AnExitIsToldAndTheNextAttemptKeepsThePreviousLog) {
  run([](FakeRuntime& runtime) -> base::Task<> {
    std::vector<DriverEvent> events;
    runtime.listen([&](DriverEvent event) { events.push_back(std::move(event)); });
    co_await runtime.create_pod(pod());
    co_await runtime.start_container(container());
    runtime.append_log(kWeb, "first");
    runtime.exit_container(kWeb, 0, SIGKILL, true);
    co_await runtime.start_container(container(1));
    EXPECT_EQ(events.size(), 3u);
    EXPECT_EQ(events[1].kind, DriverEvent::Kind::ContainerExited);
    EXPECT_EQ(events[1].container.exit_code, 137);
    EXPECT_TRUE(events[1].container.out_of_memory);
    auto log = co_await runtime.logs({.container = kWeb, .previous = true});
    EXPECT_EQ((co_await (*log)->next()).value()->text, "first");
    EXPECT_EQ((co_await (*log)->next()).value(), std::nullopt);
  });
}

TEST(FakeRuntime, StopWaitsForAContainerThatIgnoresIt) {
  run([](FakeRuntime& runtime) -> base::Task<> {
    co_await runtime.create_pod(pod());
    co_await runtime.start_container(container());
    runtime.ignore_stop = true;
    base::TaskScope scope(co_await base::asio::this_coro::executor);
    bool stopped = false;
    scope.spawn([](FakeRuntime& fake, bool& done) -> base::Task<> {
      const auto status = co_await fake.stop_container(kWeb, std::chrono::seconds(1));
      EXPECT_EQ(status->exit_code, 143);
      done = true;
    }(runtime, stopped));
    co_await base::asio::post(scope.executor(), base::asio::use_awaitable);
    EXPECT_FALSE(stopped);
    runtime.exit_container(kWeb, 0, SIGTERM);
    co_await scope.join();
    EXPECT_TRUE(stopped);
  });
}

TEST(FakeRuntime, FailuresHappenOnceAndALostRuntimeAnswersNothing) {
  run([](FakeRuntime& runtime) -> base::Task<> {
    runtime.fail_next("create_pod", base::make_error(base::Errc::ResourceExhausted, "disk full"));
    EXPECT_EQ((co_await runtime.create_pod(pod())).error().code, base::Errc::ResourceExhausted);
    EXPECT_TRUE(co_await runtime.create_pod(pod()));
    runtime.lose();
    EXPECT_EQ((co_await runtime.list_pods()).error().code, base::Errc::Unavailable);
    runtime.bring_back();
    EXPECT_EQ((co_await runtime.list_pods())->size(), 1u);
    EXPECT_EQ(runtime.calls, (std::vector<std::string>{"create_pod uid", "create_pod uid",
                                                       "list_pods", "list_pods"}));
  });
}

}  // namespace
}  // namespace hypermesh
