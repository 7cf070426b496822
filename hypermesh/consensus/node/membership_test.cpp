#include "consensus/node/testing/cluster.hpp"

namespace hypermesh::consensus::testing {
namespace {

using Membership = ClusterTest;

base::Bytes voters_of(std::vector<std::unique_ptr<TestReplica>>& replicas, Epoch epoch,
                      std::vector<std::size_t> ids, std::vector<Copy> copies) {
  ChangeVoters change{epoch, {}, std::move(copies)};
  for (const std::size_t i : ids) change.voters.push_back(replicas[i]->key.public_key());
  return encode(OnCluster<ChangeVoters>{0, std::move(change)});
}

Task<> reach_epoch(TestReplica& replica, Epoch epoch) {
  while (replica.node->status().epoch < epoch)
    co_await replica.node->applied_after(replica.node->status().applied, 50ms);
}

TEST_F(Membership, AFollowerOrdersAndReadsAndTakesAVotersPlace) {
  run(4, 5, [](Replicas& replicas) -> Task<> {
    for (auto& replica : replicas) replica->open();
    TestReplica& follower = *replicas[4];
    EXPECT_FALSE(follower.node->status().votes);
    for (int i = 0; i < 25; ++i) {
      const auto done = co_await follower.node->order(put("a", std::to_string(i)), 20s);
      EXPECT_TRUE(done) << done.error().describe();
    }
    const auto copy = co_await follower.node->copy();
    EXPECT_TRUE(copy) << copy.error().describe();
    const auto changed =
        co_await order_as_operator(*replicas[0], 1, voters_of(replicas, 1, {0, 1, 2, 4}, {*copy}));
    EXPECT_TRUE(changed);
    EXPECT_FALSE(changed->outcomes.at(0).refused) << changed->outcomes.at(0).message;
    for (auto& replica : replicas) co_await reach_epoch(*replica, 2);
    EXPECT_TRUE(follower.node->status().votes);
    EXPECT_FALSE(replicas[3]->node->status().votes);
    // The newcomer is needed for a quorum now.
    co_await replicas[3]->close();
    co_await replicas[1]->close();
    EXPECT_TRUE(co_await replicas[0]->node->order(put("b", "1"), 20s));
  });
}

TEST_F(Membership, AVoterThatSleptThroughAChangeFindsItsPlace) {
  run(4, 5, [](Replicas& replicas) -> Task<> {
    for (auto& replica : replicas) replica->open();
    for (int i = 0; i < 25; ++i)
      EXPECT_TRUE(co_await replicas[4]->node->order(put("a", std::to_string(i)), 20s));
    const auto copy = co_await replicas[4]->node->copy();
    co_await replicas[1]->close();
    const auto changed =
        co_await order_as_operator(*replicas[0], 1, voters_of(replicas, 1, {0, 1, 2, 4}, {*copy}));
    EXPECT_FALSE(changed->outcomes.at(0).refused) << changed->outcomes.at(0).message;
    co_await reach_epoch(*replicas[0], 2);
    for (int i = 0; i < 70; ++i)
      EXPECT_TRUE(co_await replicas[0]->node->order(put("b", std::to_string(i)), 20s));
    replicas[1]->open();
    co_await reach_epoch(*replicas[1], 2);
    EXPECT_TRUE(co_await replicas[1]->node->order(put("c", "1"), 20s));
  });
}

}  // namespace
}  // namespace hypermesh::consensus::testing
