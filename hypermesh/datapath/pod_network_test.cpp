#include "datapath/pod_network.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>

#include "datapath/links.hpp"
#include "datapath/testing/node_fixture.hpp"

namespace hypermesh::datapath {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;
namespace fs = std::filesystem;

using testing::NodeTest;

TEST_F(NodeTest, TheMachineAndTheNodeReachEachOtherInBothFamilies) {
  start_node();
  const NodeAddresses own = identity_.addresses();
  const testing::Responder node6(node_->netns(), own.node6, 8443, "node");
  const testing::Responder node4(node_->netns(), own.node4, 8443, "node");
  EXPECT_EQ(testing::ask_tcp(machine_.get(), own.node6, 8443), "node to fd12:3456:789a::1");
  EXPECT_EQ(testing::ask_tcp(machine_.get(), own.node4, 8443), "node to 10.77.0.1");
  const testing::Responder machine6(machine_.get(), identity_.cluster.machine6(), 5000, "machine");
  const testing::Responder machine4(machine_.get(), identity_.cluster.machine4(), 5000, "machine");
  EXPECT_EQ(testing::ask_tcp(node_->netns(), identity_.cluster.machine6(), 5000),
            "machine to fd12:3456:789a:1::1");
  EXPECT_EQ(testing::ask_tcp(node_->netns(), identity_.cluster.machine4(), 5000),
            "machine to 10.77.1.1");
}

TEST_F(NodeTest, ThePodAnswersTheMachineTheNodeAndAnotherPodAtOnce) {
  start_node();
  PodNetwork pods = open_pods();
  const auto first = *make_network_namespace();
  const auto second = *make_network_namespace();
  ASSERT_TRUE(pods.attach({"uid-1", first.get(), pod_addresses(1)}));
  ASSERT_TRUE(pods.attach({"uid-2", second.get(), pod_addresses(2)}));
  const PodAddresses at = pod_addresses(1);
  const testing::Responder on6(first.get(), at.v6, 80, "pod");
  const testing::Responder on4(first.get(), at.v4, 80, "pod");
  EXPECT_EQ(testing::ask_tcp(machine_.get(), at.v6, 80), "pod to fd12:3456:789a::1");
  EXPECT_EQ(testing::ask_tcp(machine_.get(), at.v4, 80), "pod to 10.77.0.1");
  EXPECT_EQ(testing::ask_tcp(node_->netns(), at.v6, 80), "pod to fd12:3456:789a:1::1");
  EXPECT_EQ(testing::ask_tcp(node_->netns(), at.v4, 80), "pod to 10.77.1.1");
  EXPECT_EQ(testing::ask_tcp(second.get(), at.v6, 80), "pod to fd12:3456:789a:1::3");
  EXPECT_EQ(testing::ask_tcp(second.get(), at.v4, 80), "pod to 10.77.1.3");
  EXPECT_EQ(testing::ask_udp(machine_.get(), at.v6, 80), "pod");
}

TEST_F(NodeTest, ADetachedPodsLinkGoesWithItsNamespace) {
  start_node();
  PodNetwork pods = open_pods();
  auto pod = *make_network_namespace();
  ASSERT_TRUE(pods.attach({"uid-1", pod.get(), pod_addresses(1)}));
  EXPECT_THAT(*pods.list(), ElementsAre("uid-1"));
  ASSERT_TRUE(pods.detach("uid-1"));
  EXPECT_TRUE(pods.detach("uid-1")) << "detaching again is no error";
  {
    const auto inside = InNetworkNamespace::enter(node_->netns());
    EXPECT_THAT(*machine_routes(),
                ::testing::Not(::testing::Contains(IpPrefix::host(pod_addresses(1).v6))));
  }
  pod.reset();
  for (int i = 0; i < 5'000 && !pods.list()->empty(); ++i) ::usleep(1'000);
  EXPECT_THAT(*pods.list(), IsEmpty());
  EXPECT_TRUE(pods.detach("uid-1")) << "nor when there is nothing";
}

TEST_F(NodeTest, TheAddressesOfADetachedPodCanBeGivenToAnotherAtOnce) {
  start_node();
  PodNetwork pods = open_pods();
  const auto first = *make_network_namespace();
  const auto second = *make_network_namespace();
  ASSERT_TRUE(pods.attach({"uid-1", first.get(), pod_addresses(1)}));
  ASSERT_TRUE(pods.detach("uid-1"));
  ASSERT_TRUE(pods.attach({"uid-2", second.get(), pod_addresses(1)}));
  const testing::Responder on6(second.get(), pod_addresses(1).v6, 80, "second");
  const testing::Responder on4(second.get(), pod_addresses(1).v4, 80, "second");
  EXPECT_EQ(testing::ask_tcp(machine_.get(), pod_addresses(1).v6, 80),
            "second to fd12:3456:789a::1");
  EXPECT_EQ(testing::ask_tcp(machine_.get(), pod_addresses(1).v4, 80), "second to 10.77.0.1");
}

TEST_F(NodeTest, LinksOfPodsThatNobodyKnowsAreFoundAndRemoved) {
  start_node();
  PodNetwork pods = open_pods();
  const auto first = *make_network_namespace();
  const auto second = *make_network_namespace();
  ASSERT_TRUE(pods.attach({"uid-1", first.get(), pod_addresses(1)}));
  ASSERT_TRUE(pods.attach({"uid-2", second.get(), pod_addresses(2)}));
  EXPECT_THAT(*pods.remove_all_but({"uid-2"}), ElementsAre("uid-1"));
  EXPECT_THAT(*pods.list(), ElementsAre("uid-2"));
}

TEST_F(NodeTest, ALinkThatWasNeverFinishedIsRemovedToo) {
  start_node();
  PodNetwork pods = open_pods();
  const auto pod = *make_network_namespace();
  auto socket = *NetlinkSocket::open_in(node_->netns(), NETLINK_ROUTE);
  NetlinkBatch batch;
  add_veth(batch, {pod_link_name("uid-1"), {2, 0, 0, 0, 0, 1}}, {"eth0", {2, 0, 0, 0, 0, 2}},
           pod.get(), 1500);
  ASSERT_TRUE(socket.send(batch));
  EXPECT_THAT(*pods.remove_all_but({}), IsEmpty());
  EXPECT_FALSE(*find_link(socket, pod_link_name("uid-1")));
  EXPECT_TRUE(*find_link(socket, kUplinkName));
}

TEST_F(NodeTest, ALinkThatAnEarlierPodOfTheSameUidLeftIsReplaced) {
  start_node();
  PodNetwork pods = open_pods();
  const auto first = *make_network_namespace();
  const auto second = *make_network_namespace();
  ASSERT_TRUE(pods.attach({"uid-1", first.get(), pod_addresses(1)}));
  ASSERT_TRUE(pods.attach({"uid-1", second.get(), pod_addresses(1)}));
  const testing::Responder server(second.get(), pod_addresses(1).v6, 80, "second");
  EXPECT_EQ(testing::ask_tcp(node_->netns(), pod_addresses(1).v6, 80),
            "second to fd12:3456:789a:1::1");
}

TEST_F(NodeTest, AFailedAttachLeavesNoLink) {
  start_node();
  PodNetwork pods = open_pods();
  const auto pod = *make_network_namespace();
  ASSERT_TRUE(pods.attach({"uid-1", pod.get(), pod_addresses(1)}));
  const auto again = pods.attach({"uid-2", pod.get(), pod_addresses(2)});
  ASSERT_FALSE(again) << "the namespace has an eth0 already";
  EXPECT_EQ(again.error().code, base::Errc::AlreadyExists) << again.error().describe();
  EXPECT_THAT(*pods.list(), ElementsAre("uid-1"));
  EXPECT_FALSE(pods.attach(
      {"uid-3", pod.get(), *addresses_of_pod(*addresses_of_node(identity_.cluster, 2), 1)}))
      << "an address of another node";
  EXPECT_FALSE(pods.attach({"uid-3", -1, pod_addresses(3)}));
  EXPECT_THAT(*pods.list(), ElementsAre("uid-1"));
}

TEST_F(NodeTest, AKilledNodeLeavesNothingOnTheMachine) {
  const auto socket_before = machine_links();
  auto routes = [] { return machine_routes()->size(); };
  const std::size_t routes_before = routes();
  start_node();
  EXPECT_THAT(machine_links(), ::testing::Contains(machine_link_name(home_)));
  EXPECT_GT(routes(), routes_before);
  EXPECT_EQ(*read_sysctl("net/ipv4/ip_forward"), "0");
  EXPECT_EQ(*read_sysctl("net/ipv6/conf/all/forwarding"), "0");
  {
    PodNetwork pods = open_pods();
    const auto pod = *make_network_namespace();
    ASSERT_TRUE(pods.attach({"uid-1", pod.get(), pod_addresses(1)}));
    node_->kill();
  }
  ASSERT_TRUE(remove_machine_link(home_));
  EXPECT_EQ(machine_links(), socket_before);
  EXPECT_EQ(routes(), routes_before);
  EXPECT_TRUE(remove_machine_link(home_)) << "removing again is no error";
}

TEST_F(NodeTest, ANodeStartsAgainRightAfterAKill) {
  for (int round = 0; round < 3; ++round) {
    start_node();
    const testing::Responder node6(node_->netns(), identity_.addresses().node6, 53, "node");
    EXPECT_EQ(testing::ask_tcp(machine_.get(), identity_.addresses().node6, 53),
              "node to fd12:3456:789a::1");
    node_->kill();
  }
}

TEST_F(NodeTest, TheHomeIsInsideAndTheMachineSeesNoMount) {
  std::ofstream(home_ / "mark") << "here";
  start_node();
  const UniqueFd mounts = node_->mount_namespace();
  const std::string inside = "/proc/" + std::to_string(node_->pid()) + "/root/run/hypermesh/mark";
  EXPECT_TRUE(fs::exists(inside));
  std::ifstream own("/proc/self/mounts");
  const std::string text((std::istreambuf_iterator<char>(own)), {});
  EXPECT_THAT(text, ::testing::Not(HasSubstr("/run/hypermesh")));
  std::ifstream theirs("/proc/" + std::to_string(node_->pid()) + "/mounts");
  const std::string node_text((std::istreambuf_iterator<char>(theirs)), {});
  EXPECT_THAT(node_text, HasSubstr("/run/hypermesh"));
  EXPECT_THAT(node_text, ::testing::Not(HasSubstr("/sys/fs/cgroup/unified")));
}

TEST_F(NodeTest, AHomeBelowRunIsFoundInside) {
  fs::remove_all(home_);
  char name[] = "/run/hypermesh-node-test-XXXXXX";
  ASSERT_NE(::mkdtemp(name), nullptr);
  home_ = name;
  std::ofstream(home_ / "mark") << "here";
  start_node();
  EXPECT_TRUE(fs::exists("/proc/" + std::to_string(node_->pid()) + "/root/run/hypermesh/mark"));
}

TEST_F(NodeTest, AMachineThatTurnsIPv6OffForNewLinksReachesItsNode) {
  ASSERT_TRUE(write_sysctl("net/ipv6/conf/default/disable_ipv6", "1"));
  start_node();
  EXPECT_EQ(*read_sysctl("net/ipv6/conf/default/disable_ipv6"), "1");
  ASSERT_TRUE(write_sysctl("net/ipv6/conf/default/disable_ipv6", "0"));
  const testing::Responder node6(node_->netns(), identity_.addresses().node6, 8443, "node");
  EXPECT_EQ(testing::ask_tcp(machine_.get(), identity_.addresses().node6, 8443),
            "node to fd12:3456:789a::1");
}

TEST_F(NodeTest, ASocketOfTheMachineReachesItsLoopbackFromWithin) {
  start_node();
  const IpAddress loopback = *IpAddress::parse("127.0.0.1");
  const testing::Responder registry(machine_.get(), loopback, 5000, "registry");
  EXPECT_FALSE(testing::ask_tcp(node_->netns(), loopback, 5000)) << "not by the node's own network";
  const auto inside = InNetworkNamespace::enter(node_->netns());
  EXPECT_EQ(testing::ask_tcp(machine_.get(), loopback, 5000), "registry to 127.0.0.1");
}

TEST_F(NodeTest, WithoutANetworkOfItsOwnANodeStillHasItsAddresses) {
  PodNetwork pods = std::move(*PodNetwork::open(identity_.addresses()));
  const auto pod = *make_network_namespace();
  EXPECT_FALSE(pods.attach({"uid-1", pod.get(), pod_addresses(1)})) << "what the addresses are for";
  for (int times = 0; times < 2; ++times) {
    const auto added = add_node_addresses(identity_, home_);
    ASSERT_TRUE(added) << added.error().describe();
  }
  const auto attached = pods.attach({"uid-1", pod.get(), pod_addresses(1)});
  ASSERT_TRUE(attached) << attached.error().describe();
  const testing::Responder on6(pod.get(), pod_addresses(1).v6, 80, "pod");
  EXPECT_EQ(testing::ask_tcp(machine_.get(), pod_addresses(1).v6, 80),
            "pod to " + identity_.addresses().node6.to_string());
  ASSERT_TRUE(pods.detach("uid-1"));
  ASSERT_TRUE(remove_machine_link(home_));
  EXPECT_THAT(machine_links(), ::testing::Not(::testing::Contains(machine_link_name(home_))));
}

// An answer that came too late lies in the socket when the next request is made.
TEST_F(NodeTest, ALateAnswerIsNotTakenForAnotherRequests) {
  const int number = ::dup(STDIN_FILENO);
  ::close(number);
  auto socket = *NetlinkSocket::open(NETLINK_ROUTE);  // has that number now
  const auto leave_an_answer = [&](std::uint32_t sequence) {
    NetlinkBatch late;
    NetlinkWriter& message = late.add("look for a link that there is not");
    message.begin(RTM_GETLINK, NLM_F_REQUEST | NLM_F_ACK, ifinfomsg{});
    message.text(IFLA_IFNAME, "hm-not-there");
    message.end();
    const base::Bytes bytes = late.numbered(sequence);
    ASSERT_EQ(::send(number, bytes.data(), bytes.size(), 0), static_cast<ssize_t>(bytes.size()));
  };
  leave_an_answer(1'000'000);
  const auto found = find_link(socket, "lo");
  ASSERT_TRUE(found) << found.error().describe();
  EXPECT_TRUE(*found);
  leave_an_answer(1'000'000);
  const auto all = list_links(socket);
  ASSERT_TRUE(all) << all.error().describe();
  EXPECT_FALSE(all->empty());
  EXPECT_TRUE(*find_link(socket, "lo"));
}

TEST_F(NodeTest, ALinkOfSomebodyElseIsNotRemoved) {
  auto socket = *NetlinkSocket::open(NETLINK_ROUTE);
  const auto other = *make_network_namespace();
  NetlinkBatch batch;
  add_veth(batch, {machine_link_name(home_), {2, 0, 0, 0, 0, 1}}, {"x", {2, 0, 0, 0, 0, 2}},
           other.get(), 1500);
  ASSERT_TRUE(socket.send(batch));
  NetlinkBatch alias;
  change_link(alias, *link_index(socket, machine_link_name(home_)), {.alias = "my own"});
  ASSERT_TRUE(socket.send(alias));
  const auto removed = remove_machine_link(home_);
  ASSERT_FALSE(removed);
  EXPECT_EQ(removed.error().code, base::Errc::AlreadyExists);
  NetlinkBatch cleanup;
  delete_link(cleanup, machine_link_name(home_));
  ASSERT_TRUE(socket.send(cleanup));
}

}  // namespace
}  // namespace hypermesh::datapath
