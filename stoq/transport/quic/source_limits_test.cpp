#include "transport/quic/source_limits.hpp"

#include <arpa/inet.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace stoq::quic {
namespace {

using namespace std::chrono_literals;
using Verdict = SourceLimits::Verdict;

const base::MonotonicTime kNow(1000s);

sockaddr_in6 from(const std::string& address) {
  sockaddr_in6 made{};
  made.sin6_family = AF_INET6;
  EXPECT_EQ(inet_pton(AF_INET6, address.c_str(), &made.sin6_addr), 1);
  return made;
}

TEST(SourceLimits, OneNetworkCannotTakeTheOthersPlaces) {
  SourceLimits limits(Limits{});
  int accepted = 0;
  for (int i = 0; i < 10'000; ++i) {
    // Whatever address of its /64 it uses.
    const auto bad = from("2001:db8:bad::" + std::to_string(i % 9999));
    if (limits.admit(bad, true, kNow) != Verdict::Accept) continue;
    limits.opened(bad, kNow);
    limits.established();
    ++accepted;
  }
  EXPECT_EQ(accepted, 2000);
  EXPECT_EQ(limits.sources(), 1u);
  EXPECT_EQ(limits.admit(from("2001:db8:900d::1"), false, kNow), Verdict::Accept);
  // It goes on at the rate that is allowed, up to its share of connections.
  for (int second = 1; second <= 20; ++second) {
    const auto bad = from("2001:db8:bad::1");
    while (limits.admit(bad, true, kNow + second * 1s) == Verdict::Accept) {
      limits.opened(bad, kNow + second * 1s);
      limits.established();
      ++accepted;
    }
  }
  EXPECT_EQ(accepted, 5000);
}

TEST(SourceLimits, UnderLoadStrangersProveTheirAddress) {
  SourceLimits limits(Limits{});
  std::vector<SourceLimits::Account*> accounts;
  for (int i = 0; i < 256; ++i) {
    const auto one = from("2001:db8:" + std::to_string(i) + "::1");
    ASSERT_EQ(limits.admit(one, false, kNow), Verdict::Accept);
    accounts.push_back(&limits.opened(one, kNow));
  }
  EXPECT_EQ(limits.admit(from("2001:db8:f00::1"), false, kNow), Verdict::Retry);
  EXPECT_EQ(limits.admit(from("2001:db8:f00::1"), true, kNow), Verdict::Accept);
  limits.established();
  EXPECT_EQ(limits.admit(from("2001:db8:f00::1"), false, kNow), Verdict::Accept);
  limits.closed(*accounts[0], true);
  for (std::size_t i = 1; i < accounts.size(); ++i) limits.closed(*accounts[i], false);
  EXPECT_EQ(limits.connections(), 0u);
  EXPECT_EQ(limits.handshakes(), 0u);
}

TEST(SourceLimits, TheNumberOfConnectionsIsBounded) {
  SourceLimits limits({.connections_max = 3});
  SourceLimits::Account* last = nullptr;
  for (const char* address : {"2001:db8:1::1", "::ffff:192.0.2.1", "::ffff:192.0.2.2"}) {
    ASSERT_EQ(limits.admit(from(address), true, kNow), Verdict::Accept);
    last = &limits.opened(from(address), kNow);
  }
  EXPECT_EQ(limits.sources(), 3u);
  EXPECT_EQ(limits.admit(from("2001:db8:2::1"), true, kNow), Verdict::Refuse);
  limits.closed(*last, false);
  EXPECT_EQ(limits.admit(from("2001:db8:2::1"), true, kNow), Verdict::Accept);
}

TEST(SourceLimits, RemembersABoundedNumberOfSources) {
  SourceLimits limits({.sources_max = 100});
  for (int i = 0; i < 5000; ++i) {
    char address[40];
    std::snprintf(address, sizeof address, "2001:db8:%x::1", i);
    limits.admit(from(address), true, kNow);
  }
  EXPECT_EQ(limits.sources(), 100u);
  // Those with connections are not forgotten; the rest share an account.
  for (int i = 0; i < 300; ++i) {
    char address[40];
    std::snprintf(address, sizeof address, "2001:db9:%x::1", i);
    limits.opened(from(address), kNow);
  }
  EXPECT_EQ(limits.sources(), 100u);
  EXPECT_EQ(limits.connections(), 300u);
}

TEST(SourceLimits, BytesOfASourceAreLimited) {
  SourceLimits limits({.bytes_per_source_per_second = 1e6});
  auto& account = limits.opened(from("2001:db8::1"), kNow);
  std::size_t received = 0;
  while (limits.may_receive(account, 1000, kNow)) received += 1000;
  EXPECT_EQ(received, 1'000'000u);
  EXPECT_TRUE(limits.may_receive(account, 1000, kNow + 1ms));
  EXPECT_FALSE(limits.may_receive(account, 1000, kNow + 1ms));
}

TEST(SourceLimits, StreamsOfASourceAreLimited) {
  Limits settings;
  settings.streams_per_source_max = 3;
  SourceLimits limits(settings);
  auto& one = limits.opened(from("2001:db8::1"), kNow);
  auto& same = limits.opened(from("2001:db8::2"), kNow);
  EXPECT_TRUE(limits.may_open_stream(one) && limits.may_open_stream(same) &&
              limits.may_open_stream(one));
  EXPECT_FALSE(limits.may_open_stream(same));
  EXPECT_TRUE(limits.may_open_stream(limits.opened(from("2001:db8:1::1"), kNow)));
  limits.streams_closed(one, 2);
  EXPECT_TRUE(limits.may_open_stream(same));
}

TEST(SourceLimits, AnswersToOneSourceDoNotCostTheOthersTheirs) {
  Limits settings;
  settings.answers_per_source_per_second = 100;
  SourceLimits limits(settings);
  int answered = 0;
  for (int i = 0; i < 10'000; ++i) answered += limits.may_answer(from("2001:db8::1"), kNow);
  EXPECT_EQ(answered, 100);
  EXPECT_TRUE(limits.may_answer(from("2001:db8:1::1"), kNow));
  EXPECT_TRUE(limits.may_answer(from("2001:db8::1"), kNow + 10ms));
  EXPECT_FALSE(limits.may_answer(from("2001:db8::1"), kNow + 10ms));
}

TEST(SourceLimits, IsCrowdedBeforeItIsFull) {
  Limits settings;
  settings.connections_max = 10;
  SourceLimits limits(settings);
  for (int i = 0; i < 8; ++i) limits.opened(from("2001:db8::1"), kNow);
  EXPECT_FALSE(limits.crowded());
  limits.opened(from("2001:db8::1"), kNow);
  EXPECT_TRUE(limits.crowded());
}

}  // namespace
}  // namespace stoq::quic
