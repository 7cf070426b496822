#include "dns/answer_cache.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "dns/answer.hpp"
#include "dns/name.hpp"

namespace nexus::dns {
namespace {

using namespace std::chrono_literals;

constexpr base::MonotonicTime kStart{};

base::Bytes question(std::string_view name, Type type = Type::A, std::uint16_t id = 7) {
  return build_query(id, to_wire(name).value(), static_cast<std::uint16_t>(type));
}

// An answer as a server elsewhere gives it: from a zone of our own.
base::Bytes answer_to(const base::Bytes& asked, std::uint32_t ttl = 30) {
  ZoneInput input;
  input.zone = "example";
  input.server = "ns.example";
  input.ttl_seconds = ttl;
  input.services = {{"org", "www", {"192.0.2.7", "2001:db8::7"}, {}, {}, ""}};
  base::Bytes out(kUdpBytesMax);
  out.resize(answer(*Zone::build(input), asked, false, 0, out).bytes);
  return out;
}

std::uint32_t ttl_of(const base::Bytes& message) {
  const auto response = parse_response(message).value();
  return (response.answers.empty() ? response.authority : response.answers).front().ttl_seconds;
}

TEST(AnswerCache, AnAnswerAgesAndEnds) {
  AnswerCache cache(10);
  const auto asked = question("www.org.example");
  EXPECT_FALSE(cache.find(asked, kStart));
  cache.keep(asked, answer_to(asked), kStart);
  EXPECT_EQ(ttl_of(cache.find(asked, kStart).value()), 30u);
  EXPECT_EQ(ttl_of(cache.find(asked, kStart + 12s).value()), 18u);
  EXPECT_EQ(ttl_of(cache.find(asked, kStart + 29s).value()), 1u);
  EXPECT_FALSE(cache.find(asked, kStart + 30s));
  EXPECT_EQ(cache.size(), 0u);
}

TEST(AnswerCache, TheAskersIdAndSpellingComeBack) {
  AnswerCache cache(10);
  const auto asked = question("www.org.example");
  cache.keep(asked, answer_to(asked), kStart);
  const auto other = question("wWw.oRg.EXAMPLE", Type::A, 4711);
  const auto found = cache.find(other, kStart).value();
  EXPECT_EQ(found[0] << 8 | found[1], 4711);
  EXPECT_TRUE(std::equal(other.begin() + kHeaderBytes, other.begin() + kHeaderBytes + 17,
                         found.begin() + kHeaderBytes));
  EXPECT_EQ(parse_response(found)->answers.front().data, "192.0.2.7");
}

TEST(AnswerCache, OtherQuestionsAndOtherWishesAreOtherEntries) {
  AnswerCache cache(10);
  const auto asked = question("www.org.example");
  cache.keep(asked, answer_to(asked), kStart);
  EXPECT_FALSE(cache.find(question("www.org.example", Type::Aaaa), kStart));
  EXPECT_FALSE(cache.find(question("ww.org.example"), kStart));
  auto without_edns = asked;
  without_edns.resize(without_edns.size() - 11);
  without_edns[11] = 0;
  EXPECT_FALSE(cache.find(without_edns, kStart));
  auto checking_disabled = asked;
  checking_disabled[3] |= 0x10;
  EXPECT_FALSE(cache.find(checking_disabled, kStart));
}

TEST(AnswerCache, WhatDoesNotExistIsKeptAsLongAsItsSoaSays) {
  AnswerCache cache(10);
  for (const auto& asked : {question("no.org.example"), question("www.org.example", Type::Ptr)}) {
    cache.keep(asked, answer_to(asked, 600), kStart);
    EXPECT_TRUE(cache.find(asked, kStart + 59s));
    EXPECT_FALSE(cache.find(asked, kStart + 60s));
  }
  EXPECT_EQ(seconds_to_keep(answer_to(question("no.org.example"), 20)), 20u);
}

TEST(AnswerCache, FailuresTruncatedAndForeignAnswersAreNotKept) {
  AnswerCache cache(10);
  const auto asked = question("www.org.example");
  auto refused = answer_to(asked);
  refused[3] = static_cast<std::uint8_t>((refused[3] & 0xf0) | 2);
  cache.keep(asked, refused, kStart);
  auto truncated = answer_to(asked);
  truncated[2] |= 0x02;
  cache.keep(asked, truncated, kStart);
  cache.keep(asked, answer_to(question("no.org.example")), kStart);
  cache.keep(asked, answer_to(asked, 0), kStart);
  cache.keep(asked, {}, kStart);
  EXPECT_EQ(cache.size(), 0u);
}

TEST(AnswerCache, TheOneThatEndsFirstMakesRoom) {
  AnswerCache cache(2);
  const auto a = question("www.org.example"), b = question("www.org.example", Type::Aaaa);
  const auto c = question("no.org.example");
  cache.keep(a, answer_to(a, 10), kStart);
  cache.keep(b, answer_to(b, 30), kStart);
  cache.keep(c, answer_to(c, 20), kStart);
  EXPECT_EQ(cache.size(), 2u);
  EXPECT_FALSE(cache.find(a, kStart));
  EXPECT_TRUE(cache.find(b, kStart));
  EXPECT_TRUE(cache.find(c, kStart));
}

TEST(AnswerCache, NoCutOrChangedMessageLeadsOutOfBounds) {
  const auto asked = question("www.org.example", Type::Aaaa);
  const auto whole = answer_to(asked);
  for (std::size_t size = 0; size < whole.size(); ++size) {
    base::Bytes cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
    (void)seconds_to_keep(cut);
    (void)age_records(cut, 3);
    for (int bit = 0; bit < 8; ++bit) {
      auto changed = whole;
      changed[size] = static_cast<std::uint8_t>(changed[size] ^ (1 << bit));
      AnswerCache cache(1);
      cache.keep(asked, changed, kStart);
      (void)cache.find(asked, kStart + 1s);
    }
  }
}

}  // namespace
}  // namespace nexus::dns
