#include "consensus/node/measured.hpp"

#include <gtest/gtest.h>

namespace hypermesh::consensus {
namespace {

using namespace std::chrono_literals;

stoq::NodeId node(std::uint8_t number) {
  return stoq::NodeId::of(base::PublicKey{number});
}

TEST(RecentTail, LeavesOneOfAHundredOut) {
  RecentTail tail;
  EXPECT_EQ(tail.p99(), 0ms);
  tail.add(7ms);
  EXPECT_EQ(tail.p99(), 7ms);
  for (int i = 1; i <= 100; ++i) tail.add(1ms);
  EXPECT_EQ(tail.p99(), 1ms);
  tail.add(8ms);
  EXPECT_EQ(tail.p99(), 7ms);
}

TEST(RecentTail, ForgetsWhatIsOld) {
  RecentTail tail;
  for (int i = 0; i < 10; ++i) tail.add(2s);
  for (std::size_t i = 0; i < RecentTail::kSamples; ++i) tail.add(3ms);
  EXPECT_EQ(tail.p99(), 3ms);
}

TEST(Measured, FaultyPeersDoNotRaiseThePatience) {
  Measured measured;
  measured.on_sync(4ms);
  measured.on_round_trip(node(1), 2ms);
  EXPECT_EQ(measured.conditions(1), (pbft::Conditions{0ms, 4ms})) << "it may be the liar's";
  measured.on_round_trip(node(2), 3ms);
  measured.on_round_trip(node(3), 10s);
  EXPECT_EQ(measured.conditions(1), (pbft::Conditions{3ms, 4ms}));
  measured.keep([](const stoq::NodeId& id) { return id == node(1) || id == node(2); });
  EXPECT_EQ(measured.conditions(1), (pbft::Conditions{2ms, 4ms}));
  EXPECT_EQ(measured.conditions(0), (pbft::Conditions{3ms, 4ms}));
}

}  // namespace
}  // namespace hypermesh::consensus
