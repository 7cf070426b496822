#pragma once

// What every Consensus promises (hypermesh/consensus.hpp). A subject has
//   void run(std::function<base::Task<>(std::vector<Consensus*>)>);
// which gives the task one Consensus of each node of a cluster, and returns when the task is done.

#include <gtest/gtest.h>

#include <base/async/event.hpp>
#include <hypermesh/consensus.hpp>
#include <map>
#include <set>
#include <vector>

namespace hypermesh::testing {

/// What one observer was told.
class Told {
 public:
  explicit Told(const base::Executor& executor) : more_(executor) {}

  Consensus::OnCommit observer() {
    return [this](const base::Result<Ordered>& ordered) {
      ASSERT_TRUE(ordered) << ordered.error().describe();
      EXPECT_TRUE(list.empty() || list.back().sequence < ordered->sequence);
      list.push_back(*ordered);
      more_.notify();
    };
  }
  base::Task<> wait_for(std::size_t count) {
    while (list.size() < count) co_await more_.wait();
  }
  std::vector<int> firsts() const {
    std::vector<int> bytes;
    for (const auto& each : list) bytes.push_back(each.operation.at(0));
    return bytes;
  }

  std::vector<Ordered> list;

 private:
  base::Event more_;
};

template <class Subject>
class ConsensusContract : public ::testing::Test {
 protected:
  using Nodes = std::vector<Consensus*>;
  void run(std::function<base::Task<>(Nodes)> body) {
    bool done = false;
    Subject().run([&](Nodes nodes) -> base::Task<> {
      co_await body(std::move(nodes));
      done = true;
    });
    EXPECT_TRUE(done);
  }
  static base::Task<std::uint64_t> propose(Consensus& node, std::uint8_t operation) {
    const auto position = co_await node.propose({operation}, std::chrono::seconds(20));
    EXPECT_TRUE(position) << position.error().describe();
    co_return position.value_or(0);
  }
};
TYPED_TEST_SUITE_P(ConsensusContract);

TYPED_TEST_P(ConsensusContract, EveryNodeIsGivenTheSameOrder) {
  this->run([](std::vector<Consensus*> nodes) -> base::Task<> {
    const auto executor = co_await boost::asio::this_coro::executor;
    std::vector<std::unique_ptr<Told>> told;
    for (Consensus* const node : nodes) {
      told.push_back(std::make_unique<Told>(executor));
      EXPECT_TRUE(node->on_commit(0, told.back()->observer()));
    }
    std::vector<std::uint64_t> positions;
    for (std::uint8_t i = 0; i < 5; ++i)
      positions.push_back(
          co_await ConsensusContract<TypeParam>::propose(*nodes[i % nodes.size()], i));
    EXPECT_GE(positions.at(0), 1u);
    for (const auto& each : told) {
      co_await each->wait_for(5);
      EXPECT_EQ(each->firsts(), (std::vector<int>{0, 1, 2, 3, 4}));
      for (std::size_t i = 0; i < 5; ++i) EXPECT_EQ(each->list[i].sequence, positions[i]);
    }
    for (Consensus* const node : nodes) EXPECT_TRUE(node->on_commit(0, nullptr));
  });
}

TYPED_TEST_P(ConsensusContract, WhatWasProposedWasDeliveredThere) {
  this->run([](std::vector<Consensus*> nodes) -> base::Task<> {
    Told told(co_await boost::asio::this_coro::executor);
    EXPECT_TRUE(nodes[0]->on_commit(0, told.observer()));
    const auto position = co_await ConsensusContract<TypeParam>::propose(*nodes[0], 7);
    EXPECT_EQ(told.list.size(), 1u);
    EXPECT_EQ(told.list.at(0).sequence, position);
    EXPECT_TRUE(nodes[0]->on_commit(0, nullptr));
  });
}

TYPED_TEST_P(ConsensusContract, ALateObserverBeginsWhereItWants) {
  this->run([](std::vector<Consensus*> nodes) -> base::Task<> {
    const auto executor = co_await boost::asio::this_coro::executor;
    const auto first = co_await ConsensusContract<TypeParam>::propose(*nodes[0], 1);
    const auto second = co_await ConsensusContract<TypeParam>::propose(*nodes[0], 2);
    Told all(executor), late(executor), later(executor);
    EXPECT_TRUE(nodes[0]->on_commit(0, all.observer()));
    EXPECT_EQ(all.firsts(), (std::vector<int>{1, 2}));
    EXPECT_TRUE(nodes[0]->on_commit(first, late.observer()));
    EXPECT_EQ(late.firsts(), (std::vector<int>{2}));
    EXPECT_TRUE(nodes[0]->on_commit(second + 1, later.observer()));
    const auto third = co_await ConsensusContract<TypeParam>::propose(*nodes[0], 3);
    co_await ConsensusContract<TypeParam>::propose(*nodes[0], 4);
    EXPECT_EQ(later.firsts(), third == second + 1 ? std::vector<int>{4} : (std::vector<int>{3, 4}));
    // Who was replaced is told nothing.
    EXPECT_EQ(all.list.size(), 2u);
    EXPECT_EQ(late.list.size(), 1u);
    EXPECT_TRUE(nodes[0]->on_commit(0, nullptr));
    co_await ConsensusContract<TypeParam>::propose(*nodes[0], 5);
    EXPECT_FALSE(later.list.back().operation == base::Bytes{5});
  });
}

TYPED_TEST_P(ConsensusContract, AQuorumIsSeenToVote) {
  this->run([](std::vector<Consensus*> nodes) -> base::Task<> {
    std::map<std::pair<std::uint64_t, base::Digest>, std::set<std::uint32_t>> commits;
    std::set<std::tuple<Vote::Phase, std::uint64_t, std::uint64_t, std::uint32_t>> seen;
    nodes[0]->on_vote([&](const Vote& vote) {
      EXPECT_TRUE(seen.emplace(vote.phase, vote.view, vote.sequence, vote.replica).second);
      if (vote.phase == Vote::Phase::Commit)
        commits[{vote.sequence, vote.digest}].insert(vote.replica);
    });
    const auto position = co_await ConsensusContract<TypeParam>::propose(*nodes[0], 1);
    const auto status = nodes[0]->status();
    EXPECT_FALSE(status.protocol.empty());
    EXPECT_GE(status.height, position);
    EXPECT_GE(status.replicas, 3 * status.faulty_max + 1);
    EXPECT_LT(status.leader, status.replicas);
    EXPECT_TRUE(std::ranges::any_of(
        commits, [&](const auto& each) { return each.second.size() >= status.quorum; }));
    nodes[0]->on_vote(nullptr);
    const auto before = seen.size();
    co_await ConsensusContract<TypeParam>::propose(*nodes[0], 2);
    EXPECT_EQ(seen.size(), before);
  });
}

REGISTER_TYPED_TEST_SUITE_P(ConsensusContract, EveryNodeIsGivenTheSameOrder,
                            WhatWasProposedWasDeliveredThere, ALateObserverBeginsWhereItWants,
                            AQuorumIsSeenToVote);

}  // namespace hypermesh::testing
