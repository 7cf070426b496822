#include "consensus/pbft/votes.hpp"

#include <gtest/gtest.h>

namespace hypermesh::consensus::pbft {
namespace {

using State = VoteSet::State;

Vote vote(ReplicaId replica, std::uint8_t digest) {
  Vote made{{Phase::Prepare, 1, 0, 5, {}}, replica, {}};
  made.statement.digest[0] = digest;
  return made;
}

TEST(VoteSet, ChecksOnlyWhatCouldMakeAQuorum) {
  VoteSet votes;
  EXPECT_EQ(votes.add(vote(3, 1), State::Good), nullptr);
  EXPECT_EQ(votes.add(vote(0, 1)), nullptr);
  EXPECT_TRUE(votes.to_check(3).empty());
  (void)votes.add(vote(1, 2));
  EXPECT_TRUE(votes.to_check(3).empty());
  (void)votes.add(vote(2, 1));
  EXPECT_EQ(votes.to_check(3), (std::vector{vote(0, 1), vote(2, 1)}));
  EXPECT_TRUE(votes.to_check(3).empty());  // Under way.
  votes.set(0, State::Good);
  EXPECT_FALSE(votes.agreed(3));
  votes.set(2, State::Good);
  EXPECT_EQ(votes.agreed(3), vote(0, 1).statement.digest);
  const auto certificate = votes.certificate(vote(0, 1).statement.digest, 3);
  EXPECT_EQ(certificate.statement, vote(0, 1).statement);
  ASSERT_EQ(certificate.signatures.size(), 3u);
  EXPECT_EQ(certificate.signatures[2].first, 3);
}

TEST(VoteSet, ChecksEveryVoteForWhatIsWanted) {
  VoteSet votes;
  for (ReplicaId i = 0; i < 3; ++i) (void)votes.add(vote(i, i == 1 ? 2 : 1));
  EXPECT_EQ(votes.to_check(vote(0, 1).statement.digest), (std::vector{vote(0, 1), vote(2, 1)}));
  EXPECT_TRUE(votes.to_check(vote(0, 1).statement.digest).empty());
}

TEST(VoteSet, AnotherTakesThePlaceOfABadOne) {
  VoteSet votes;
  for (ReplicaId i = 0; i < 4; ++i) (void)votes.add(vote(i, 1));
  EXPECT_EQ(votes.to_check(3).size(), 3u);
  votes.set(0, State::Good);
  votes.set(1, State::Bad);
  votes.set(2, State::Good);
  EXPECT_FALSE(votes.agreed(3));
  EXPECT_EQ(votes.to_check(3), (std::vector{vote(3, 1)}));
  votes.set(3, State::Good);
  EXPECT_TRUE(votes.agreed(3));
}

TEST(VoteSet, TheFirstVoteStands) {
  VoteSet votes;
  EXPECT_EQ(votes.add(vote(0, 1)), nullptr);
  EXPECT_EQ(votes.add(vote(0, 1)), nullptr);
  const Vote* before = votes.add(vote(0, 2));
  ASSERT_NE(before, nullptr);
  EXPECT_EQ(*before, vote(0, 1));
  EXPECT_EQ(votes.find(0)->vote, vote(0, 1));
  EXPECT_EQ(votes.find(1), nullptr);
}

}  // namespace
}  // namespace hypermesh::consensus::pbft
