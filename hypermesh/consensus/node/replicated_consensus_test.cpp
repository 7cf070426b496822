#include "consensus/node/replicated_consensus.hpp"

#include <base/async/task_scope.hpp>

#include "consensus/node/testing/cluster.hpp"
#include "testing/consensus_contract_testing.hpp"

namespace hypermesh::testing {
namespace {

// Four replicas, a Consensus on each.
struct Replicated : consensus::testing::ClusterTest {
  void TestBody() override {}
  void run(const std::function<base::Task<>(std::vector<Consensus*>)>& body) {
    ClusterTest::run(4, 4, [body](Replicas& all) -> base::Task<> {
      std::vector<std::unique_ptr<Consensus>> made;
      std::vector<Consensus*> nodes;
      for (auto& replica : all) {
        replica->open();
        made.push_back(std::make_unique<consensus::ReplicatedConsensus>(*replica->node));
        nodes.push_back(made.back().get());
      }
      co_await body(std::move(nodes));
      for (auto& replica : all) co_await replica->close();
    });
  }
};
using ReplicatedSubjects = ::testing::Types<Replicated>;
INSTANTIATE_TYPED_TEST_SUITE_P(Replicated, ConsensusContract, ReplicatedSubjects);

}  // namespace
}  // namespace hypermesh::testing

namespace hypermesh::consensus::testing {
namespace {

using ReplicatedConsensusTest = ClusterTest;
using hypermesh::testing::Told;

TEST_F(ReplicatedConsensusTest, WithoutAQuorumNothingTakesEffectAndItSaysSo) {
  run(4, 4, [](Replicas& replicas) -> Task<> {
    replicas[0]->open();
    replicas[1]->open();
    ReplicatedConsensus consensus(*replicas[0]->node);
    Told told(replicas[0]->executor);
    EXPECT_TRUE(consensus.on_commit(0, told.observer()));
    const auto lost = co_await consensus.propose({1}, 200ms);
    EXPECT_EQ(lost.error().code, Errc::NoQuorum);
    EXPECT_NE(lost.error().message.find("2 voters"), std::string::npos) << lost.error().message;
    replicas[2]->open();
    EXPECT_TRUE(co_await consensus.propose({2}, 20s));
    EXPECT_EQ(told.firsts(), (std::vector<int>{2}));
    co_await replicas[0]->close();
  });
}

// Whatever is said of an operation that was under way when the quorum went holds afterwards.
TEST_F(ReplicatedConsensusTest, WhatIsUnderWayWhenAQuorumGoesIsUnknownOrWithoutEffect) {
  run(4, 4, [](Replicas& replicas) -> Task<> {
    for (auto& replica : replicas) replica->open();
    ReplicatedConsensus consensus(*replicas[0]->node);
    Told told(replicas[0]->executor);
    EXPECT_TRUE(consensus.on_commit(0, told.observer()));
    EXPECT_TRUE(co_await consensus.propose({0}, 20s));
    std::map<int, Result<std::uint64_t>> answers;
    base::TaskScope scope(replicas[0]->executor);
    for (std::uint8_t i = 1; i <= 40; ++i) {
      scope.spawn([](ReplicatedConsensus& to, std::uint8_t operation, auto& all) -> Task<> {
        auto answer = co_await to.propose({operation}, 1s);
        all.emplace(operation, std::move(answer));
      }(consensus, i, answers));
      if (i == 20) {
        co_await base::sleep_for(1ms);
        co_await replicas[2]->close();
        co_await replicas[3]->close();
        // What comes from now on is not sent, and has no effect.
        while (replicas[0]->node->status().connected > 1) co_await base::sleep_for(1ms);
      }
    }
    co_await scope.join();
    replicas[2]->open();
    const auto last = co_await consensus.propose({99}, 20s);
    EXPECT_TRUE(last) << last.error().describe();
    const auto seen = told.firsts();
    EXPECT_EQ(seen.back(), 99);
    int without_effect = 0;
    for (const auto& [operation, answer] : answers) {
      const auto times = std::ranges::count(seen, operation);
      EXPECT_LE(times, 1);
      if (answer) EXPECT_EQ(times, 1);
      if (!answer && answer.error().code == Errc::NoQuorum) {
        EXPECT_EQ(times, 0);
        ++without_effect;
      }
    }
    EXPECT_GE(without_effect, 20);
    co_await replicas[0]->close();
  });
}

TEST_F(ReplicatedConsensusTest, SaysWhatItDoesNotRetain) {
  run(4, 4, [](Replicas& replicas) -> Task<> {
    for (auto& replica : replicas) replica->open();
    ReplicatedConsensus consensus(*replicas[0]->node, {.operations_max = 2});
    std::vector<std::uint64_t> positions;
    for (std::uint8_t i = 0; i < 4; ++i)
      positions.push_back((co_await consensus.propose({i}, 20s)).value_or(0));
    Told told(replicas[0]->executor);
    const auto early = consensus.on_commit(positions[1] - 1, told.observer());
    EXPECT_EQ(early.error().code, Errc::FailedPrecondition);
    EXPECT_TRUE(told.list.empty());
    EXPECT_TRUE(consensus.on_commit(positions[1], told.observer()));
    EXPECT_EQ(told.firsts(), (std::vector<int>{2, 3}));
    const auto large = co_await consensus.propose(base::Bytes(kBundleBytesMax), 20s);
    EXPECT_EQ(large.error().code, Errc::ResourceExhausted);
    co_await replicas[0]->close();
  });
}

// A replica that is too far behind gets the state, not the operations.
TEST_F(ReplicatedConsensusTest, TellsThatOperationsWereNotSeenHere) {
  run(4, 5, [](Replicas& replicas) -> Task<> {
    for (auto& replica : replicas) replica->open();
    ReplicatedConsensus first(*replicas[0]->node);
    EXPECT_TRUE(co_await first.propose({1}, 20s));
    co_await replicas[4]->close();
    for (int i = 0; i < 80; ++i)
      EXPECT_TRUE(co_await replicas[0]->node->order(put("k", std::to_string(i)), 20s));
    replicas[4]->open();
    ReplicatedConsensus behind(*replicas[4]->node);
    base::Event told(replicas[4]->executor);
    std::optional<base::Error> error;
    EXPECT_TRUE(behind.on_commit(behind.status().height, [&](const Result<Ordered>& ordered) {
      EXPECT_FALSE(ordered);
      if (!ordered) error = ordered.error();
      told.notify();
    }));
    while (!error) {
      EXPECT_TRUE(co_await first.propose({2}, 20s));
      (void)co_await told.wait_for(50ms);
    }
    EXPECT_EQ(error->code, Errc::FailedPrecondition);
    Told after(replicas[4]->executor);
    EXPECT_TRUE(behind.on_commit(behind.status().height, after.observer()));
    EXPECT_TRUE(co_await first.propose({3}, 20s));
    // Some of those before may come here now.
    do {
      co_await after.wait_for(after.list.size() + 1);
    } while (after.firsts().back() != 3);
    for (const std::size_t i : {0, 4}) co_await replicas[i]->close();
  });
}

}  // namespace
}  // namespace hypermesh::consensus::testing
