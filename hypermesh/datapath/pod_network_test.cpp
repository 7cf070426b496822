#include "datapath/pod_network.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/netlink.h>
#include <poll.h>
#include <sched.h>
#include <sys/stat.h>

#include <chrono>
#include <filesystem>
#include <fstream>

#include "datapath/links.hpp"
#include "datapath/testing/hosts.hpp"

namespace hypermesh::datapath {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;
namespace fs = std::filesystem;

NodeIdentity test_identity() {
  return {.name = "n1",
          .index = 1,
          .cluster = {*IpPrefix::parse("fd12:3456:789a::/48"), *IpPrefix::parse("10.77.0.0/16")},
          .dev = true};
}

class NodeTest : public ::testing::Test {
 protected:
  void SetUp() override {
    testing::become_the_machine();
    machine_ = std::move(*own_network_namespace());
    char name[] = "/tmp/hypermesh-node-test-XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    home_ = name;
  }
  void TearDown() override {
    node_.reset();
    (void)remove_machine_link(home_);
    fs::remove_all(home_);
  }

  void start_node() {
    auto node = testing::NodeHolder::start({.identity = identity_, .home = home_});
    ASSERT_TRUE(node) << node.error().describe();
    node_ = std::move(*node);
  }
  PodNetwork open_pods() {
    const auto inside = InNetworkNamespace::enter(node_->netns());
    return std::move(*PodNetwork::open(identity_.addresses()));
  }
  std::vector<std::string> machine_links() {
    auto socket = NetlinkSocket::open(NETLINK_ROUTE);
    std::vector<std::string> names;
    for (const Link& link : *list_links(*socket)) names.push_back(link.name);
    return names;
  }
  PodAddresses pod_addresses(std::uint32_t index) {
    return *addresses_of_pod(identity_.addresses(), index);
  }

  NodeIdentity identity_ = test_identity();
  UniqueFd machine_;
  fs::path home_;
  std::unique_ptr<testing::NodeHolder> node_;
};

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

TEST_F(NodeTest, ADetachedPodIsRefusedAtOnceAndLeavesNothing) {
  start_node();
  PodNetwork pods = open_pods();
  const auto pod = *make_network_namespace();
  ASSERT_TRUE(pods.attach({"uid-1", pod.get(), pod_addresses(1)}));
  EXPECT_THAT(*pods.list(), ElementsAre("uid-1"));
  ASSERT_TRUE(pods.detach("uid-1"));
  EXPECT_THAT(*pods.list(), IsEmpty());
  EXPECT_TRUE(pods.detach("uid-1")) << "detaching again is no error";
  for (const IpAddress& address : {pod_addresses(1).v6, pod_addresses(1).v4}) {
    const auto answer = testing::ask_tcp(machine_.get(), address, 80);
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().code, base::Errc::Unavailable) << answer.error().describe();
  }
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
