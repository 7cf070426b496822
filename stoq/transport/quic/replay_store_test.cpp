#include "transport/quic/replay_store.hpp"

#include <gtest/gtest.h>

#include <string>

namespace stoq::quic {
namespace {

using namespace std::chrono_literals;

const base::WallTime kStart(1'000'000s);

bool add(ReplayStore& store, int key, base::WallTime now, base::Duration life = 10s) {
  return store.add(base::as_bytes(std::to_string(key)), now + life, now);
}

TEST(ReplayStore, ServesNothingTwiceWithinItsTime) {
  ReplayStore store;
  for (int key = 0; key < 1000; ++key) {
    // Later adds make periods end in between.
    const auto now = kStart + key * 100ms;
    ASSERT_TRUE(add(store, key, now));
    for (int seen = std::max(0, key - 99); seen <= key; ++seen)
      ASSERT_FALSE(add(store, seen, now)) << seen << " at " << key;
  }
}

TEST(ReplayStore, ForgetsWhatIsOver) {
  ReplayStore store;
  for (int key = 0; key < 100'000; ++key) add(store, key, kStart + key * 10ms);
  // Three periods of 10 s, 100 entries a second.
  EXPECT_LE(store.size(), 3100u);
}

TEST(ReplayStore, RefusesRatherThanForgetsWhenItIsFull) {
  ReplayStore store(160);
  int added = 0;
  for (int key = 0; key < 1000; ++key) added += add(store, key, kStart) ? 1 : 0;
  EXPECT_LE(added, 160);
  EXPECT_GT(added, 100);
  for (int key = 0; key < 1000; ++key) EXPECT_FALSE(add(store, key, kStart));
  EXPECT_TRUE(add(store, 5000, kStart + 1h) && add(store, 5001, kStart + 1h));
}

TEST(ReplayStore, AClockThatIsSetBackOpensNothing) {
  ReplayStore store;
  ASSERT_TRUE(add(store, 1, kStart));
  EXPECT_FALSE(add(store, 1, kStart - 1h));
  EXPECT_FALSE(add(store, 1, kStart + 5s));
}

}  // namespace
}  // namespace stoq::quic
