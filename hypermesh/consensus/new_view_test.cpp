#include "consensus/new_view.hpp"

#include <gtest/gtest.h>

namespace hypermesh::consensus {
namespace {

base::Digest block(std::string_view name) {
  return base::sha256(base::as_bytes(name));
}

struct NewViewTest : testing::Test {
  Voters voters{1, std::vector<base::PublicKey>(4), {}, 0};
  const Claim start{0, 10, block("start")};

  static Wish wish(ReplicaId replica, const Claim& claim, std::vector<base::Digest> held = {}) {
    return {replica, claim, std::move(held), {}};
  }
  Claim base(const std::vector<Wish>& wishes) const { return base_of(voters, wishes); }
};

TEST_F(NewViewTest, TheHighestClaimWinsByViewThenSlot) {
  const Claim low{1, 20, block("low")}, high{2, 15, block("high")};
  EXPECT_EQ(base({wish(0, low), wish(1, high), wish(2, start)}), high);
}

TEST_F(NewViewTest, WhatAllButOneHoldIsKept) {
  const auto a = block("a"), b = block("b"), c = block("c");
  // A liar may invent what he likes, or say nothing.
  EXPECT_EQ(base({wish(0, start, {a, b}), wish(1, start, {a, b, c}), wish(3, start)}),
            (Claim{0, 12, b}));
  EXPECT_EQ(base({wish(0, start, {a}), wish(1, start, {b, c}), wish(3, start)}), start);
}

TEST_F(NewViewTest, WhatIsHeldCountsOnlyBehindTheHighestClaim) {
  const auto a = block("a"), b = block("b"), c = block("c"), other = block("other");
  const Claim prepared{0, 11, a};
  EXPECT_EQ(base({wish(0, start, {a, b}), wish(1, prepared, {b, c}), wish(2, start)}),
            (Claim{0, 12, b}));
  // Of another chain.
  EXPECT_EQ(base({wish(0, start, {other, b}), wish(1, prepared, {b}), wish(2, start, {other, b})}),
            prepared);
  // From a higher slot, of a lower view.
  const Claim later{1, 11, a};
  EXPECT_EQ(base({wish(0, {0, 12, b}, {c}), wish(1, later, {b, c}), wish(2, {0, 12, b}, {c})}),
            later);
}

TEST_F(NewViewTest, MoreWishesNeedMoreHolders) {
  const auto a = block("a");
  EXPECT_EQ(base({wish(0, start, {a}), wish(1, start, {a}), wish(2, start), wish(3, start)}),
            start);
}

TEST_F(NewViewTest, TheHighestClaimIsProven) {
  const Claim claim{0, 11, block("a")};
  NewView message{1, 1, {wish(0, start), wish(1, claim), wish(2, start)}, std::nullopt};
  EXPECT_FALSE(check_form(voters, start, message));
  message.proof =
      Certificate{{Phase::Prepare, 1, 0, 11, claim.digest}, {{0, {}}, {1, {}}, {2, {}}}};
  EXPECT_TRUE(check_form(voters, start, message));
  // A certificate of holds has all voters.
  message.proof->statement.phase = Phase::Hold;
  EXPECT_FALSE(check_form(voters, start, message));
  message.proof->signatures.push_back({3, {}});
  EXPECT_TRUE(check_form(voters, start, message));
  message.proof->statement.phase = Phase::Checkpoint;
  EXPECT_FALSE(check_form(voters, start, message));
  message.wishes.pop_back();
  EXPECT_FALSE(check_form(voters, start, message));
}

}  // namespace
}  // namespace hypermesh::consensus
