#include "datapath/service_driver.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>

#include <algorithm>
#include <array>
#include <base/random.hpp>
#include <cstdio>
#include <fstream>
#include <set>

#include "datapath/nft_rules.hpp"
#include "datapath/testing/node_fixture.hpp"

namespace hypermesh::datapath {
namespace {

using ::testing::AnyOf;
using ::testing::HasSubstr;

/// What nft prints, one rule a line.
std::string nft_output(const std::string& arguments) {
  std::string text;
  std::array<char, 4096> buffer;
  FILE* pipe = ::popen(("nft " + arguments + " 2>&1").c_str(), "r");
  while (const std::size_t got = std::fread(buffer.data(), 1, buffer.size(), pipe)) {
    text.append(buffer.data(), got);
  }
  ::pclose(pipe);
  return text;
}

class ServiceTest : public testing::NodeTest {
 protected:
  struct Pod {
    UniqueFd netns;
    PodAddresses at;
    std::unique_ptr<testing::Responder> on6, on4;
  };

  void SetUp() override {
    NodeTest::SetUp();
    start_node();
    pods_.emplace(open_pods());
    driver_.emplace(identity_);
  }
  void TearDown() override {
    running_.clear();
    NodeTest::TearDown();
  }
  /// Pod `index` listens on port 8080 in both families and says "pod-<index>".
  Pod& run_pod(std::uint32_t index) {
    Pod& pod = running_.emplace_back();
    pod.netns = std::move(*make_network_namespace());
    pod.at = pod_addresses(index);
    const auto attached = pods_->attach({fmt::format("uid-{}", index), pod.netns.get(), pod.at});
    EXPECT_TRUE(attached) << attached.error().describe();
    const std::string text = fmt::format("pod-{}", index);
    pod.on6 = std::make_unique<testing::Responder>(pod.netns.get(), pod.at.v6, 8080, text);
    pod.on4 = std::make_unique<testing::Responder>(pod.netns.get(), pod.at.v4, 8080, text);
    return pod;
  }
  /// Entries of both families for service number `offset`, port 80, led to port 8080 of pods.
  std::vector<ServiceEntry> service(std::uint32_t offset, const std::vector<std::uint32_t>& pods,
                                    IpProtocol protocol = IpProtocol::Tcp) {
    std::vector<ServiceEntry> entries(2);
    entries[0].at = {service6(offset), 80};
    entries[1].at = {service4(offset), 80};
    for (ServiceEntry& entry : entries) {
      entry.protocol = protocol;
      entry.name = fmt::format("default/web{}:http", offset);
      for (const std::uint32_t pod : pods) {
        const PodAddresses at = pod_addresses(pod);
        entry.backends.push_back({entry.at.address.is_v6() ? at.v6 : at.v4, 8080});
      }
    }
    return entries;
  }
  IpAddress service6(std::uint32_t offset) {
    return identity_.cluster.services6().address.plus(offset);
  }
  IpAddress service4(std::uint32_t offset) {
    return identity_.cluster.services4().address.plus(offset);
  }
  base::Result<> apply(const std::vector<ServiceEntry>& entries) {
    TRY(const ServiceTable table, ServiceTable::make(entries));
    TRY(const auto inside, InNetworkNamespace::enter(node_->netns()));
    return driver_->apply(table);
  }
  std::string in_node(const std::string& arguments) {
    const auto inside = InNetworkNamespace::enter(node_->netns());
    return nft_output(arguments);
  }
  std::set<std::string> answers(int from, const IpAddress& at, int count) {
    std::set<std::string> seen;
    for (int i = 0; i < count; ++i) {
      const auto answer = testing::ask_tcp(from, at, 80);
      seen.insert(answer ? answer->substr(0, answer->find(' ')) : answer.error().describe());
    }
    return seen;
  }

  std::optional<PodNetwork> pods_;
  std::optional<ServiceTableDriver> driver_;
  std::vector<Pod> running_;
};

TEST_F(ServiceTest, EveryBackendAnswersTheMachineTheNodeAndAPodInBothFamilies) {
  running_.reserve(4);
  for (std::uint32_t pod : {1, 2, 3}) run_pod(pod);
  const Pod& client = run_pod(4);
  const auto applied = apply(service(5, {1, 2, 3}));
  ASSERT_TRUE(applied) << applied.error().describe();
  const std::set<std::string> all{"pod-1", "pod-2", "pod-3"};
  for (const int from : {machine_.get(), node_->netns(), client.netns.get()}) {
    for (const IpAddress& at : {service6(5), service4(5)}) {
      EXPECT_EQ(answers(from, at, 60), all) << at.to_string();
    }
  }
}

TEST_F(ServiceTest, TheBackendSeesTheClientsOwnAddress) {
  running_.reserve(2);
  run_pod(1);
  const Pod& client = run_pod(2);
  ASSERT_TRUE(apply(service(5, {1})));
  EXPECT_EQ(testing::ask_tcp(machine_.get(), service6(5), 80), "pod-1 to fd12:3456:789a::1");
  EXPECT_EQ(testing::ask_tcp(client.netns.get(), service6(5), 80), "pod-1 to fd12:3456:789a:1::3");
  EXPECT_EQ(testing::ask_tcp(client.netns.get(), service4(5), 80), "pod-1 to 10.77.1.3");
}

TEST_F(ServiceTest, APodReachesItselfByItsService) {
  const Pod& pod = run_pod(1);
  ASSERT_TRUE(apply(service(5, {1})));
  EXPECT_EQ(testing::ask_tcp(pod.netns.get(), service6(5), 80), "pod-1 to fd12:3456:789a:1::1");
  EXPECT_EQ(testing::ask_tcp(pod.netns.get(), service4(5), 80), "pod-1 to 10.77.1.1");
}

TEST_F(ServiceTest, WithoutBackendsAndOnOtherPortsConnectionsAreRefusedAtOnce) {
  const Pod& client = run_pod(1);
  auto entries = service(5, {});
  std::ranges::copy(service(6, {1}), std::back_inserter(entries));
  ASSERT_TRUE(apply(entries));
  for (const int from : {machine_.get(), node_->netns(), client.netns.get()}) {
    for (const IpAddress& at : {service6(5), service4(5), service6(9), service4(9)}) {
      const auto answer = testing::ask_tcp(from, at, 80);
      ASSERT_FALSE(answer);
      EXPECT_THAT(answer.error().describe(), HasSubstr("Connection refused")) << at.to_string();
    }
    for (const IpAddress& at : {service6(6), service4(6)}) {
      const auto answer = testing::ask_tcp(from, at, 81);
      ASSERT_FALSE(answer);
      EXPECT_THAT(answer.error().describe(), HasSubstr("Connection refused")) << at.to_string();
      const auto udp = testing::ask_udp(from, at, 80);
      ASSERT_FALSE(udp);
      // The node's own socket is told so by send itself.
      EXPECT_THAT(udp.error().describe(),
                  AnyOf(HasSubstr("Connection refused"), HasSubstr("not permitted")))
          << at.to_string();
    }
  }
}

TEST_F(ServiceTest, AConnectionToAPodThatIsGoneIsRefusedAtOnce) {
  run_pod(1);
  ASSERT_TRUE(apply({}));
  running_.clear();
  ASSERT_TRUE(pods_->detach("uid-1"));
  for (const IpAddress& at : {pod_addresses(1).v6, pod_addresses(1).v4}) {
    const auto answer = testing::ask_tcp(machine_.get(), at, 80);
    ASSERT_FALSE(answer);
    EXPECT_THAT(answer.error().describe(), HasSubstr("Connection refused")) << at.to_string();
  }
}

TEST_F(ServiceTest, UdpIsBalancedAndMovesOnWhenItsBackendGoes) {
  running_.reserve(2);
  run_pod(1);
  run_pod(2);
  for (const bool v6 : {true, false}) {
    ASSERT_TRUE(apply(service(5, {1}, IpProtocol::Udp)));
    testing::UdpClient client(machine_.get(), v6 ? service6(5) : service4(5), 80);
    EXPECT_EQ(client.ask(), "pod-1");
    ASSERT_TRUE(apply(service(5, {1, 2}, IpProtocol::Udp)));
    EXPECT_EQ(client.ask(), "pod-1") << "a flow stays with its backend";
    ASSERT_TRUE(apply(service(5, {2}, IpProtocol::Udp)));
    EXPECT_EQ(client.ask(), "pod-2");
  }
}

TEST_F(ServiceTest, WithAffinityAClientKeepsItsBackend) {
  running_.reserve(3);
  for (std::uint32_t pod : {1, 2, 3}) run_pod(pod);
  auto sticky = [&](const std::vector<std::uint32_t>& pods) {
    auto entries = service(5, pods);
    for (ServiceEntry& entry : entries) entry.affinity_seconds = 600;
    return entries;
  };
  ASSERT_TRUE(apply(sticky({1, 2, 3})));
  for (const IpAddress& at : {service6(5), service4(5)}) {
    const auto first = answers(machine_.get(), at, 1);
    EXPECT_EQ(answers(machine_.get(), at, 20), first);
    // Other backends come and go; the client stays.
    const std::uint32_t kept = static_cast<std::uint32_t>(first.begin()->back() - '0');
    ASSERT_TRUE(apply(sticky({kept})));
    ASSERT_TRUE(apply(sticky({1, 2, 3})));
    EXPECT_EQ(answers(machine_.get(), at, 20), first);
    // Its own goes: another one takes over.
    const std::uint32_t other = kept == 1 ? 2 : 1;
    ASSERT_TRUE(apply(sticky({other})));
    EXPECT_EQ(answers(machine_.get(), at, 5), std::set{fmt::format("pod-{}", other)});
    ASSERT_TRUE(apply(sticky({1, 2, 3})));
  }
}

TEST_F(ServiceTest, ANodePortAnswersOnTheNodesOwnAddresses) {
  run_pod(1);
  auto entries = service(5, {1});
  for (ServiceEntry& entry : entries) entry.node_port = 30080;
  ASSERT_TRUE(apply(entries));
  const NodeAddresses own = identity_.addresses();
  EXPECT_EQ(testing::ask_tcp(machine_.get(), own.node6, 30080), "pod-1 to fd12:3456:789a::1");
  EXPECT_EQ(testing::ask_tcp(machine_.get(), own.node4, 30080), "pod-1 to 10.77.0.1");
  for (ServiceEntry& entry : entries) entry.node_port = 30081;
  ASSERT_TRUE(apply(entries));
  EXPECT_FALSE(testing::ask_tcp(machine_.get(), own.node6, 30080));
  EXPECT_EQ(testing::ask_tcp(machine_.get(), own.node6, 30081), "pod-1 to fd12:3456:789a::1");
}

TEST_F(ServiceTest, WhatLeavesTheClusterHasTheNodesAddress) {
  const Pod& pod = run_pod(1);
  ASSERT_TRUE(apply({}));
  auto socket = *NetlinkSocket::open(NETLINK_ROUTE);
  NetlinkBatch batch;
  const IpAddress outside6 = *IpAddress::parse("2001:db8::7"),
                  outside4 = *IpAddress::parse("192.0.2.7");
  add_address(batch, 1, IpPrefix::host(outside6));
  add_address(batch, 1, IpPrefix::host(outside4));
  (void)socket.send(batch);  // there already when the test runs again
  ASSERT_TRUE(await_local(socket, outside6));
  const testing::Responder on6(machine_.get(), outside6, 5000, "world");
  const testing::Responder on4(machine_.get(), outside4, 5000, "world");
  EXPECT_EQ(testing::ask_tcp(pod.netns.get(), outside6, 5000), "world to fd12:3456:789a:1::1");
  EXPECT_EQ(testing::ask_tcp(pod.netns.get(), outside4, 5000), "world to 10.77.1.1");
}

TEST_F(ServiceTest, APodCannotSendFromAnAddressThatIsNotItsOwn) {
  const Pod& liar = run_pod(2);
  ASSERT_TRUE(apply({}));
  const testing::Responder node(node_->netns(), identity_.addresses().node4, 9000, "node");
  EXPECT_TRUE(testing::ask_udp(liar.netns.get(), identity_.addresses().node4, 9000));
  EXPECT_EQ(in_node("insert rule inet hypermesh refuse-prerouting ip saddr 10.77.1.10 counter"),
            "");
  {
    const auto inside = InNetworkNamespace::enter(liar.netns.get());
    nft_output("add table ip lie");
    nft_output("add chain ip lie out '{ type nat hook postrouting priority 100; }'");
    nft_output("add rule ip lie out snat to 10.77.1.10");
  }
  EXPECT_TRUE(testing::say_udp(liar.netns.get(), identity_.addresses().node4, 9000));
  EXPECT_THAT(in_node("list chain inet hypermesh refuse-prerouting"),
              HasSubstr("counter packets 0 bytes 0"));
  EXPECT_EQ(in_node("flush chain inet hypermesh guard"), "");
  EXPECT_TRUE(testing::say_udp(liar.netns.get(), identity_.addresses().node4, 9000));
  EXPECT_THAT(in_node("list chain inet hypermesh refuse-prerouting"),
              HasSubstr("counter packets 1"))
      << "without the guard it would arrive";
}

TEST_F(ServiceTest, ATableOfAnotherClusterIsRefused) {
  auto entries = service(5, {1});
  entries[0].at.address = *IpAddress::parse("fd00::5");
  const auto applied = apply(entries);
  ASSERT_FALSE(applied);
  EXPECT_EQ(applied.error().code, base::Errc::InvalidArgument);
}

TEST_F(ServiceTest, AChangeHealsATableThatSomebodyElseRemoved) {
  run_pod(1);
  ASSERT_TRUE(apply(service(5, {1})));
  in_node("flush ruleset");
  ASSERT_TRUE(apply(service(6, {1})));
  EXPECT_EQ(answers(machine_.get(), service6(6), 1), std::set<std::string>{"pod-1"});
}

TEST_F(ServiceTest, RemoveLeavesNoTable) {
  ASSERT_TRUE(apply(service(5, {1})));
  {
    const auto inside = InNetworkNamespace::enter(node_->netns());
    ASSERT_TRUE(driver_->remove());
    ASSERT_TRUE(driver_->remove());
  }
  EXPECT_EQ(in_node("list tables"), "");
}

/// Rules without handles and counters, elements in order: two equal tables print equally.
std::multiset<std::string> canonical(const std::string& listing) {
  std::multiset<std::string> lines;
  std::string section;
  std::size_t start = 0;
  while (start < listing.size()) {
    const std::size_t end = std::min(listing.find('\n', start), listing.size());
    std::string line = listing.substr(start, end - start);
    start = end + 1;
    if (line.starts_with("\t\t")) {
      // Elements of a set come in the order of a hash.
      std::string word;
      for (const char c : line + ",") {
        if (c == ',' || c == '{' || c == '}' || c == '=') {
          while (!word.empty() && (word.back() == ' ' || word.back() == '\t')) word.pop_back();
          word.erase(0, std::min(word.find_first_not_of(" \t"), word.size()));
          if (!word.empty()) lines.insert(section + " | " + word);
          word.clear();
        } else {
          word.push_back(c);
        }
      }
    } else if (line.starts_with("\t")) {
      section = line;
      lines.insert(line);
    }
  }
  return lines;
}

// Whatever the way from one table to the next, the kernel ends up with what a fresh start would
// have made.
TEST_F(ServiceTest, ChangesEndWhereAFreshTableWould) {
  base::SeededRng rng(7);
  std::vector<ServiceEntry> last;
  for (int round = 0; round < 60; ++round) {
    std::vector<ServiceEntry> entries;
    std::set<std::uint16_t> node_ports;
    for (std::uint32_t offset = 1; offset <= 6; ++offset) {
      if (rng.below(4) == 0) continue;
      std::vector<std::uint32_t> pods;
      for (std::uint32_t pod = 1; pod <= 5; ++pod) {
        if (rng.below(3) == 0) pods.push_back(pod);
      }
      auto some = service(offset, pods, rng.below(3) == 0 ? IpProtocol::Udp : IpProtocol::Tcp);
      const auto node_port = static_cast<std::uint16_t>(30000 + rng.below(4));
      const bool exposed = rng.below(2) == 0 && node_ports.insert(node_port).second;
      const std::uint32_t affinity = rng.below(3) == 0 ? 100 * (1 + rng.below(2)) : 0;
      for (ServiceEntry& entry : some) {
        if (exposed) entry.node_port = node_port;
        entry.affinity_seconds = affinity;
        entries.push_back(entry);
      }
    }
    const auto applied = apply(entries);
    ASSERT_TRUE(applied) << "round " << round << ": " << applied.error().describe();
    last = entries;
    // The driver heals silently; here every change itself must have been accepted.
    if (round % 10 != 9) continue;
    const auto changed = canonical(in_node("list table inet hypermesh"));
    ServiceTableDriver fresh(identity_);
    {
      const auto inside = InNetworkNamespace::enter(node_->netns());
      ASSERT_TRUE(fresh.apply(*ServiceTable::make(entries)));
    }
    EXPECT_EQ(canonical(in_node("list table inet hypermesh")), changed) << "round " << round;
  }
}

}  // namespace
}  // namespace hypermesh::datapath
