#include "consensus/pbft/bundle_pool.hpp"

#include <gtest/gtest.h>

namespace hypermesh::consensus::pbft {
namespace {

using base::MonotonicTime;
using std::chrono::milliseconds;

BundlePtr bundle(std::uint8_t client, std::uint64_t sequence, std::size_t operations = 1) {
  auto made = std::make_shared<Bundle>();
  made->client[0] = client;
  made->sequence = sequence;
  made->operations.assign(operations, base::Bytes(10));
  return made;
}

TEST(BundlePool, GivesTheOldestThatAreNotUnderWay) {
  BundlePool pool({});
  const auto a = bundle(1, 1, 3), b = bundle(2, 1, 3), c = bundle(1, 2, 3);
  MonotonicTime now{};
  for (const auto& each : {a, b, c}) {
    EXPECT_EQ(pool.add(each, digest_of(*each), now), BundlePool::Added::Yes);
    now += milliseconds(1);
  }
  EXPECT_EQ(pool.add(a, digest_of(*a), now), BundlePool::Added::Known);
  EXPECT_EQ(pool.next(6, 1 << 20), (std::vector{a, b}));
  EXPECT_EQ(pool.next(1, 1), (std::vector{a}));  // At least one.
  pool.set_taken(digest_of(*a), true);
  EXPECT_EQ(pool.next(100, 1 << 20), (std::vector{b, c}));
  EXPECT_EQ(pool.free_operations(), 6u);
  EXPECT_EQ(pool.free_since(), MonotonicTime() + milliseconds(1));
  EXPECT_EQ(pool.waiting_since(), MonotonicTime());
  pool.release_all();
  EXPECT_EQ(pool.next(100, 1 << 20), (std::vector{a, b, c}));
}

TEST(BundlePool, WhoSendsLittleDoesNotWaitForWhoSendsMuch) {
  BundlePool pool({});
  std::vector<BundlePtr> flood;
  for (std::uint64_t i = 1; i <= 50; ++i) {
    flood.push_back(bundle(1, i, 100));
    (void)pool.add(flood.back(), digest_of(*flood.back()), {});
  }
  const auto take = [&pool](const BundlePtr& each) { pool.set_taken(digest_of(*each), true); };
  take(flood[0]);
  const auto a = bundle(2, 1), b = bundle(3, 1), c = bundle(2, 2);
  for (const auto& each : {a, b, c}) (void)pool.add(each, digest_of(*each), {});
  EXPECT_EQ(pool.next(200, 1 << 20), (std::vector{a, b, c, flood[1]}));
  for (const auto& each : {a, b, c, flood[1]}) take(each);
  // Nor does it save up turns while it has nothing.
  for (std::size_t i = 2; i < 20; ++i) take(flood[i]);
  std::vector<BundlePtr> later;
  for (std::uint64_t i = 3; i <= 10; ++i) {
    later.push_back(bundle(2, i, 100));
    (void)pool.add(later.back(), digest_of(*later.back()), {});
  }
  EXPECT_EQ(pool.next(400, 1 << 20), (std::vector{flood[20], later[0], flood[21], later[1]}));
  // What is not under way any more has its old turn.
  const BundlePool copy = pool;
  pool.release_all();
  EXPECT_EQ(pool.next(103, 1 << 20), (std::vector{flood[0], a, b, c}));
  EXPECT_EQ(copy.next(100, 1 << 20), (std::vector{flood[20]}));
}

TEST(BundlePool, WhatIsOrderedIsNotTakenAgain) {
  BundlePool pool({});
  const auto a = bundle(1, 1);
  (void)pool.add(a, digest_of(*a), {});
  pool.remove(digest_of(*a));
  EXPECT_EQ(pool.add(a, digest_of(*a), {}), BundlePool::Added::Known);
  EXPECT_EQ(pool.size(), 0u);
  EXPECT_EQ(pool.bytes(), 0u);
  EXPECT_EQ(pool.free_operations(), 0u);
  // Also when it was ordered before it came.
  const auto b = bundle(1, 2);
  pool.remove(digest_of(*b));
  EXPECT_EQ(pool.add(b, digest_of(*b), {}), BundlePool::Added::Known);
}

TEST(BundlePool, OneClientCannotFillIt) {
  BundlePool pool({.bundles_per_client_max = 2});
  for (std::uint64_t i = 1; i <= 2; ++i)
    EXPECT_EQ(pool.add(bundle(1, i), digest_of(*bundle(1, i)), {}), BundlePool::Added::Yes);
  EXPECT_EQ(pool.add(bundle(1, 3), digest_of(*bundle(1, 3)), {}), BundlePool::Added::Full);
  EXPECT_EQ(pool.add(bundle(2, 1), digest_of(*bundle(2, 1)), {}), BundlePool::Added::Yes);
  pool.remove(digest_of(*bundle(1, 1)));
  EXPECT_EQ(pool.add(bundle(1, 3), digest_of(*bundle(1, 3)), {}), BundlePool::Added::Yes);
  BundlePool few({.operations_per_client_max = 5});
  EXPECT_EQ(few.add(bundle(1, 1, 3), digest_of(*bundle(1, 1, 3)), {}), BundlePool::Added::Yes);
  EXPECT_EQ(few.add(bundle(1, 2, 3), digest_of(*bundle(1, 2, 3)), {}), BundlePool::Added::Full);
  EXPECT_EQ(few.add(bundle(2, 1, 5), digest_of(*bundle(2, 1, 5)), {}), BundlePool::Added::Yes);
  few.remove(digest_of(*bundle(1, 1, 3)));
  EXPECT_EQ(few.add(bundle(1, 2, 5), digest_of(*bundle(1, 2, 5)), {}), BundlePool::Added::Yes);
  BundlePool light({.bytes_per_client_max = 200});
  EXPECT_EQ(light.add(bundle(1, 1), digest_of(*bundle(1, 1)), {}), BundlePool::Added::Yes);
  EXPECT_EQ(light.add(bundle(1, 2), digest_of(*bundle(1, 2)), {}), BundlePool::Added::Full);
  EXPECT_EQ(light.add(bundle(2, 1), digest_of(*bundle(2, 1)), {}), BundlePool::Added::Yes);
  light.remove(digest_of(*bundle(1, 1)));
  EXPECT_EQ(light.add(bundle(1, 2), digest_of(*bundle(1, 2)), {}), BundlePool::Added::Yes);
  BundlePool small({.bytes_max = 200});
  EXPECT_EQ(small.add(bundle(1, 1), digest_of(*bundle(1, 1)), {}), BundlePool::Added::Yes);
  EXPECT_EQ(small.add(bundle(2, 1), digest_of(*bundle(2, 1)), {}), BundlePool::Added::Full);
}

TEST(BundlePool, RemembersABoundedNumber) {
  BundlePool pool({.remembered_max = 3});
  for (std::uint64_t i = 1; i <= 4; ++i) pool.remove(digest_of(*bundle(1, i)));
  EXPECT_FALSE(pool.ordered(digest_of(*bundle(1, 1))));
  EXPECT_TRUE(pool.ordered(digest_of(*bundle(1, 4))));
}

}  // namespace
}  // namespace hypermesh::consensus::pbft
