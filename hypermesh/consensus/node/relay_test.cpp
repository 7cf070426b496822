#include "consensus/node/relay.hpp"

#include <gtest/gtest.h>

namespace hypermesh::consensus {
namespace {

using base::Errc;
using base::MonotonicTime;
using namespace std::chrono_literals;

class RelayTest : public ::testing::Test {
 protected:
  static BundlePtr bundle(std::uint64_t sequence) {
    auto made = std::make_shared<Bundle>();
    made->sequence = sequence;
    made->operations = {{1}};
    return made;
  }
  bool add(const BundlePtr& bundle, base::Duration limit = 10s) {
    return relay.add(bundle, now, now + limit,
                     [this](auto result) { answers.push_back(std::move(result)); });
  }
  void execute(const BundlePtr& bundle, std::uint64_t number, bool remember = true) {
    relay.on_executed({bundle->client, bundle->sequence, {{.number = number}}}, digest_of(*bundle),
                      remember);
  }

  Relay relay{500ms};
  MonotonicTime now{};
  std::vector<base::Result<BundleResult>> answers;
};

TEST_F(RelayTest, SendsAgainWhatIsNotExecuted) {
  const auto one = bundle(1), other = bundle(2);
  EXPECT_TRUE(add(one));
  EXPECT_TRUE(add(other));
  EXPECT_TRUE(relay.poll(now).empty());
  now += 500ms;
  EXPECT_LE(relay.wake_at(), now);
  const auto first = relay.poll(now);
  ASSERT_EQ(first.size(), 2u);
  EXPECT_TRUE(first[0].first);
  EXPECT_GT(relay.wake_at(), now);
  EXPECT_TRUE(relay.poll(now).empty());
  execute(one, 7);
  now += 500ms;
  EXPECT_EQ(relay.poll(now), (std::vector{Relay::Again{other, false}}));
  // Another primary may not know it.
  relay.send_again();
  EXPECT_EQ(relay.poll(now).size(), 1u);
  execute(other, 8);
  EXPECT_EQ(relay.wake_at(), MonotonicTime::max());
  ASSERT_EQ(answers.size(), 2u);
  EXPECT_EQ(answers[0]->outcomes.at(0).number, 7u);
}

TEST_F(RelayTest, WhoAsksTwiceIsAnsweredTwiceAndSentOnce) {
  const auto one = bundle(1);
  EXPECT_TRUE(add(one, 1s));
  EXPECT_FALSE(add(one));
  now += 1s;
  (void)relay.poll(now);
  ASSERT_EQ(answers.size(), 1u);
  EXPECT_EQ(answers[0].error().code, Errc::TimedOut);
  execute(one, 7);
  EXPECT_FALSE(add(one));
  ASSERT_EQ(answers.size(), 3u);
  EXPECT_EQ(answers[2]->outcomes.at(0).number, 7u);
}

// Its client used a number twice.
TEST_F(RelayTest, WhatBecameOfOneBundleAnswersNoOther) {
  const auto one = bundle(1);
  auto other = std::make_shared<Bundle>(*one);
  other->operations = {{2}};
  EXPECT_TRUE(add(other));
  execute(one, 7);
  EXPECT_TRUE(answers.empty());
  execute(other, 8, false);
  EXPECT_TRUE(add(other));
  ASSERT_EQ(answers.size(), 1u);
  EXPECT_EQ(answers[0]->outcomes.at(0).number, 8u);
}

TEST_F(RelayTest, TellsAllThatItEnds) {
  add(bundle(1));
  add(bundle(2));
  relay.end(base::make_error(Errc::Unavailable, "ends"));
  ASSERT_EQ(answers.size(), 2u);
  EXPECT_EQ(answers[1].error().code, Errc::Unavailable);
  EXPECT_TRUE(relay.under_way().empty());
}

}  // namespace
}  // namespace hypermesh::consensus
