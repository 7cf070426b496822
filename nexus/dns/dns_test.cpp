#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <base/random.hpp>

#include "dns/answer.hpp"
#include "dns/name.hpp"

namespace nexus::dns {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::UnorderedElementsAre;

ZoneInput example() {
  ZoneInput input;
  input.server_addresses = {"fd00:1:2:1::1", "10.42.1.1"};
  input.reverse_zones = {*reverse_zone("fd00:1:2::/48"), *reverse_zone("10.42.0.0/16")};
  ServiceName web{"default", "web", {"fd00:1:2:ffff::20", "10.42.240.20"}, {{"http", "tcp", 80}},
                  {},        ""};
  ServiceName db{"prod", "db", {}, {{"sql", "tcp", 5432}}, {}, ""};
  for (int i = 0; i < 3; ++i) {
    db.endpoints.push_back(
        {"db-" + std::to_string(i), {"fd00:1:2:1::a" + std::to_string(i)}, {{"sql", "tcp", 5432}}});
  }
  ServiceName out{"default", "out", {}, {}, {}, "api.example.org"};
  input.services = {web, db, out};
  return input;
}

struct Asked {
  Answer answer;
  Response response;
};

Asked ask(const Zone& zone, std::string_view name, std::string_view type, bool tcp = false,
          std::size_t room = 65535) {
  base::Bytes out(room);
  const base::Bytes query = build_query(7, *to_wire(name), *parse_type(type));
  Asked asked;
  asked.answer = answer(zone, query, tcp, 0, out);
  auto response = parse_response(base::BytesView(out).first(asked.answer.bytes));
  EXPECT_TRUE(response) << response.error().message;
  if (response) asked.response = *response;
  return asked;
}

std::vector<std::string> data(const std::vector<ResourceRecord>& records) {
  std::vector<std::string> all;
  for (const auto& record : records) all.push_back(type_name(record.type) + " " + record.data);
  return all;
}

TEST(Dns, AServiceAnswersWithItsAddressesInBothFamilies) {
  const auto zone = Zone::build(example());
  EXPECT_THAT(data(ask(*zone, "web.default.mesh", "AAAA").response.answers),
              ElementsAre("AAAA fd00:1:2:ffff::20"));
  EXPECT_THAT(data(ask(*zone, "WEB.Default.mesh", "A").response.answers),
              ElementsAre("A 10.42.240.20"));
  EXPECT_TRUE(ask(*zone, "web.default.mesh", "AAAA").response.authoritative);
  EXPECT_THAT(data(ask(*zone, "web.default.mesh", "TXT").response.answers),
              ElementsAre(R"(TXT "service=web" "namespace=default" "ready=0")"));
}

TEST(Dns, AHeadlessServiceAnswersWithItsEndpoints) {
  const auto zone = Zone::build(example());
  EXPECT_THAT(
      data(ask(*zone, "db.prod.mesh", "AAAA").response.answers),
      UnorderedElementsAre("AAAA fd00:1:2:1::a0", "AAAA fd00:1:2:1::a1", "AAAA fd00:1:2:1::a2"));
  EXPECT_THAT(data(ask(*zone, "db-1.db.prod.mesh", "AAAA").response.answers),
              ElementsAre("AAAA fd00:1:2:1::a1"));
}

TEST(Dns, SrvComesWithTheAddressesOfItsTargets) {
  const auto zone = Zone::build(example());
  const auto asked = ask(*zone, "_http._tcp.web.default.mesh", "SRV");
  EXPECT_THAT(data(asked.response.answers), ElementsAre("SRV 0 10 80 web.default.mesh."));
  EXPECT_THAT(data(asked.response.additional),
              ElementsAre("AAAA fd00:1:2:ffff::20", "A 10.42.240.20"));
  EXPECT_EQ(ask(*zone, "_sql._tcp.db.prod.mesh", "SRV").response.answers.size(), 3u);
}

TEST(Dns, AddressesHaveNames) {
  const auto zone = Zone::build(example());
  EXPECT_THAT(data(ask(*zone, *reverse_name("fd00:1:2:ffff::20"), "PTR").response.answers),
              ElementsAre("PTR web.default.mesh."));
  EXPECT_THAT(data(ask(*zone, *reverse_name("10.42.240.20"), "PTR").response.answers),
              ElementsAre("PTR web.default.mesh."));
  EXPECT_THAT(data(ask(*zone, *reverse_name("fd00:1:2:1::a2"), "PTR").response.answers),
              ElementsAre("PTR db-2.db.prod.mesh."));
  EXPECT_EQ(ask(*zone, *reverse_name("fd00:1:2:1::ff"), "PTR").response.rcode, Rcode::NxDomain);
}

TEST(Dns, NegativeAnswersCarryTheSoa) {
  const auto zone = Zone::build(example());
  const auto no_name = ask(*zone, "nothing.default.mesh", "AAAA");
  EXPECT_EQ(no_name.response.rcode, Rcode::NxDomain);
  EXPECT_THAT(data(no_name.response.authority),
              ElementsAre("SOA ns.mesh. hostmaster.mesh. 1 7200 1800 86400 5"));
  const auto no_data = ask(*zone, "db.prod.mesh", "A");
  EXPECT_EQ(no_data.response.rcode, Rcode::NoError);
  EXPECT_TRUE(no_data.response.answers.empty());
  EXPECT_EQ(no_data.response.authority.size(), 1u);
  // Between a name and the apex nothing is missing.
  EXPECT_EQ(ask(*zone, "default.mesh", "A").response.rcode, Rcode::NoError);
  EXPECT_EQ(ask(*zone, "_tcp.web.default.mesh", "SRV").response.rcode, Rcode::NoError);
}

TEST(Dns, OtherZonesAreRefusedAndAliasesNamed) {
  const auto zone = Zone::build(example());
  const auto asked = ask(*zone, "example.org", "A");
  EXPECT_EQ(asked.answer.disposition, Disposition::Elsewhere);
  EXPECT_EQ(asked.response.rcode, Rcode::Refused);
  EXPECT_THAT(data(ask(*zone, "out.default.mesh", "A").response.answers),
              ElementsAre("CNAME api.example.org."));
  EXPECT_EQ(ask(*zone, "web.default.mesh", "ANY").response.answers.size(), 1u);
  EXPECT_EQ(ask(*zone, "mesh", "NS").response.answers.size(), 1u);
}

TEST(Dns, WhatDoesNotFitIsTruncatedOverUdpOnly) {
  ZoneInput input = example();
  ServiceName many{"default", "many", {}, {}, {}, ""};
  for (int i = 0; i < 100; ++i)
    many.endpoints.push_back(
        {"p" + std::to_string(i), {"fd00:1:2:1::" + std::to_string(1000 + i)}, {}});
  input.services.push_back(many);
  const auto zone = Zone::build(input);
  const auto udp = ask(*zone, "many.default.mesh", "AAAA");
  EXPECT_TRUE(udp.response.truncated);
  EXPECT_TRUE(udp.response.answers.empty());
  EXPECT_LE(udp.answer.bytes, kUdpBytesMax);
  EXPECT_EQ(ask(*zone, "many.default.mesh", "AAAA", true).response.answers.size(), 100u);
}

TEST(Dns, TheSpellingOfTheQuestionComesBack) {
  const auto zone = Zone::build(example());
  const base::Bytes query = build_query(9, *to_wire("wEb.DeFaUlT.mesh"), 28);
  base::Bytes out(1500);
  const Answer answered = answer(*zone, query, false, 0, out);
  ASSERT_GT(answered.bytes, query.size() - 11);
  EXPECT_TRUE(std::equal(query.begin() + 12, query.end() - 11, out.begin() + 12));
}

TEST(Dns, MalformedQuestionsGetTheirCode) {
  const auto zone = Zone::build(example());
  base::Bytes out(1500);
  const base::Bytes good = build_query(1, *to_wire("web.default.mesh"), 28);
  const auto code = [&](base::Bytes message) -> int {
    const Answer answered = answer(*zone, message, false, 0, out);
    return answered.disposition == Disposition::Drop ? -1 : static_cast<int>(answered.rcode);
  };
  EXPECT_EQ(code({}), -1);
  EXPECT_EQ(code({1, 2, 3}), -1);
  base::Bytes response = good;
  response[2] |= 0x80;
  EXPECT_EQ(code(response), -1);
  base::Bytes update = good;
  update[2] |= 5 << 3;
  EXPECT_EQ(code(update), static_cast<int>(Rcode::NotImp));
  base::Bytes two = good;
  two[5] = 2;
  EXPECT_EQ(code(two), static_cast<int>(Rcode::FormErr));
  base::Bytes version = good;
  version[version.size() - 5] = 1;
  EXPECT_EQ(code(version), static_cast<int>(Rcode::BadVers));
  base::Bytes chaos = good;
  chaos[chaos.size() - 12] = 3;
  EXPECT_EQ(code(chaos), static_cast<int>(Rcode::Refused));
  for (std::size_t cut = 12; cut < good.size(); ++cut) {
    EXPECT_EQ(code(base::Bytes(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(cut))),
              static_cast<int>(Rcode::FormErr))
        << cut;
  }
}

TEST(Dns, PointersOnlyLeadBackwards) {
  base::Bytes loop(16, 0);
  loop[12] = 0xc0;
  loop[13] = 12;
  std::size_t offset = 12;
  EXPECT_FALSE(read_name(loop, offset));
  loop[13] = 13;
  offset = 12;
  EXPECT_FALSE(read_name(loop, offset));
}

TEST(Dns, AnyBytesAreAnsweredWithinBounds) {
  const auto zone = Zone::build(example());
  base::SeededRng rng(5);
  base::Bytes out(65535);
  const base::Bytes good = build_query(1, *to_wire("_sql._tcp.db.prod.mesh"), 33);
  for (int i = 0; i < 20'000; ++i) {
    base::Bytes message = good;
    for (int k = 0; k < 4; ++k)
      message[rng.below(message.size())] = static_cast<std::uint8_t>(rng.u64());
    message.resize(rng.below(message.size() + 1));
    const Answer answered = answer(*zone, message, i % 2 == 0, 0, out);
    if (answered.disposition == Disposition::Answered)
      EXPECT_TRUE(parse_response(base::BytesView(out).first(answered.bytes)));
  }
}

TEST(Dns, NamesAndZones) {
  EXPECT_EQ(to_text(*to_wire("a.b")), "a.b");
  EXPECT_EQ(to_text(*to_wire("a.b.")), "a.b");
  for (const std::string& bad : {std::string("a..b"), "." + std::string("a"), std::string(64, 'x'),
                                 std::string("a.") + std::string(300, 'y')}) {
    EXPECT_FALSE(to_wire(bad)) << bad;
  }
  EXPECT_EQ(reverse_zone("10.42.0.0/16"), "42.10.in-addr.arpa");
  EXPECT_EQ(reverse_zone("fd00:1:2::/48"), "2.0.0.0.1.0.0.0.0.0.d.f.ip6.arpa");
  EXPECT_FALSE(reverse_zone("10.42.0.0/15"));
  EXPECT_FALSE(reverse_zone("x/8"));
}

}  // namespace
}  // namespace nexus::dns
