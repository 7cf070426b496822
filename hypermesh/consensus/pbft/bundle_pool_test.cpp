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
