#include "rpc/call_bytes.hpp"

#include <gmock/gmock.h>

namespace stoq::rpc {
namespace {

using ::testing::HasSubstr;

TEST(CallBytes, AreBoundedForAConnectionAndForAll) {
  std::atomic<std::size_t> all = 0;
  CallBytes one(all, 150, 100), two(all, 150, 100);
  {
    CallBytes::Held a(&one), b(&one), c(&two);
    EXPECT_TRUE(a.resize(60));
    EXPECT_THAT(b.resize(41).error().message, HasSubstr("of a connection hold 100 bytes"));
    EXPECT_TRUE(b.resize(40));
    EXPECT_THAT(c.resize(51).error().message, HasSubstr("of this node hold 150 bytes"));
    EXPECT_TRUE(c.resize(50));
    EXPECT_TRUE(a.resize(10));
    EXPECT_TRUE(c.resize(100));
    EXPECT_EQ(all, 150u);
  }
  EXPECT_EQ(all, 0u);
  EXPECT_EQ(one.held(), 0u);
}

TEST(CallBytes, WhereNobodyCountsEverythingFits) {
  CallBytes::Held held(nullptr);
  EXPECT_TRUE(held.resize(std::size_t{1} << 40));
}

}  // namespace
}  // namespace stoq::rpc
