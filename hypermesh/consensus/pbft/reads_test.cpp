#include "consensus/pbft/reads.hpp"

#include <gtest/gtest.h>

namespace hypermesh::consensus::pbft {
namespace {

using namespace std::chrono_literals;

struct ReadsTest : testing::Test {
  Reads reads;
  MonotonicTime now{1s};
  std::uint64_t wall = 1000;
  Voters voters{1, std::vector<base::PublicKey>(4), {}, 0};

  std::uint64_t begin() { return reads.begin(now, wall).value_or(0); }
  void answer(ReplicaId from, std::uint64_t round, Slot slot) {
    reads.answer(from, {1, round, slot, 0}, voters, now);
  }
  // The last ticket that is good; 0: none.
  Ticket good(Slot applied) {
    Ticket last = 0;
    for (const auto& settled : reads.settle(applied, now)) {
      if (settled.good) last = settled.ticket;
    }
    return last;
  }
};

TEST_F(ReadsTest, WaitsForTheHighestSlotOfAQuorum) {
  EXPECT_EQ(begin(), 0u);
  reads.want(7);
  const auto round = begin();
  EXPECT_EQ(round, wall);
  answer(0, round, 5);
  answer(0, round, 5);  // Once is enough.
  answer(1, round, 9);
  EXPECT_EQ(good(100), 0u);
  answer(2, round, 4);
  EXPECT_EQ(good(8), 0u);
  EXPECT_EQ(good(9), 7u);
  EXPECT_TRUE(reads.idle());
}

TEST_F(ReadsTest, WaitsForWhatAllButOneOfAQuorumHold) {
  reads.want(7);
  const auto round = begin();
  for (const auto& [from, held] : {std::pair<ReplicaId, Slot>{0, 12}, {1, 100}, {2, 11}})
    reads.answer(from, {1, round, 9, held}, voters, now);
  EXPECT_EQ(good(11), 0u);
  EXPECT_EQ(good(12), 7u);
}

TEST_F(ReadsTest, WhatBeginsWhileOthersAreAskedIsAskedAfterwards) {
  reads.want(1);
  const auto first = begin();
  reads.want(2);
  EXPECT_EQ(begin(), 0u);
  for (ReplicaId i = 0; i < 3; ++i) answer(i, first, 5);
  EXPECT_EQ(good(5), 1u);
  const auto second = begin();
  EXPECT_GT(second, first);
  for (ReplicaId i = 0; i < 3; ++i) answer(i, first, 5);
  EXPECT_EQ(good(5), 0u);
  for (ReplicaId i = 0; i < 3; ++i) answer(i, second, 5);
  EXPECT_EQ(good(5), 2u);
}

TEST_F(ReadsTest, ALaterRoundIsEnoughForEarlierReads) {
  reads.want(1);
  const auto first = begin();
  for (ReplicaId i = 0; i < 3; ++i) answer(i, first, 50);
  reads.want(2);
  const auto second = begin();
  for (ReplicaId i = 0; i < 3; ++i) answer(i, second, 5);
  EXPECT_EQ(good(5), 2u);
  EXPECT_TRUE(reads.idle());
}

TEST_F(ReadsTest, WhoNamesASlotThatNeverComesIsNotBelievedForAWhile) {
  reads.want(1);
  auto round = begin();
  for (ReplicaId i = 0; i < 3; ++i) answer(i, round, i == 2 ? 1'000'000 : 5);
  EXPECT_EQ(reads.wake_at(), now + Reads::kPatience);
  now += Reads::kPatience;
  const auto settled = reads.settle(5, now);
  ASSERT_EQ(settled.size(), 1u);
  EXPECT_FALSE(settled[0].good);
  reads.want(2);
  round = begin();
  for (ReplicaId i = 0; i < 3; ++i) answer(i, round, i == 2 ? 1'000'000 : 5);
  EXPECT_EQ(good(5), 0u);
  answer(3, round, 5);
  EXPECT_EQ(good(5), 2u);
  now += Reads::kDistrust;
  reads.want(3);
  round = begin();
  for (ReplicaId i = 0; i < 3; ++i) answer(i, round, 5);
  EXPECT_EQ(good(5), 3u);
}

TEST_F(ReadsTest, AnotherEpochIsAskedAnew) {
  reads.want(1);
  const auto first = begin();
  answer(0, first, 5);
  answer(1, first, 5);
  reads.ask_anew();
  const auto second = begin();
  EXPECT_GT(second, first);
  answer(2, first, 5);
  answer(2, second, 6);
  EXPECT_EQ(good(6), 0u);
  answer(0, second, 6);
  answer(1, second, 6);
  EXPECT_EQ(good(6), 1u);
}

TEST_F(ReadsTest, NumbersOfAnEarlierLifeAreNotUsedAgain) {
  reads.want(1);
  EXPECT_EQ(begin(), 1000u);
  Reads later;
  wall = 2000;
  later.want(1);
  EXPECT_EQ(later.begin(now, wall), 2000u);
}

}  // namespace
}  // namespace hypermesh::consensus::pbft
