#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include "testing/fixed_chunker.hpp"
#include "testing/memory_edge_network.hpp"
#include "testing/memory_router.hpp"

namespace stoq {
namespace {

using namespace std::chrono_literals;

NodeId node(std::uint8_t n) {
  NodeId id;
  id.bytes[0] = n;
  return id;
}

TEST(MemoryRouter, TakesTheDetourThatCostsLess) {
  MemoryRouter router;
  const auto link = [&](std::uint8_t a, std::uint8_t b, base::Duration cost) {
    router.update({node(a), node(b), cost});
  };
  link(1, 4, 42ms);
  link(1, 3, 20ms);
  link(3, 4, 13ms);
  const auto route = router.route(node(1), node(4));
  ASSERT_TRUE(route);
  EXPECT_EQ(route->predicted_round_trip, 33ms);
  EXPECT_EQ(route->hops, (std::vector{node(1), node(3), node(4)}));
  router.remove(node(3));
  EXPECT_EQ(router.route(node(1), node(4))->predicted_round_trip, 42ms);
  EXPECT_EQ(router.route(node(4), node(1)).error().code, base::Errc::Unavailable);
}

TEST(FixedChunker, JoinsWhatItSplitAndRefusesOtherBytes) {
  const FixedChunker chunker(4);
  const base::Bytes content = {1, 2, 3, 4, 5, 6, 7, 8, 9};
  auto chunks = chunker.split(content);
  EXPECT_EQ(chunks.size(), 3u);
  EXPECT_EQ(chunker.join(chunks), content);
  std::swap(chunks[0].bytes, chunks[1].bytes);
  EXPECT_EQ(chunker.join(chunks).error().code, base::Errc::NotVerified);
}

TEST(MemoryEdgeNetwork, FindsTheNearestAndForgetsWhatIsRemoved) {
  boost::asio::io_context context;
  boost::asio::co_spawn(
      context,
      []() -> base::Task<> {
        MemoryEdgeNetwork edge(100);
        EXPECT_EQ((co_await edge.find_nearest({})).error().code, base::Errc::NotFound);
        co_await edge.register_edge({node(1), {}, {52.5, 13.4}, 0});
        co_await edge.register_edge({node(2), {}, {40.7, -74.0}, 0});
        EXPECT_EQ((co_await edge.find_nearest({48.9, 2.4}))->id, node(1));
        EXPECT_TRUE(co_await edge.publish("a", {1, 2}));
        EXPECT_EQ((co_await edge.fetch("a")), (base::Bytes{1, 2}));
        EXPECT_TRUE(co_await edge.remove("a"));
        EXPECT_EQ((co_await edge.fetch("a")).error().code, base::Errc::NotFound);
        EXPECT_EQ((co_await edge.publish("b", base::Bytes(101))).error().code,
                  base::Errc::ResourceExhausted);
      },
      [](std::exception_ptr thrown) { EXPECT_FALSE(thrown); });
  context.run();
}

}  // namespace
}  // namespace stoq
