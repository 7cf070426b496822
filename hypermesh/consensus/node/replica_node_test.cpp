#include "consensus/node/testing/cluster.hpp"

namespace hypermesh::consensus::testing {
namespace {

using ReplicaNodes = ClusterTest;

Task<Result<std::optional<std::string>>> get(TestReplica& replica, std::string key) {
  co_return co_await replica.node->read(
      ReplicaNode::Consistency::Linearizable, 10s,
      [key](const state::View& view) -> Result<std::optional<std::string>> {
        TRY(const auto found, view.get(key));
        if (!found) return std::nullopt;
        return found->value;
      });
}

TEST_F(ReplicaNodes, OrderWritesThatEveryReplicaReads) {
  run(4, 4, [](Replicas& replicas) -> Task<> {
    for (auto& replica : replicas) replica->open();
    for (int i = 0; i < 50; ++i) {
      const auto done = co_await replicas[i % 4]->node->order(
          put("key" + std::to_string(i), "value" + std::to_string(i)), 10s);
      EXPECT_TRUE(done) << done.error().describe();
    }
    for (auto& replica : replicas) {
      const auto value = co_await get(*replica, "key49");
      EXPECT_TRUE(value) << value.error().describe();
      EXPECT_EQ(*value, "value49");
    }
    EXPECT_EQ(replicas[0]->node->status().connected, 3u);
  });
}

TEST_F(ReplicaNodes, GoOnWithoutTheirLeaderAndTakeItBack) {
  run(4, 4, [](Replicas& replicas) -> Task<> {
    for (auto& replica : replicas) replica->open();
    EXPECT_TRUE(co_await replicas[1]->node->order(put("a", "1"), 10s));
    co_await replicas[0]->close();
    for (int i = 0; i < 100; ++i)
      EXPECT_TRUE(co_await replicas[1]->node->order(put("b", std::to_string(i)), 10s));
    EXPECT_GT(replicas[1]->node->status().view, 0u);
    replicas[0]->open();
    EXPECT_EQ(*co_await get(*replicas[0], "b"), "99");
  });
}

TEST_F(ReplicaNodes, FindEverythingAgainAfterAllWereClosed) {
  run(4, 4, [](Replicas& replicas) -> Task<> {
    for (auto& replica : replicas) replica->open();
    for (int i = 0; i < 45; ++i)
      EXPECT_TRUE(co_await replicas[1]->node->order(put("b", std::to_string(i)), 10s));
    for (auto& replica : replicas) co_await replica->close();
    for (auto& replica : replicas) replica->open();
    EXPECT_EQ(*co_await get(*replicas[2], "b"), "44");
  });
}

TEST_F(ReplicaNodes, SayThatThereIsNoQuorum) {
  run(4, 4, [](Replicas& replicas) -> Task<> {
    replicas[0]->open();
    replicas[1]->open();
    const auto done = co_await replicas[0]->node->order(put("a", "1"), 300ms);
    EXPECT_FALSE(done);
    EXPECT_EQ(done.error().code, Errc::NoQuorum);
    // It was a bundle under way: with a third replica it is ordered after all, or not; later ones
    // are.
    replicas[2]->open();
    EXPECT_TRUE(co_await replicas[0]->node->order(put("b", "1"), 20s));
  });
}

// It was sent before anybody could hear of it.
TEST_F(ReplicaNodes, SendAClientsBundleUntilItIsOrdered) {
  run(4, 5, [](Replicas& replicas) -> Task<> {
    TestReplica& follower = *replicas[4];
    follower.open();
    std::optional<Result<BundleResult>> done;
    follower.node->spawn([](TestReplica& through, auto& result) -> Task<> {
      result = co_await order_as_operator(through, 1, put("a", "1"));
    }(follower, done));
    co_await base::sleep_for(100ms);
    for (std::size_t i = 0; i < 4; ++i) replicas[i]->open();
    while (!done) co_await base::sleep_for(10ms);
    EXPECT_TRUE(*done) << done->error().describe();
    EXPECT_EQ(replicas[0]->node->status().view, 0u);
  });
}

// It was executed in slots of which the others have only the state.
TEST_F(ReplicaNodes, AnswerForWhatTheySkipped) {
  run(4, 4, [](Replicas& replicas) -> Task<> {
    for (std::size_t i = 0; i < 3; ++i) replicas[i]->open();
    EXPECT_TRUE(co_await order_as_operator(*replicas[0], 1, put("a", "1")));
    for (int i = 0; i < 45; ++i)
      EXPECT_TRUE(co_await replicas[0]->node->order(put("b", std::to_string(i)), 20s));
    replicas[3]->open();
    const auto late = co_await order_as_operator(*replicas[3], 1, put("a", "1"));
    EXPECT_TRUE(late) << late.error().describe();
    EXPECT_TRUE(late->repeated);
    // Nor does it wait for that bundle itself.
    co_await base::sleep_for(6s);
    EXPECT_EQ(replicas[3]->node->status().view, 0u);
    EXPECT_FALSE(replicas[3]->node->status().changing);
  });
}

TEST_F(ReplicaNodes, AreNotOpenedWithALogThatIsTooSmallForABlock) {
  run(4, 4, [](Replicas& replicas) -> Task<> {
    replicas[0]->log_options.payload_bytes_max = kBlockBytesMax;
    const auto opened = replicas[0]->try_open();
    EXPECT_EQ(opened.error().code, Errc::InvalidArgument);
    EXPECT_NE(opened.error().message.find("up to 8388608 bytes; a block can need 8392704"),
              std::string::npos)
        << opened.error().describe();
    co_return;
  });
}

}  // namespace
}  // namespace hypermesh::consensus::testing
