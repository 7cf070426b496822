#include <gtest/gtest.h>

#include <stoq/types.hpp>

namespace stoq {
namespace {

TEST(Endpoint, ReadsAndShowsBothFamilies) {
  EXPECT_EQ(Endpoint::of("2001:db8::1", 9292)->text(), "[2001:db8::1]:9292");
  EXPECT_EQ(Endpoint::of("192.0.2.1", 1)->text(), "192.0.2.1:1");
  EXPECT_EQ(*Endpoint::of("::ffff:192.0.2.1", 1), *Endpoint::of("192.0.2.1", 1));
  EXPECT_EQ(Endpoint{}.text(), "[::]:0");
}

TEST(Endpoint, RefusesNames) {
  EXPECT_EQ(Endpoint::of("example.org", 1).error().message, "\"example.org\" is not an IP address");
  EXPECT_FALSE(Endpoint::of("", 1));
}

}  // namespace
}  // namespace stoq
