#include "node/node_config.hpp"

#include <gtest/gtest.h>

namespace stoq {
namespace {

TEST(ReachedAt, AnyAddressStandsForTheMachinesOwn) {
  EXPECT_EQ(reached_at(*Endpoint::of("::", 9292), "fd00::7"), "[fd00::7]:9292");
  EXPECT_EQ(reached_at(*Endpoint::of("::", 9292), ""), "[::]:9292");
  EXPECT_EQ(reached_at(*Endpoint::of("::1", 9292), "fd00::7"), "[::1]:9292");
}

}  // namespace
}  // namespace stoq
