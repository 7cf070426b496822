#include <gtest/gtest.h>

#include "commands/stoq_target.hpp"

namespace cli {
namespace {

using namespace std::chrono_literals;

std::string shown(std::string_view text) {
  const auto target = parse_stoq_target(text);
  if (!target) return target.error().message;
  return target->host + " " + std::to_string(target->port) + (target->node ? " node" : "");
}

TEST(StoqTarget, ReadsWhatPeopleWrite) {
  EXPECT_EQ(shown("[2001:db8::1]:4433"), "2001:db8::1 4433");
  EXPECT_EQ(shown("[2001:db8::1]"), "2001:db8::1 9292");
  EXPECT_EQ(shown("2001:db8::1"), "2001:db8::1 9292");
  EXPECT_EQ(shown("192.0.2.1:1"), "192.0.2.1 1");
  EXPECT_EQ(shown("n1.example"), "n1.example 9292");
  EXPECT_EQ(shown(stoq::NodeId{}.text() + "@[::1]:9292"), "::1 9292 node");
}

TEST(StoqTarget, SaysWhatIsWrong) {
  EXPECT_EQ(shown("[::1"), "\"[::1\": a bracket is not closed");
  EXPECT_EQ(shown("[::1]x"), "\"[::1]x\": a port begins with a colon");
  EXPECT_EQ(shown("[::1]:"), "\"[::1]:\": there is no port after the colon");
  EXPECT_EQ(shown("n1:"), "\"n1:\": there is no port after the colon");
  EXPECT_EQ(shown("n1:0"), "\"n1:0\": \"0\" is not a port from 1 to 65535");
  EXPECT_EQ(shown("n1:70000"), "\"n1:70000\": \"70000\" is not a port from 1 to 65535");
  EXPECT_EQ(shown(""), "\"\": there is no address");
  EXPECT_EQ(shown("@n1").substr(0, 6), "\"@n1\":");
}

TEST(RoundTrips, OfOneAndOfMany) {
  const auto one = summarize({3ms});
  EXPECT_EQ(one.shortest, 3ms);
  EXPECT_EQ(one.p99, 3ms);
  std::vector<base::Duration> many;
  for (int i = 100; i > 0; --i) many.push_back(i * 1ms);
  const auto trips = summarize(many);
  EXPECT_EQ(trips.shortest, 1ms);
  EXPECT_EQ(trips.median, 51ms);
  EXPECT_EQ(trips.p99, 99ms);
  EXPECT_EQ(trips.longest, 100ms);
}

}  // namespace
}  // namespace cli
