#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include "testing/first_node_scheduler.hpp"
#include "testing/solo_consensus.hpp"

namespace hypermesh {
namespace {

TEST(SoloConsensus, OrdersAndReplaysToALateListener) {
  boost::asio::io_context context;
  boost::asio::co_spawn(
      context,
      []() -> base::Task<> {
        SoloConsensus consensus;
        int votes = 0;
        consensus.on_vote([&](const Vote&) { ++votes; });
        EXPECT_EQ(co_await consensus.propose({1}, {}), 1u);
        EXPECT_EQ(co_await consensus.propose({2}, {}), 2u);
        EXPECT_EQ(votes, 4);
        std::vector<std::uint64_t> seen;
        consensus.on_commit(1, [&](const Ordered& o) { seen.push_back(o.sequence); });
        EXPECT_EQ(co_await consensus.propose({3}, {}), 3u);
        EXPECT_EQ(seen, (std::vector<std::uint64_t>{2, 3}));
        EXPECT_EQ(consensus.status().height, 3u);
      },
      [](std::exception_ptr thrown) { EXPECT_FALSE(thrown); });
  context.run();
}

TEST(FirstNodeScheduler, SkipsNodesThatAreNotReady) {
  FirstNodeScheduler scheduler;
  nexus::NodeCapacity a, b;
  a.name = "a";
  b.name = "b";
  b.ready = true;
  EXPECT_EQ(scheduler.place({}, {a, b}), "b");
  EXPECT_EQ(scheduler.place({}, {a}).error().code, base::Errc::CannotPlace);
}

}  // namespace
}  // namespace hypermesh
