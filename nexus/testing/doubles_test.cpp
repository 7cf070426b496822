#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include "testing/memory_discovery.hpp"
#include "testing/memory_dns_ct.hpp"

namespace nexus {
namespace {

using namespace std::chrono_literals;

struct HandClock final : base::Clock {
  base::MonotonicTime now() const override { return base::MonotonicTime(passed); }
  base::WallTime wall() const override { return base::WallTime(passed); }
  base::Duration passed{};
};

void run(base::Task<> task) {
  boost::asio::io_context context;
  boost::asio::co_spawn(context, std::move(task),
                        [](std::exception_ptr thrown) { EXPECT_FALSE(thrown); });
  context.run();
}

TEST(MemoryDiscovery, ForgetsWhoDoesNotRenew) {
  run([]() -> base::Task<> {
    HandClock clock;
    MemoryDiscovery discovery(clock);
    co_await discovery.register_instance(
        {"web.default", "a", "fd00::1", {{"http", 80}}, {{"tier", "x"}}}, 10s);
    co_await discovery.register_instance({"web.default", "b", "fd00::2", {}, {}, false}, 10s);
    EXPECT_EQ((co_await discovery.discover({"web.default", {}}))->size(), 1u);
    EXPECT_EQ((co_await discovery.discover({"web.default", {}, false}))->size(), 2u);
    EXPECT_EQ((co_await discovery.discover({"web.default", {{"tier", "y"}}}))->size(), 0u);
    clock.passed = 11s;
    EXPECT_EQ((co_await discovery.discover({"web.default", {}, false}))->size(), 0u);
    EXPECT_EQ((co_await discovery.deregister("web.default", "c")).error().code,
              base::Errc::NotFound);
  }());
}

TEST(MemoryDnsCt, TellsMissingNamesFromMissingTypes) {
  run([]() -> base::Task<> {
    MemoryDnsCt names;
    names.add({"web.default.mesh", "AAAA", 5, "fd00::1"});
    EXPECT_EQ((co_await names.resolve("web.default.mesh", "AAAA"))->records.size(), 1u);
    EXPECT_EQ((co_await names.resolve("web.default.mesh", "A"))->code, DnsAnswer::Code::NoError);
    EXPECT_EQ((co_await names.resolve("no.default.mesh", "A"))->code, DnsAnswer::Code::NxDomain);
    EXPECT_EQ(co_await names.log_certificate({1}), 0u);
    EXPECT_TRUE(co_await names.verify_certificate({1}));
    EXPECT_EQ((co_await names.verify_certificate({2})).error().code, base::Errc::NotVerified);
  }());
}

}  // namespace
}  // namespace nexus
