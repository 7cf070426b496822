#include "load.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

namespace bench {
namespace {

using namespace std::chrono_literals;

constexpr base::MonotonicTime kStart{1'000s};

std::string_view text(const Key& key) {
  return {key.data(), key.size()};
}

TEST(Percentile, IsTheSmallestSampleThatTheShareDoesNotExceed) {
  std::vector<std::uint32_t> hundred;
  for (std::uint32_t i = 100; i >= 1; --i) hundred.push_back(i);
  EXPECT_EQ(percentile(hundred, 0.50), 50);
  EXPECT_EQ(percentile(hundred, 0.99), 99);
  EXPECT_EQ(percentile(hundred, 1.00), 100);
  EXPECT_EQ(percentile(hundred, 0.00), 1);
}

TEST(Percentile, OfOneSampleIsThatSampleAndOfNoneIsNothing) {
  std::vector<std::uint32_t> one{7};
  EXPECT_EQ(percentile(one, 0.5), 7);
  EXPECT_EQ(percentile(one, 0.99), 7);
  EXPECT_EQ(percentile({}, 0.5), 0);
}

TEST(Keys, AreSixteenBytesAndDiffer) {
  EXPECT_EQ(text(key_of(0)), "key-000000000000");
  EXPECT_EQ(text(key_of(kKeysMax - 1)), "key-000099999999");
}

TEST(Values, AreCheckedForTheirSizeAndTheirKey) {
  Load load({.keys = 1}, kStart);
  const auto write = load.next(0, kStart);
  ASSERT_TRUE(write);
  EXPECT_FALSE(write->read);
  EXPECT_TRUE(check_value(write->key, write->value));
  EXPECT_FALSE(check_value(key_of(1), write->value));
  EXPECT_FALSE(check_value(write->key, base::BytesView(write->value).first(kValueBytes - 1)));
  EXPECT_FALSE(check_value(write->key, {}));
}

TEST(Load, KeepsEachClientAtItsOutstandingOperations) {
  Load load({.clients = 2, .outstanding = 2}, kStart);
  const auto first = load.next(0, kStart);
  ASSERT_TRUE(first);
  EXPECT_TRUE(load.next(0, kStart));
  EXPECT_FALSE(load.next(0, kStart));
  EXPECT_TRUE(load.next(1, kStart));
  load.done(0, *first, kStart + 1ms);
  EXPECT_TRUE(load.next(0, kStart + 1ms));
  EXPECT_FALSE(load.next(0, kStart + 1ms));
}

TEST(Load, TheSameSeedAsksTheSame) {
  Load a({.clients = 1, .outstanding = 50, .seed = 9}, kStart), b = a;
  Load other({.clients = 1, .outstanding = 50, .seed = 10}, kStart);
  bool differs = false;
  for (int i = 0; i < 50; ++i) {
    const auto x = a.next(0, kStart), y = b.next(0, kStart), z = other.next(0, kStart);
    EXPECT_EQ(x->key, y->key);
    EXPECT_EQ(x->value, y->value);
    differs |= x->key != z->key;
  }
  EXPECT_TRUE(differs);
}

TEST(Load, FillWritesEveryKeyOnceAndEnds) {
  Load load({.clients = 3, .reads = true, .keys = 10, .fill = true}, kStart);
  std::set<Key> keys;
  std::uint32_t client = 0;
  while (const auto write = load.next(client, kStart)) {
    EXPECT_FALSE(write->read);
    EXPECT_TRUE(keys.insert(write->key).second);
    load.done(client, *write, kStart + 1s);
    client = (client + 1) % 3;
  }
  EXPECT_EQ(keys.size(), 10);
  EXPECT_EQ(*keys.rbegin(), key_of(9));
  EXPECT_TRUE(load.over(kStart + 1s));
}

TEST(Load, CountedOperationsAreMeasuredFromTheFirstToTheLastAnswer) {
  Load load({.warm_up = 30s, .operations = 4}, kStart);
  auto now = kStart;
  for (const auto took : {10ms, 20ms, 30ms, 40ms}) {
    const auto write = load.next(0, now);
    ASSERT_TRUE(write);
    EXPECT_FALSE(load.over(now));
    load.done(0, *write, now += took);
  }
  EXPECT_FALSE(load.next(0, now));
  EXPECT_TRUE(load.over(now));
  EXPECT_EQ(load.report().line(), "4 0.100 40.0 20000 40000 40000 40000 0");
}

// Warm-up until 1 s, window until 3 s.
TEST(Load, OnlyTheWindowCounts) {
  Load load({.outstanding = 2, .warm_up = 1s, .measured = 2s}, kStart);
  const auto early = load.next(0, kStart), across = load.next(0, kStart + 900ms);
  load.done(0, *early, kStart + 950ms);
  load.done(0, *across, kStart + 1'500ms);  // Counts for the rate; its latency is the warm-up's.
  const auto inside = load.next(0, kStart + 1'500ms), late = load.next(0, kStart + 2'900ms);
  load.done(0, *inside, kStart + 2'600ms);
  EXPECT_FALSE(load.next(0, kStart + 3s));
  EXPECT_FALSE(load.over(kStart + 3s));
  load.done(0, *late, kStart + 5s);  // Too late for the rate, and its latency is the longest.
  EXPECT_TRUE(load.over(kStart + 5s));
  const Report report = load.report();
  EXPECT_EQ(report.operations, 2);
  EXPECT_DOUBLE_EQ(report.seconds, 2);
  EXPECT_EQ(report.p50_us, 1'100'000);
  EXPECT_EQ(report.max_us, 2'100'000);
  EXPECT_EQ(report.gap_us, 1'100'000);
}

TEST(Load, TheGapReachesFromTheLastAnswerToTheEndOfTheWindow) {
  Load load({.warm_up = 0s, .measured = 10s}, kStart);
  const auto first = load.next(0, kStart);
  load.done(0, *first, kStart + 1s);
  const auto second = load.next(0, kStart + 1s);
  load.done(0, *second, kStart + 11s);
  EXPECT_EQ(load.report().gap_us, 9'000'000);
}

TEST(Load, WithoutAnAnswerTheGapIsTheWindow) {
  Load load({.warm_up = 1s, .measured = 10s}, kStart);
  EXPECT_EQ(load.report().gap_us, 10'000'000);
  EXPECT_EQ(load.report().operations, 0);
}

TEST(Load, AFailureEndsTheRunAndTheFirstIsKept) {
  Load load({.clients = 2}, kStart);
  EXPECT_TRUE(load.next(0, kStart));
  EXPECT_TRUE(load.next(1, kStart));
  load.failed(0, "no leader");
  EXPECT_FALSE(load.next(0, kStart));
  EXPECT_FALSE(load.over(kStart));
  load.failed(1, "timed out");
  EXPECT_TRUE(load.over(kStart));
  EXPECT_EQ(load.failure(), "no leader");
  EXPECT_EQ(load.report().failures, 2);
}

TEST(Load, IsStuckWhenAnswersStopWhileSomethingIsUnderWay) {
  Load load({.outstanding = 2, .measured = 600s}, kStart);
  EXPECT_FALSE(load.stuck(kStart + 2 * kAnswerMax));
  const auto now = kStart + 2 * kAnswerMax;  // Idle until here.
  const auto first = load.next(0, now);
  EXPECT_TRUE(load.next(0, now));
  EXPECT_FALSE(load.stuck(now + kAnswerMax));
  load.done(0, *first, now + kAnswerMax);
  EXPECT_FALSE(load.stuck(now + 2 * kAnswerMax));
  EXPECT_TRUE(load.stuck(now + 2 * kAnswerMax + 1ms));
}

}  // namespace
}  // namespace bench
