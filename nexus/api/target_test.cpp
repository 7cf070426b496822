#include "api/target.hpp"

#include <gtest/gtest.h>

namespace nexus::api {
namespace {

using Segments = std::vector<std::string>;

TEST(Target, IsTakenApartAndDecoded) {
  const auto target = parse_target("/api/v1/a%20b%2Fc/?x=1+2&y&x=%263&=z&");
  ASSERT_TRUE(target);
  EXPECT_EQ(target->segments, (Segments{"api", "v1", "a b/c"}));
  EXPECT_EQ(target->query.get("x"), "1 2");
  EXPECT_EQ(target->query.all("x"), (Segments{"1 2", "&3"}));
  EXPECT_TRUE(target->query.has("y"));
  EXPECT_EQ(*target->query.flag("y"), true);
  EXPECT_EQ(*target->query.flag("z"), false);
  EXPECT_FALSE(target->query.flag("x"));
  EXPECT_TRUE(parse_target("/")->segments.empty());
}

TEST(Target, WhatIsNoPathIsRefused) {
  for (const char* text : {"", "x", "*", "http://h/x", "/a//b", "/a/../b", "/./a", "/a%", "/a%2",
                           "/a%zz", "/a%00", "/a%0ab", "/?a=%", "/?a=%00"}) {
    const auto target = parse_target(text);
    ASSERT_FALSE(target) << text;
    EXPECT_EQ(http_status(target.error()), 400) << text;
  }
  std::string many = "/x?";
  for (int i = 0; i < 300; ++i) many += "a=b&";
  EXPECT_FALSE(parse_target(many));
  std::string deep;
  for (int i = 0; i < 40; ++i) deep += "/a";
  EXPECT_FALSE(parse_target(deep));
}

TEST(Target, NumbersHaveBounds) {
  const auto query = parse_target("/?a=10&b=-1&c=1x&d=99999999999999999999")->query;
  EXPECT_EQ(*query.number("a", 10), 10u);
  EXPECT_FALSE(query.number("a", 9));
  EXPECT_FALSE(query.number("b", 9));
  EXPECT_FALSE(query.number("c", 9));
  EXPECT_FALSE(query.number("d", ~0ull));
  EXPECT_EQ(*query.number("e", 9), std::nullopt);
}

}  // namespace
}  // namespace nexus::api
