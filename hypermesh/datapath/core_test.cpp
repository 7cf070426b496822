// The parts that decide: the address plan, the codecs, the rules as text.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include <base/random.hpp>
#include <set>

#include "datapath/compile_services.hpp"
#include "datapath/conntrack_messages.hpp"
#include "datapath/nft_rules.hpp"
#include "datapath/route_messages.hpp"

namespace hypermesh::datapath {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

ClusterPrefixes cluster() {
  return {*IpPrefix::parse("fd12:3456:789a::/48"), *IpPrefix::parse("10.77.0.0/16")};
}
NodeIdentity node(std::uint16_t index = 1) {
  return {.name = "n1", .index = index, .cluster = cluster(), .dev = true};
}

TEST(IpAddress, TextComesBack) {
  for (const char* text : {"::", "::1", "fd12:3456:789a:ffff::5", "10.0.0.1", "255.255.255.255"}) {
    const auto address = IpAddress::parse(text);
    ASSERT_TRUE(address) << text;
    EXPECT_EQ(address->to_string(), text);
    EXPECT_EQ(*IpAddress::from_bytes(address->bytes()), *address);
  }
  base::SeededRng rng(1);
  for (int i = 0; i < 2'000; ++i) {
    std::array<std::uint8_t, 16> bytes;
    rng.fill(bytes);
    const auto address = *IpAddress::from_bytes(base::BytesView(bytes).first(i % 2 == 0 ? 16 : 4));
    EXPECT_EQ(IpAddress::parse(address.to_string()), address);
  }
}

TEST(IpAddress, WhatIsNoAddressIsRefused) {
  for (const std::string& text : std::vector<std::string>{
           "", "1.2.3", "1.2.3.4.5", "::g", "fe80::1%eth0", "[::1]", "10.0.0.1/8",
           std::string("10.0.0.1\0x", 10), std::string(200, '1')}) {
    EXPECT_FALSE(IpAddress::parse(text)) << text;
  }
  EXPECT_FALSE(IpAddress::from_bytes(base::BytesView{}));
}

TEST(IpPrefix, ContainsAndOverlaps) {
  const IpPrefix wide = *IpPrefix::parse("10.0.0.0/8"), narrow = *IpPrefix::parse("10.7.0.0/16");
  EXPECT_TRUE(wide.overlaps(narrow));
  EXPECT_TRUE(narrow.overlaps(wide));
  EXPECT_TRUE(narrow.contains(*IpAddress::parse("10.7.255.255")));
  EXPECT_FALSE(narrow.contains(*IpAddress::parse("10.8.0.0")));
  EXPECT_FALSE(wide.contains(*IpAddress::parse("fd00::")));
  EXPECT_TRUE(IpPrefix::parse("::/0")->contains(*IpAddress::parse("fd00::1")));
  EXPECT_FALSE(IpPrefix::parse("10.7.0.1/16")) << "bits after the prefix";
  for (const char* text :
       {"10.0.0.0", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/", "fd00::/129", "fd00::/x"}) {
    EXPECT_FALSE(IpPrefix::parse(text)) << text;
  }
}

TEST(AddressPlan, ADrawAvoidsTheMachinesRoutes) {
  const std::vector<IpPrefix> taken{
      *IpPrefix::parse("0.0.0.0/0"), *IpPrefix::parse("::/0"), *IpPrefix::parse("10.0.0.0/9"),
      *IpPrefix::parse("10.200.3.0/24"), *IpPrefix::parse("fd00::/16")};
  std::set<std::string> drawn;
  for (std::uint64_t seed = 0; seed < 500; ++seed) {
    base::SeededRng rng(seed);
    const auto prefixes = draw_cluster_prefixes(rng, taken);
    ASSERT_TRUE(prefixes);
    EXPECT_TRUE(ClusterPrefixes::make(prefixes->v6, prefixes->v4));
    for (const IpPrefix& route : taken) {
      if (route.length == 0) continue;
      EXPECT_FALSE(route.overlaps(prefixes->v4)) << prefixes->v4.to_string();
      EXPECT_FALSE(route.overlaps(prefixes->v6)) << prefixes->v6.to_string();
    }
    drawn.insert(prefixes->v6.to_string());
  }
  EXPECT_GT(drawn.size(), 490u) << "prefixes are random";
}

TEST(AddressPlan, ARouteToAllOfTenIsOverriddenButNothingNarrower) {
  std::vector<IpPrefix> taken{*IpPrefix::parse("10.0.0.0/8")};
  for (int second = 0; second < 255; ++second) {
    taken.push_back(IpPrefix::of(IpAddress::v4(10, static_cast<std::uint8_t>(second), 9, 0), 24));
  }
  base::SeededRng rng(1);
  EXPECT_EQ(draw_cluster_prefixes(rng, taken)->v4.to_string(), "10.255.0.0/16");
  taken.push_back(*IpPrefix::parse("10.255.128.0/24"));
  EXPECT_EQ(draw_cluster_prefixes(rng, taken).error().code, base::Errc::ResourceExhausted);
  const std::vector<IpPrefix> all{*IpPrefix::parse("fc00::/7")};
  EXPECT_EQ(draw_cluster_prefixes(rng, all).error().code, base::Errc::ResourceExhausted);
}

TEST(AddressPlan, RangesOfNodesPodsAndServicesAreDisjoint) {
  std::set<IpAddress> seen{cluster().machine6(), cluster().machine4()};
  for (std::uint32_t index = 1; index <= kNodeIndexMax; ++index) {
    const auto own = *addresses_of_node(cluster(), index);
    for (const IpAddress& address : {own.node6, own.node4}) {
      EXPECT_TRUE(seen.insert(address).second);
      EXPECT_TRUE((address.is_v6() ? own.pods6 : own.pods4).contains(address));
      EXPECT_FALSE(pod_index_of(own, address)) << "the node is no pod";
    }
    EXPECT_FALSE(cluster().services6().overlaps(own.pods6));
    EXPECT_FALSE(cluster().services4().overlaps(own.pods4));
    for (const std::uint32_t pod : {1u, 2u, 100u, 253u}) {
      const auto at = *addresses_of_pod(own, pod);
      EXPECT_TRUE(seen.insert(at.v6).second && seen.insert(at.v4).second);
      EXPECT_EQ(pod_index_of(own, at.v6), pod);
      EXPECT_EQ(pod_index_of(own, at.v4), pod);
    }
  }
  EXPECT_FALSE(addresses_of_node(cluster(), 0));
  EXPECT_FALSE(addresses_of_node(cluster(), 240));
  const auto own = *addresses_of_node(cluster(), 1);
  EXPECT_FALSE(addresses_of_pod(own, 0));
  EXPECT_FALSE(addresses_of_pod(own, 254));
  EXPECT_FALSE(pod_index_of(own, *IpAddress::parse("10.77.1.255")));
  EXPECT_FALSE(pod_index_of(own, *IpAddress::parse("10.77.2.7")));
  EXPECT_FALSE(pod_index_of(own, *IpAddress::parse("fd12:3456:789a:1::1:2")));
}

TEST(AddressPlan, IsAsDocumented) {
  const auto own = *addresses_of_node(cluster(), 3);
  EXPECT_EQ(own.pods6.to_string(), "fd12:3456:789a:3::/64");
  EXPECT_EQ(own.pods4.to_string(), "10.77.3.0/24");
  EXPECT_EQ(own.node6.to_string(), "fd12:3456:789a:3::1");
  EXPECT_EQ(own.node4.to_string(), "10.77.3.1");
  EXPECT_EQ(cluster().services6().to_string(), "fd12:3456:789a:ffff::/112");
  EXPECT_EQ(cluster().services4().to_string(), "10.77.240.0/20");
  EXPECT_FALSE(ClusterPrefixes::make(*IpPrefix::parse("2001:db8::/48"), cluster().v4));
  EXPECT_FALSE(ClusterPrefixes::make(cluster().v6, *IpPrefix::parse("10.0.0.0/8")));
  EXPECT_FALSE(ClusterPrefixes::make(cluster().v4, cluster().v6));
}

TEST(IndexAllocator, AGivenBackIndexIsTheLastToBeUsedAgain) {
  IndexAllocator allocator(4);
  EXPECT_EQ(allocator.allocate(), 1);
  EXPECT_EQ(allocator.allocate(), 2);
  allocator.release(1);
  EXPECT_EQ(allocator.allocate(), 3);
  EXPECT_EQ(allocator.allocate(), 4);
  EXPECT_EQ(allocator.allocate(), 1);
  EXPECT_EQ(allocator.allocate().error().code, base::Errc::ResourceExhausted);
  allocator.release(3);
  EXPECT_TRUE(allocator.reserve(3));
  EXPECT_EQ(allocator.reserve(3).error().code, base::Errc::AlreadyExists);
  EXPECT_EQ(allocator.reserve(5).error().code, base::Errc::InvalidArgument);
  EXPECT_EQ(allocator.reserve(0).error().code, base::Errc::InvalidArgument);
}

// Against a plain set: never one twice, never out of range, full exactly when all are used.
TEST(ServiceAddressAllocator, AgreesWithASetUnderRandomUse) {
  ServiceAddressAllocator allocator(cluster());
  base::SeededRng rng(3);
  std::set<IpAddress> used;
  for (int step = 0; step < 20'000; ++step) {
    const std::uint64_t choice = rng.below(10);
    if (choice < 5) {
      const auto got = allocator.allocate();
      ASSERT_EQ(got.has_value(), used.size() < 4094);
      if (!got) continue;
      ASSERT_TRUE(used.insert(got->v6).second);
      ASSERT_TRUE(cluster().services6().contains(got->v6));
      ASSERT_TRUE(cluster().services4().contains(got->v4));
    } else if (choice < 7) {
      const IpAddress wanted = cluster().services6().address.plus(1 + rng.below(4094));
      const auto got = allocator.reserve(wanted);
      ASSERT_EQ(got.has_value(), used.insert(wanted).second);
    } else if (!used.empty()) {
      auto victim = used.begin();
      std::advance(victim, rng.below(used.size()));
      allocator.release(*victim);
      used.erase(victim);
    }
  }
  while (used.size() < 4094) ASSERT_TRUE(used.insert(allocator.allocate()->v6).second);
  EXPECT_EQ(allocator.allocate().error().code, base::Errc::ResourceExhausted);
}

TEST(ServiceAddressAllocator, BothFamiliesAreOnePair) {
  ServiceAddressAllocator allocator(cluster());
  const auto pair = *allocator.reserve(*IpAddress::parse("10.77.240.9"));
  EXPECT_EQ(pair.v6.to_string(), "fd12:3456:789a:ffff::9");
  EXPECT_EQ(allocator.reserve(pair.v6).error().code, base::Errc::AlreadyExists);
  allocator.release(pair.v6);
  EXPECT_TRUE(allocator.reserve(pair.v4));
  for (const char* outside : {"10.77.240.0", "10.77.255.255", "10.77.1.1",
                              "fd12:3456:789a:ffff::", "::1", "fd12:3456:789a:ffff::1:1"}) {
    EXPECT_EQ(allocator.reserve(*IpAddress::parse(outside)).error().code,
              base::Errc::InvalidArgument)
        << outside;
  }
}

TEST(NodeIdentity, ComesBackFromItsFile) {
  const NodeIdentity identity = node(7);
  const std::string text = to_json(identity);
  EXPECT_THAT(text, HasSubstr("\"node_address\": \"fd12:3456:789a:7::1\""));
  EXPECT_EQ(parse_node_identity(text), identity);
}

TEST(NodeIdentity, AWrongFileIsRefusedByMember) {
  const std::string good = to_json(node());
  const auto with = [&](std::string_view from, std::string_view to) {
    std::string text = good;
    const auto at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    text.replace(at, from.size(), to);
    const auto parsed = parse_node_identity(text);
    return parsed ? std::string("accepted") : parsed.error().describe();
  };
  EXPECT_THAT(with("\"n1\"", "\"../n1\""), HasSubstr("\"name\""));
  EXPECT_THAT(with("\"n1\"", "\"-n\""), HasSubstr("\"name\""));
  EXPECT_THAT(with("\"index\": 1", "\"index\": 240"), HasSubstr("\"index\""));
  EXPECT_THAT(with("\"index\": 1", "\"index\": 0"), HasSubstr("index"));
  EXPECT_THAT(with("\"index\": 1", "\"index\": -1"), HasSubstr("\"index\""));
  EXPECT_THAT(with("fd12:3456:789a::/48", "2001:db8::/48"), HasSubstr("RFC 4193"));
  EXPECT_THAT(with("\"10.77.1.1\"", "\"10.77.2.1\""), HasSubstr("\"node_address4\" is 10.77.2.1"));
  EXPECT_THAT(with("\"dev\": true", "\"dev\": 1"), HasSubstr("\"dev\""));
  EXPECT_THAT(with("\"dev\"", "\"dve\""), HasSubstr("\"dve\" is not a known member"));
  EXPECT_FALSE(parse_node_identity("[]"));
  EXPECT_FALSE(parse_node_identity("{"));
}

TEST(Netlink, AMessageIsReadAsItWasWritten) {
  NetlinkBatch batch;
  add_veth(batch, {"hm0", {2, 0, 0, 0, 0, 1}}, {"eth0", {2, 0, 0, 0, 0, 2}}, 7, 1400);
  change_link(batch, 5, {.up = true, .alias = "mine"});
  NetlinkReader reader(batch.bytes());
  const auto first = *reader.next();
  ASSERT_TRUE(first);
  EXPECT_EQ(first->type, RTM_NEWLINK);
  EXPECT_EQ(first->sequence, 1u);
  const auto link = **parse_link(*first);
  EXPECT_EQ(link.name, "hm0");
  EXPECT_EQ(link.kind, "veth");
  const auto second = *reader.next();
  EXPECT_EQ(second->sequence, 2u);
  EXPECT_EQ((**parse_link(*second)).alias, "mine");
  EXPECT_EQ((**parse_link(*second)).index, 5u);
  EXPECT_FALSE(*reader.next());
}

TEST(Netlink, LengthsThatDoNotFitAreDataLoss) {
  NetlinkBatch batch;
  change_link(batch, 5, {.alias = "mine"});
  const base::Bytes whole(batch.bytes().begin(), batch.bytes().end());
  for (std::size_t size = 1; size < whole.size(); ++size) {
    NetlinkReader reader(base::BytesView(whole).first(size));
    EXPECT_FALSE(reader.next()) << size;
  }
  // Every byte changed to every extreme: read or refused, never beyond the end (AddressSanitizer
  // watches).
  for (std::size_t at = 0; at < whole.size(); ++at) {
    for (const std::uint8_t value : {0, 1, 0x7f, 0xff}) {
      base::Bytes bytes = whole;
      bytes[at] = value;
      NetlinkReader reader(bytes);
      for (;;) {
        const auto message = reader.next();
        if (!message || !*message) break;
        (void)parse_link(**message);
        (void)parse_route(**message);
        (void)parse_answer(**message);
        (void)parse_flow(**message);
      }
    }
  }
}

TEST(Netlink, TheKernelsReasonIsRead) {
  NetlinkWriter writer;
  struct Answer {
    nlmsgerr error;
  } answer{};
  answer.error.error = -17;
  writer.begin(NLMSG_ERROR, NLM_F_CAPPED | NLM_F_ACK_TLVS, answer);
  writer.text(NLMSGERR_ATTR_MSG, "name is taken");
  writer.end();
  NetlinkReader reader(writer.bytes());
  const auto read = parse_answer(**reader.next());
  ASSERT_TRUE(read);
  EXPECT_EQ(read->error_number, 17);
  EXPECT_EQ(read->reason, "name is taken");
}

nexus::ServicePort web() {
  return {.service = "default/web:http",
          .address = "10.77.240.5",
          .port = 80,
          .backends = {{"10.77.1.3", 8080}, {"10.77.1.2", 8080}, {"10.77.1.3", 8080}}};
}

TEST(ServiceTable, IsOneForm) {
  nexus::ServicePort dns = web();
  dns.protocol = nexus::Protocol::Udp;
  dns.service = "kube/dns:dns";
  const auto one = *compile_services({web(), dns}), other = *compile_services({dns, web()});
  EXPECT_EQ(one, other);
  EXPECT_EQ(encode(one), encode(other));
  ASSERT_EQ(one.entries()[0].backends.size(), 2u) << "a backend counts once";
  EXPECT_EQ(decode_service_table(encode(one)), one);
}

TEST(ServiceTable, WhatCannotBeServedIsRefusedByName) {
  const auto refused = [](const auto& change) {
    nexus::ServicePort port = web();
    change(port);
    const auto table = compile_services({port});
    return table ? std::string("accepted") : table.error().describe();
  };
  using Port = nexus::ServicePort;
  EXPECT_THAT(refused([](Port& p) { p.service = "a\" } drop"; }), HasSubstr("name"));
  EXPECT_THAT(refused([](Port& p) { p.service = "a\nb"; }), HasSubstr("name"));
  EXPECT_THAT(refused([](Port& p) { p.service.assign(400, 'a'); }), HasSubstr("330"));
  EXPECT_THAT(refused([](Port& p) { p.address = "web"; }), HasSubstr("default/web:http"));
  EXPECT_THAT(refused([](Port& p) { p.address = "0.0.0.0"; }), HasSubstr("no address"));
  EXPECT_THAT(refused([](Port& p) { p.address = "127.0.0.1"; }), HasSubstr("no address"));
  EXPECT_THAT(refused([](Port& p) { p.address = "224.0.0.1"; }), HasSubstr("no address"));
  EXPECT_THAT(refused([](Port& p) { p.port = 0; }), HasSubstr("port 0"));
  EXPECT_THAT(refused([](Port& p) { p.node_port = 8443; }), HasSubstr("30000 to 32767"));
  EXPECT_THAT(refused([](Port& p) { p.affinity_seconds = 100'000; }), HasSubstr("86400"));
  EXPECT_THAT(refused([](Port& p) { p.backends[0].address = "fd00::1"; }),
              HasSubstr("[fd00::1]:8080"));
  EXPECT_THAT(refused([](Port& p) { p.backends[0].address = "127.0.0.1"; }), HasSubstr("backend"));
  EXPECT_THAT(refused([](Port& p) { p.backends[0].port = 0; }), HasSubstr("backend"));
  EXPECT_THAT(compile_services({web(), web()}).error().describe(),
              HasSubstr("also the address of"));
  nexus::ServicePort one = web(), two = web();
  one.node_port = two.node_port = 30000;
  two.port = 81;
  EXPECT_THAT(compile_services({one, two}).error().describe(), HasSubstr("node port 30000"));
}

TEST(ServiceTable, OnlyServicesOfTheClusterPass) {
  EXPECT_TRUE(check_services_of(*compile_services({web()}), cluster()));
  nexus::ServicePort stray = web();
  stray.address = "8.8.8.8";
  EXPECT_FALSE(check_services_of(*compile_services({stray}), cluster()));
}

TEST(ServiceTable, DamagedBytesAreRefused) {
  const base::Bytes whole = encode(*compile_services({web()}));
  for (std::size_t size = 0; size < whole.size(); ++size) {
    EXPECT_FALSE(decode_service_table(base::BytesView(whole).first(size))) << size;
  }
  base::Bytes longer = whole;
  longer.push_back(0);
  EXPECT_FALSE(decode_service_table(longer));
  base::Bytes later = whole;
  later[0] = 9;
  EXPECT_EQ(decode_service_table(later).error().code, base::Errc::Unsupported);
  base::Bytes many = whole;
  many[1] = 0xff;
  EXPECT_FALSE(decode_service_table(many));
}

TEST(NftRules, AServiceIsAChainAndAnElement) {
  const std::string change = ruleset_change(node(), {}, *compile_services({web()}));
  EXPECT_EQ(
      change,
      "add chain inet hypermesh tcp-10.77.240.5-80\n"
      "add rule inet hypermesh tcp-10.77.240.5-80 meta l4proto tcp dnat ip to numgen random mod 2 "
      "map "
      "{ 0 : 10.77.1.2 . 8080, 1 : 10.77.1.3 . 8080 } comment \"default/web:http\"\n"
      "add element inet hypermesh services4 { 10.77.240.5 . tcp . 80 : goto tcp-10.77.240.5-80 }\n"
      "add element inet hypermesh hairpin4 { 10.77.1.2 . 10.77.1.2 }\n"
      "add element inet hypermesh hairpin4 { 10.77.1.3 . 10.77.1.3 }\n");
}

TEST(NftRules, AChangeTouchesOnlyTheServiceThatChanged) {
  std::vector<nexus::ServicePort> many;
  for (int i = 1; i < 100; ++i) {
    nexus::ServicePort port = web();
    port.address = fmt::format("10.77.241.{}", i);
    many.push_back(port);
  }
  const auto from = *compile_services(many);
  EXPECT_EQ(ruleset_change(node(), from, from), "");
  many[6].backends.pop_back();
  many[6].backends.pop_back();
  EXPECT_EQ(ruleset_change(node(), from, *compile_services(many)),
            "flush chain inet hypermesh tcp-10.77.241.7-80\n"
            "add rule inet hypermesh tcp-10.77.241.7-80 meta l4proto tcp dnat ip to 10.77.1.3:8080 "
            "comment \"default/web:http\"\n");
  many[6].backends.clear();
  EXPECT_THAT(ruleset_change(node(), from, *compile_services(many)),
              HasSubstr("delete element inet hypermesh services4 { 10.77.241.7 . tcp . 80 }\n"))
      << "without backends nothing leads to it";
}

TEST(NftRules, IPv6NamesHaveNoColons) {
  nexus::ServicePort port = web();
  port.address = "fd12:3456:789a:ffff::5";
  port.backends = {{"fd12:3456:789a:1::2", 8080}};
  EXPECT_THAT(
      ruleset_change(node(), {}, *compile_services({port})),
      HasSubstr(
          "add rule inet hypermesh tcp-fd12_3456_789a_ffff__5-80 meta l4proto tcp dnat ip6 to "
          "[fd12:3456:789a:1::2]:8080"));
}

TEST(NftRules, OnlyUdpFlowsOfRemovedBackendsAreStale) {
  nexus::ServicePort tcp = web(), udp = web();
  udp.protocol = nexus::Protocol::Udp;
  const auto from = *compile_services({tcp, udp});
  tcp.backends.clear();
  udp.backends = {{"10.77.1.2", 8080}};
  const auto stale = stale_flows(from, *compile_services({tcp, udp}));
  ASSERT_EQ(stale.size(), 1u);
  EXPECT_EQ(stale[0].backend.address.to_string(), "10.77.1.3");
}

}  // namespace
}  // namespace hypermesh::datapath
