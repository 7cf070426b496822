#pragma once

#include <gtest/gtest.h>
#include <linux/netlink.h>

#include <filesystem>

#include "datapath/links.hpp"
#include "datapath/testing/hosts.hpp"

namespace hypermesh::datapath::testing {

namespace fs = std::filesystem;

inline NodeIdentity test_identity() {
  return {.name = "n1",
          .index = 1,
          .cluster = {*IpPrefix::parse("fd12:3456:789a::/48"), *IpPrefix::parse("10.77.0.0/16")},
          .dev = true};
}

class NodeTest : public ::testing::Test {
 protected:
  void SetUp() override {
    become_the_machine();
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
    auto node = NodeHolder::start({.identity = identity_, .home = home_});
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
  std::unique_ptr<NodeHolder> node_;
};

}  // namespace hypermesh::datapath::testing
