#include "consensus/node/gateway.hpp"

#include <gtest/gtest.h>

namespace hypermesh::consensus {
namespace {

using base::Errc;
using base::MonotonicTime;
using namespace std::chrono_literals;

struct Fixture : ::testing::Test {
  const base::SigningKey key = *base::SigningKey::from_seed(base::sha256("client"));
  Gateway gateway{base::sha256("cluster"), key, 100};
  MonotonicTime now{};
  std::vector<base::Result<std::uint64_t>> answers;

  void submit(base::Duration limit = 10s) {
    gateway.submit({1, 2, 3}, now, now + limit,
                   [this](auto answer) { answers.push_back(std::move(answer)); });
  }
  void barrier() {
    gateway.barrier(now, now + 10s, [this](auto answer) { answers.push_back(std::move(answer)); });
  }
  void execute(const Bundle& bundle) {
    BundleResult result{bundle.client, bundle.sequence, {}};
    for (std::size_t i = 0; i < bundle.operations.size(); ++i)
      result.outcomes.push_back({.number = i + 1});
    gateway.on_executed(result, now);
  }
};
using GatewayTest = Fixture;

TEST_F(GatewayTest, SendsAtOnceWhenNothingIsUnderWayAndGathersAfterwards) {
  submit();
  const auto first = gateway.poll(now);
  ASSERT_EQ(first.size(), 1u);
  EXPECT_EQ(first[0].bundle->sequence, 100u);
  submit();
  submit();
  EXPECT_TRUE(gateway.poll(now).empty());
  now += 5ms;
  execute(*first[0].bundle);
  const auto second = gateway.poll(now);
  ASSERT_EQ(second.size(), 1u);
  EXPECT_EQ(second[0].bundle->operations.size(), 2u);
  EXPECT_EQ(second[0].bundle->sequence, 101u);
  execute(*second[0].bundle);
  ASSERT_EQ(answers.size(), 3u);
  EXPECT_EQ(*answers[2], 2u);
}

TEST_F(GatewayTest, BarriersShareABundleAndNeedNoOperationBesideOthers) {
  barrier();
  barrier();
  const auto alone = gateway.poll(now);
  ASSERT_EQ(alone.size(), 1u);
  EXPECT_EQ(alone[0].bundle->operations.size(), 1u);
  execute(*alone[0].bundle);
  EXPECT_EQ(answers.size(), 2u);
  now += 1s;
  barrier();
  submit();
  const auto together = gateway.poll(now);
  ASSERT_EQ(together.size(), 1u);
  EXPECT_EQ(together[0].bundle->operations.size(), 1u);
  EXPECT_EQ(together[0].bundle->operations[0], (base::Bytes{1, 2, 3}));
}

TEST_F(GatewayTest, SendsAgainWhatIsNotExecutedAndTellsWhoWaitsTooLong) {
  submit(1s);
  const auto first = gateway.poll(now);
  EXPECT_FALSE(first.at(0).again);
  const auto sent_again = [&] {
    const auto sent = gateway.poll(now);
    return sent.size() == 1 && sent[0].bundle == first[0].bundle && sent[0].again;
  };
  now += 500ms;
  EXPECT_TRUE(sent_again());
  EXPECT_FALSE(sent_again());
  gateway.send_again();
  EXPECT_TRUE(sent_again());
  now += 500ms;
  EXPECT_TRUE(gateway.poll(now).empty());
  ASSERT_EQ(answers.size(), 1u);
  EXPECT_EQ(answers[0].error().code, Errc::TimedOut);
  execute(*first[0].bundle);  // Nobody waits any more.
  EXPECT_EQ(answers.size(), 1u);
}

TEST_F(GatewayTest, TakesOtherNumbersWhenAnEarlierLifeUsedThem) {
  submit();
  const auto first = gateway.poll(now);
  BundleResult refused{key.public_key(), 100, {}, false, true};
  refused.outcomes.push_back(
      state::refusal(base::make_error(Errc::FailedPrecondition, "comes after 500")));
  refused.outcomes[0].number = 500;
  gateway.on_executed(refused, now);
  EXPECT_TRUE(answers.empty());
  now += 1s;
  const auto second = gateway.poll(now);
  ASSERT_EQ(second.size(), 1u);
  EXPECT_EQ(second[0].bundle->sequence, 500u + kClientWindow);
  execute(*second[0].bundle);
  ASSERT_EQ(answers.size(), 1u);
  EXPECT_TRUE(answers[0]);
}

TEST_F(GatewayTest, SendsNothingWithoutAQuorumAndSaysThatNothingWasDone) {
  gateway.reach(2, 3);
  submit(1h);
  submit(1s);
  EXPECT_TRUE(gateway.poll(now).empty());
  EXPECT_EQ(gateway.wake_at(), now + 1s);
  now += 1s;
  EXPECT_TRUE(gateway.poll(now).empty());
  ASSERT_EQ(answers.size(), 1u);
  EXPECT_EQ(answers[0].error().code, Errc::NoQuorum);
  EXPECT_NE(answers[0].error().message.find("2 voters"), std::string::npos);
  gateway.reach(3, 3);
  ASSERT_EQ(gateway.poll(now).size(), 1u);
}

// What was sent has no effect for certain only when later blocks were seen, or one refused it.
TEST_F(GatewayTest, SaysWhatWillNotTakeEffect) {
  const auto submit_until = [this](std::uint64_t ordered) {
    gateway.submit(encode(OnCluster<Proposed>{ordered, {{1}}}), now, now + 1s,
                   [this](auto answer) { answers.push_back(std::move(answer)); });
  };
  submit_until(100);
  submit_until(200);
  ASSERT_EQ(gateway.poll(now).size(), 1u);
  gateway.on_time(150);
  now += 1s;
  (void)gateway.poll(now);
  ASSERT_EQ(answers.size(), 2u);
  EXPECT_EQ(answers[0].error().code, Errc::NoQuorum);
  EXPECT_EQ(answers[1].error().code, Errc::TimedOut);
  EXPECT_NE(answers[1].error().message.find("bundle 100 "), std::string::npos);
  submit_until(300);
  const auto late = gateway.poll(now);
  ASSERT_EQ(late.size(), 1u);
  BundleResult result{key.public_key(), late[0].bundle->sequence, {}};
  result.outcomes.push_back(state::refusal(base::make_error(Errc::TimedOut, "too late")));
  gateway.on_executed(result, now);
  ASSERT_EQ(answers.size(), 3u);
  EXPECT_EQ(answers[2].error().code, Errc::NoQuorum);
}

// Beyond the window of results nobody could tell whether the oldest was executed.
TEST_F(GatewayTest, StaysWithinTheWindowOfItsOldestBundle) {
  submit(1h);
  const auto oldest = gateway.poll(now);
  ASSERT_EQ(oldest.size(), 1u);
  std::uint64_t last = oldest[0].bundle->sequence;
  for (int i = 0; i < 100; ++i) {
    submit(1h);
    now += 100ms;
    for (const auto& [bundle, again] : gateway.poll(now)) {
      if (again) continue;
      last = bundle->sequence;
      execute(*bundle);
    }
  }
  EXPECT_EQ(last, oldest[0].bundle->sequence + kClientWindow - 1);
  execute(*oldest[0].bundle);
  submit();
  EXPECT_EQ(gateway.poll(now).size(), 1u);
}

TEST_F(GatewayTest, RefusesWhatIsTooMuchAndAnswersEverybodyAtItsEnd) {
  GatewayOptions options;
  options.waiting_bytes_max = 5;
  Gateway small(base::sha256("cluster"), key, 1, options);
  const auto done = [this](auto answer) { answers.push_back(std::move(answer)); };
  small.submit({1, 2, 3}, now, now + 1s, done);
  small.submit({1, 2, 3}, now, now + 1s, done);
  ASSERT_EQ(answers.size(), 1u);
  EXPECT_EQ(answers[0].error().code, Errc::ResourceExhausted);
  small.end(base::make_error(Errc::Unavailable, "the end"));
  ASSERT_EQ(answers.size(), 2u);
  EXPECT_EQ(answers[1].error().code, Errc::Unavailable);
}

TEST_F(GatewayTest, PollsAgainWhenSomethingIsDue) {
  EXPECT_EQ(gateway.wake_at(), MonotonicTime::max());
  submit();
  EXPECT_LE(gateway.wake_at(), now);
  (void)gateway.poll(now);
  EXPECT_EQ(gateway.wake_at(), now + 500ms);
  submit();
  EXPECT_LE(gateway.wake_at(), now + 20ms);
}

}  // namespace
}  // namespace hypermesh::consensus
