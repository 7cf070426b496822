#include "health/probe_schedule.hpp"

#include <gtest/gtest.h>

namespace nexus {
namespace {

using namespace std::chrono_literals;

base::MonotonicTime at(base::Duration since) {
  return base::MonotonicTime(1h) + since;
}

ProbeTiming timing() {
  return {.initial_delay = 0s,
          .period = 10s,
          .timeout = 1s,
          .success_threshold = 1,
          .failure_threshold = 3};
}

/// Runs the schedule until `until` with a check that answers `passes(time)` at once; the times of
/// verdicts.
template <class Passes>
std::vector<base::Duration> verdicts(ProbeSchedule& schedule, base::Duration until, Passes passes) {
  std::vector<base::Duration> out;
  while (schedule.next() && *schedule.next() <= at(until)) {
    const auto now = *schedule.next();
    schedule.begin(now);
    EXPECT_EQ(schedule.next(), std::nullopt);
    if (schedule.finish(passes(now - at(0s)), now)) out.push_back(now - at(0s));
  }
  return out;
}

TEST(ProbeSchedule, IsUnhealthyAfterTheThresholdOfFailuresInARow) {
  ProbeSchedule schedule(timing(), true, false, at(0s), at(0s), 0s);
  const auto seen = verdicts(schedule, 65s, [](base::Duration t) { return t == 20s; });
  EXPECT_EQ(seen, (std::vector<base::Duration>{50s}));  // 0 and 10 fail, 20 passes, 30 40 50 fail
  EXPECT_FALSE(schedule.healthy());
}

TEST(ProbeSchedule, FailsAnewForEachThreshold) {
  ProbeSchedule schedule(timing(), true, false, at(0s), at(0s), 0s);
  const auto seen = verdicts(schedule, 55s, [](base::Duration) { return false; });
  EXPECT_EQ(seen, (std::vector<base::Duration>{20s, 50s}));
}

TEST(ProbeSchedule, NoticesAnEarlySuccessLongBeforeThePeriod) {
  ProbeSchedule schedule(timing(), false, true, at(0s), at(0s), 0s);
  const auto seen = verdicts(schedule, 30s, [](base::Duration t) { return t >= 120ms; });
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_LE(seen[0], 400ms);
  EXPECT_TRUE(schedule.healthy());
}

TEST(ProbeSchedule, EagerFailuresDoNotShortenTheTimeToStart) {
  ProbeSchedule schedule(timing(), false, true, at(0s), at(0s), 0s);
  const auto seen = verdicts(schedule, 21s, [](base::Duration) { return false; });
  EXPECT_EQ(seen, (std::vector<base::Duration>{20s}));  // three ticks: 0, 10, 20
}

TEST(ProbeSchedule, WaitsForTheInitialDelayOfTheContainerNotOfTheProcess) {
  ProbeTiming slow = timing();
  slow.initial_delay = 30s;
  EXPECT_EQ(ProbeSchedule(slow, false, true, at(0s), at(5s), 0s).next(), at(30s));
  EXPECT_EQ(ProbeSchedule(slow, false, true, at(0s), at(300s), 2s).next(), at(302s));
}

TEST(ProbeSchedule, NeedsTheThresholdOfSuccesses) {
  ProbeTiming slow = timing();
  slow.success_threshold = 2;
  ProbeSchedule schedule(slow, false, false, at(0s), at(0s), 0s);
  const auto seen = verdicts(schedule, 40s, [](base::Duration t) { return t != 10s; });
  EXPECT_EQ(seen, (std::vector<base::Duration>{30s}));
}

TEST(ProbeSchedule, WhatCouldNotBeAskedCountsNeitherWay) {
  for (const bool healthy : {true, false}) {
    ProbeSchedule schedule(timing(), healthy, !healthy, at(0s), at(0s), 0s);
    for (base::Duration t = 0s; t < 60s; t += 10s) {
      ASSERT_EQ(schedule.next(), at(t));
      schedule.begin(at(t));
      schedule.skip(at(t));
      EXPECT_EQ(schedule.healthy(), healthy);
    }
  }
}

TEST(Spread, IsStableAndBelowThePeriod) {
  EXPECT_EQ(spread("a", 10s), spread("a", 10s));
  EXPECT_NE(spread("a", 10s), spread("b", 10s));
  for (const char* name : {"a", "b", "c", ""}) EXPECT_LT(spread(name, 10s), 10s);
  EXPECT_EQ(spread("a", 0s), 0s);
}

}  // namespace
}  // namespace nexus
