#include "orchestration/work_queue.hpp"

#include <gtest/gtest.h>

namespace nexus::orchestration {
namespace {

using namespace std::chrono_literals;

const ObjectRef kWeb{"Deployment", "default", "web"};
const base::MonotonicTime kStart{};

TEST(WorkQueue, AKeyMarkedWhileItIsHandledComesAgain) {
  WorkQueue queue;
  queue.mark(kWeb);
  queue.mark(kWeb);
  EXPECT_EQ(queue.take(kStart), kWeb);
  EXPECT_EQ(queue.take(kStart), std::nullopt);
  queue.mark(kWeb);
  EXPECT_EQ(queue.take(kStart), std::nullopt);
  queue.succeeded(kWeb);
  EXPECT_EQ(queue.take(kStart), kWeb);
  queue.succeeded(kWeb);
  EXPECT_EQ(queue.next_due(), std::nullopt);
}

TEST(WorkQueue, FailuresComeBackLaterAndLater) {
  WorkQueue queue;
  queue.mark(kWeb);
  base::MonotonicTime now = kStart;
  base::Duration waited{};
  for (int i = 0; i < 20; ++i) {
    ASSERT_EQ(queue.take(now), kWeb);
    queue.failed(kWeb, now);
    ASSERT_TRUE(queue.next_due());
    EXPECT_GE(*queue.next_due() - now, std::min<base::Duration>(waited, WorkQueue::kRetryMax));
    waited = *queue.next_due() - now;
    now = *queue.next_due();
  }
  EXPECT_EQ(waited, WorkQueue::kRetryMax);
  ASSERT_EQ(queue.take(now), kWeb);
  queue.succeeded(kWeb);
  queue.mark(kWeb);
  ASSERT_EQ(queue.take(now), kWeb);
  queue.failed(kWeb, now);
  EXPECT_EQ(*queue.next_due() - now, WorkQueue::kRetryFirst);
}

TEST(WorkQueue, TheEarlierTimeCounts) {
  WorkQueue queue;
  queue.mark_at(kWeb, kStart + 10s);
  queue.mark_at(kWeb, kStart + 5s);
  queue.mark_at(kWeb, kStart + 20s);
  EXPECT_EQ(queue.next_due(), kStart + 5s);
  EXPECT_EQ(queue.take(kStart + 4s), std::nullopt);
  EXPECT_EQ(queue.take(kStart + 5s), kWeb);
  queue.succeeded(kWeb);
  EXPECT_EQ(queue.next_due(), std::nullopt);
}

}  // namespace
}  // namespace nexus::orchestration
