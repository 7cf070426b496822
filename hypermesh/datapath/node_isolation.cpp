#include "datapath/node_isolation.hpp"

#include <fmt/format.h>
#include <linux/netlink.h>
#include <sched.h>
#include <sys/stat.h>

#include <base/crypto.hpp>
#include <cerrno>

#include "datapath/links.hpp"
#include "datapath/namespaces.hpp"
#include "datapath/node_mounts.hpp"

namespace hypermesh::datapath {
namespace {

// Metric of the routes to what no single node owns: with several nodes on one machine the lowest
// index that is up carries them.
constexpr std::uint32_t kSharedRouteMetric = 1000;

constexpr std::uint32_t kLeadsNowhereMtu = 1500;

constexpr MacAddress kMachineMac{0x02, 0x48, 0x4d, 0x00, 0x00, 0x01};
constexpr MacAddress kUplinkMac{0x02, 0x48, 0x4d, 0x00, 0x00, 0x02};

struct Sysctl {
  const char* path;
  const char* value;
};
// Of the node's namespace only. Forwarding off for IPv6 would also keep router advertisements
// accepted.
constexpr Sysctl kNodeSysctls[] = {
    {"net/ipv4/ip_forward", "1"},
    {"net/ipv6/conf/all/disable_ipv6", "0"},
    {"net/ipv6/conf/default/disable_ipv6", "0"},
    {"net/ipv6/conf/all/forwarding", "1"},
    {"net/ipv6/conf/default/forwarding", "1"},
    {"net/ipv6/conf/default/accept_dad", "0"},
    {"net/ipv6/conf/default/accept_ra", "0"},
    {"net/ipv6/conf/default/addr_gen_mode", "1"},
    // Spoofed sources are refused by the firewall rule, for both families alike.
    {"net/ipv4/conf/all/rp_filter", "0"},
    {"net/ipv4/conf/default/rp_filter", "0"},
    {"net/ipv4/conf/all/send_redirects", "0"},
    {"net/ipv4/conf/default/send_redirects", "0"},
    // The daemon listens on port 53 without root.
    {"net/ipv4/ip_unprivileged_port_start", "0"},
};

base::Result<> set_node_sysctls() {
  for (const Sysctl& sysctl : kNodeSysctls) TRY_DO(write_sysctl(sysctl.path, sysctl.value));
  return {};
}

constexpr std::size_t kAliasMax = 255;  // IFALIASZ without the NUL

std::string link_alias(const std::filesystem::path& home) {
  return ("hypermesh " + home.string()).substr(0, kAliasMax);
}

base::Result<> remove_link_of(NetlinkSocket& machine, const std::filesystem::path& home) {
  const std::string name = machine_link_name(home);
  TRY(const auto found, find_link(machine, name));
  if (!found) return {};
  // Without an alias it was just made, by a process that ended before it could say whose it is.
  const bool ours =
      found->kind == "veth" && (found->alias.empty() || found->alias == link_alias(home));
  if (!ours) {
    return base::fail(
        base::Errc::AlreadyExists,
        fmt::format("the machine's link {} is not of the node in {} (its alias is \"{}\")", name,
                    home.string(), found->alias));
  }
  NetlinkBatch batch;
  delete_link(batch, found->index);
  auto removed = machine.send(batch);
  // It may go by itself at the same moment, with the last process of its node.
  if (!removed && removed.error().code != base::Errc::NotFound) return removed;
  return {};
}

/// The machine's end: addresses of the cluster's subnet 0, routes to the cluster by the node.
base::Result<> set_up_machine_end(NetlinkSocket& machine, int machine_netns,
                                  const NodeIsolation& node, const std::string& name) {
  const NodeAddresses own = node.identity.addresses();
  const ClusterPrefixes& cluster = node.identity.cluster;
  TRY(const std::uint32_t index, link_index(machine, name));
  {
    // A machine that turns IPv6 off for new interfaces gets it on this one, which is ours.
    TRY(const InNetworkNamespace inside, InNetworkNamespace::enter(machine_netns));
    TRY_DO(write_sysctl(fmt::format("net/ipv6/conf/{}/disable_ipv6", name), "0"));
  }
  NetlinkBatch batch;
  change_link(batch, index, {.no_automatic_addresses = true, .alias = link_alias(node.home)});
  add_address(batch, index, {link_local_of(kMachineMac), 64});
  add_address(batch, index, IpPrefix::host(cluster.machine6()));
  add_address(batch, index, IpPrefix::host(cluster.machine4()));
  change_link(batch, index, {.up = true});
  const IpAddress gateway6 = link_local_of(kUplinkMac);
  add_neighbour(batch, index, gateway6, kUplinkMac);
  add_neighbour(batch, index, own.node4, kUplinkMac);
  const std::uint32_t metric = kSharedRouteMetric + node.identity.index;
  for (const auto& [prefix, shared] : {std::pair{cluster.v6, true}, std::pair{own.pods6, false}}) {
    add_route(batch, {prefix, index, gateway6, cluster.machine6(), shared ? metric : 0});
  }
  for (const auto& [prefix, shared] : {std::pair{cluster.v4, true}, std::pair{own.pods4, false}}) {
    add_route(batch, {prefix, index, own.node4, cluster.machine4(), shared ? metric : 0});
  }
  return machine.send(batch);
}

/// The node's end. The machine answers for everything outside; what is inside the cluster and
/// nobody's is refused here instead of going back to the machine in a circle.
base::Result<> set_up_node_end(NetlinkSocket& inside, const NodeIdentity& identity) {
  const NodeAddresses own = identity.addresses();
  const ClusterPrefixes& cluster = identity.cluster;
  TRY(const std::uint32_t loopback, link_index(inside, "lo"));
  TRY(const std::uint32_t uplink, link_index(inside, kUplinkName));
  NetlinkBatch batch;
  change_link(batch, loopback, {.up = true});
  add_address(batch, uplink, {link_local_of(kUplinkMac), 64});
  add_address(batch, uplink, IpPrefix::host(own.node6));
  add_address(batch, uplink, IpPrefix::host(own.node4));
  change_link(batch, uplink, {.up = true});
  const IpAddress gateway6 = link_local_of(kMachineMac);
  add_neighbour(batch, uplink, gateway6, kMachineMac);
  add_neighbour(batch, uplink, cluster.machine4(), kMachineMac);
  add_route(batch, {{IpAddress(), 0}, uplink, gateway6, own.node6});
  add_route(batch, {{IpAddress::v4(0, 0, 0, 0), 0}, uplink, cluster.machine4(), own.node4});
  add_route(batch, {IpPrefix::host(cluster.machine6()), uplink, gateway6, own.node6});
  add_route(batch, {IpPrefix::host(cluster.machine4()), uplink, cluster.machine4(), own.node4});
  // The rules translate or refuse these before they leave; a route must exist for the node's own
  // connections.
  add_route(batch, {cluster.services6(), uplink, gateway6, own.node6});
  add_route(batch, {cluster.services4(), uplink, cluster.machine4(), own.node4});
  add_route(batch, {.destination = cluster.v6});
  add_route(batch, {.destination = cluster.v4});
  return inside.send(batch);
}

}  // namespace

std::string node_tag(const std::filesystem::path& home) {
  const base::Digest digest = base::sha256(home.lexically_normal().string());
  return base::to_hex(base::BytesView(digest).first(3)).substr(0, 5);
}

std::string machine_link_name(const std::filesystem::path& home) {
  return "hm-" + node_tag(home);
}
std::string node_cgroup_name(const std::filesystem::path& home) {
  return "hypermesh-" + node_tag(home);
}

base::Result<NodeNamespaces> enter_node_namespaces(const NodeIsolation& node) {
  BASE_ASSERT(node.home.is_absolute(), "a node's home is an absolute path");
  TRY_DO(node.identity.validate());
  struct stat status{};
  if (::stat("/proc/sys/net/ipv6", &status) != 0) {
    return std::unexpected(base::with_hint(
        base::make_error(base::Errc::Unsupported, "this machine's kernel runs without IPv6"),
        "load the module ipv6, or take ipv6.disable=1 off the kernel's command line"));
  }
  TRY(UniqueFd machine_netns, own_network_namespace());
  TRY(NetlinkSocket machine, NetlinkSocket::open(NETLINK_ROUTE));
  TRY_DO(remove_link_of(machine, node.home));
  if (::unshare(CLONE_NEWNET | CLONE_NEWNS) != 0) {
    return std::unexpected(base::with_hint(
        base::errno_error(errno, "cannot make the node's namespaces"), "run it as root"));
  }
  TRY_DO(make_node_mounts(node.home));
  TRY_DO(set_node_sysctls());

  TRY(const UniqueFd own_netns, own_network_namespace());
  const std::string name = machine_link_name(node.home);
  NetlinkBatch veth;
  add_veth(veth, {name, kMachineMac}, {kUplinkName, kUplinkMac}, own_netns.get(), node.mtu);
  TRY_DO(machine.send(veth));
  TRY_DO(set_up_machine_end(machine, machine_netns.get(), node, name));
  TRY(NetlinkSocket inside, NetlinkSocket::open(NETLINK_ROUTE));
  TRY_DO(set_up_node_end(inside, node.identity));
  TRY_DO(await_operational(inside, kUplinkName));
  TRY_DO(await_operational(machine, name));
  TRY_DO(await_local(inside, node.identity.addresses().node6));
  TRY_DO(await_local(machine, node.identity.cluster.machine6()));
  return NodeNamespaces{std::move(machine_netns)};
}

base::Result<> add_node_addresses(const NodeIdentity& identity, const std::filesystem::path& home) {
  TRY_DO(identity.validate());
  TRY(NetlinkSocket machine, NetlinkSocket::open(NETLINK_ROUTE));
  TRY_DO(remove_link_of(machine, home));
  const std::string name = machine_link_name(home);
  const NodeAddresses own = identity.addresses();
  const auto added = [&]() -> base::Result<> {
    // Both ends stay here: the one holds the addresses, the other only makes it operational.
    const std::string peer = name + "-peer";
    TRY(const UniqueFd here, own_network_namespace());
    NetlinkBatch link;
    add_veth(link, {name, kMachineMac}, {peer, kUplinkMac}, here.get(), kLeadsNowhereMtu);
    TRY_DO(machine.send(link));
    TRY_DO(write_sysctl(fmt::format("net/ipv6/conf/{}/disable_ipv6", name), "0"));
    TRY(const std::uint32_t index, link_index(machine, name));
    NetlinkBatch batch;
    change_link(batch, index, {.no_automatic_addresses = true, .alias = link_alias(home)});
    add_address(batch, index, IpPrefix::host(own.node6));
    add_address(batch, index, IpPrefix::host(own.node4));
    TRY(const std::uint32_t peer_index, link_index(machine, peer));
    change_link(batch, peer_index, {.no_automatic_addresses = true});
    change_link(batch, peer_index, {.up = true});
    change_link(batch, index, {.up = true});
    TRY_DO(machine.send(batch));
    return await_local(machine, own.node6);
  }();
  if (added) return {};
  (void)remove_link_of(machine, home);
  return std::unexpected(base::wrap(
      added.error(), fmt::format("cannot give the machine the node's addresses {} and {}",
                                 own.node6.to_string(), own.node4.to_string())));
}

base::Result<> remove_machine_link(const std::filesystem::path& home) {
  TRY(NetlinkSocket machine, NetlinkSocket::open(NETLINK_ROUTE));
  return remove_link_of(machine, home);
}

base::Result<std::vector<IpPrefix>> machine_routes() {
  TRY(NetlinkSocket machine, NetlinkSocket::open(NETLINK_ROUTE));
  return list_routes(machine);
}

}  // namespace hypermesh::datapath
