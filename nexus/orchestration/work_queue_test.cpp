#include "orchestration/work_queue.hpp"

#include <gtest/gtest.h>

#include <string>

namespace nexus::orchestration {
namespace {

using namespace std::chrono_literals;
using Queue = WorkQueue<std::string>;

base::MonotonicTime at(base::Duration since) {
  return base::MonotonicTime(1h) + since;
}

TEST(WorkQueue, GivesAKeyOnceHoweverOftenItWasAdded) {
  Queue queue;
  queue.add("a", at(0s));
  queue.add("a", at(0s));
  EXPECT_EQ(queue.take(at(0s)), "a");
  EXPECT_EQ(queue.take(at(0s)), std::nullopt);
  queue.done("a", true, at(0s));
  EXPECT_EQ(queue.take(at(1h)), std::nullopt);
  EXPECT_EQ(queue.size(), 0u);
}

TEST(WorkQueue, WhatIsAddedWhileItRunsComesAgain) {
  Queue queue;
  queue.add("a", at(0s));
  queue.take(at(0s));
  queue.add("a", at(0s));
  EXPECT_EQ(queue.take(at(0s)), std::nullopt);
  queue.done("a", true, at(0s));
  EXPECT_EQ(queue.take(at(0s)), "a");
}

TEST(WorkQueue, TheEarlierTimeCounts) {
  Queue queue;
  queue.add("a", at(10s));
  queue.add("a", at(5s));
  queue.add("a", at(20s));
  EXPECT_EQ(queue.next_due(), at(5s));
  EXPECT_EQ(queue.take(at(4s)), std::nullopt);
  EXPECT_EQ(queue.take(at(5s)), "a");
}

TEST(WorkQueue, FailuresWaitLongerAndSuccessForgetsThem) {
  Queue queue;
  queue.add("a", at(0s));
  base::MonotonicTime now = at(0s);
  for (const base::Duration delay : {5ms, 10ms, 20ms}) {
    ASSERT_EQ(queue.take(now), "a");
    queue.done("a", false, now);
    ASSERT_EQ(queue.next_due(), now + delay);
    now += delay;
  }
  queue.take(now);
  queue.done("a", true, now);
  queue.add("a", now);
  queue.take(now);
  queue.done("a", false, now);
  EXPECT_EQ(queue.next_due(), now + 5ms);
  for (int i = 0; i < 40; ++i) {
    now = *queue.next_due();
    queue.take(now);
    queue.done("a", false, now);
  }
  EXPECT_EQ(queue.next_due(), now + 30s);
}

}  // namespace
}  // namespace nexus::orchestration
