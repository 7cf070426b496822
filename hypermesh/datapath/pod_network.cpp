#include "datapath/pod_network.hpp"

#include <fmt/format.h>
#include <linux/netlink.h>

#include <base/crypto.hpp>
#include <charconv>

#include "datapath/links.hpp"
#include "datapath/namespaces.hpp"

namespace hypermesh::datapath {
namespace {

constexpr std::string_view kAliasPrefix = "hypermesh pod ";
constexpr std::size_t kUidCharactersMax = 200;
constexpr std::uint32_t kLoopbackIndex = 1;  // the first link of every namespace

constexpr MacAddress kNodeEndMac{0x02, 0x48, 0x4d, 0x00, 0x01, 0x00};

/// The pod's IPv4 address makes its hardware address unique on the node, for people who read
/// captures.
MacAddress pod_mac(const PodAddresses& addresses) {
  const auto bytes = addresses.v4.bytes();
  return {0x02, 0x48, bytes[0], bytes[1], bytes[2], bytes[3]};
}

struct Sysctl {
  const char* path;
  const char* value;
};
constexpr Sysctl kPodSysctls[] = {
    {"net/ipv6/conf/all/disable_ipv6", "0"},
    // A process without root may listen on port 80 and ping: the pod's network is its own.
    {"net/ipv4/ip_unprivileged_port_start", "0"},
    {"net/ipv4/ping_group_range", "0 2147483647"},
};

/// The alias says whose link it is and which addresses lead to it.
std::string alias_of(const PodAttachment& pod) {
  return fmt::format("{}{} {}", kAliasPrefix, pod.addresses.v4.bytes().back() - 1, pod.pod_uid);
}

struct Owner {
  std::uint32_t pod_index = 0;
  std::string pod_uid;
};
/// Empty when the link is no pod's.
std::optional<Owner> owner_of(const Link& link) {
  if (link.kind != "veth" || !link.alias.starts_with(kAliasPrefix)) return {};
  const std::string_view rest = std::string_view(link.alias).substr(kAliasPrefix.size());
  Owner owner;
  const auto [end, error] =
      std::from_chars(rest.data(), rest.data() + rest.size(), owner.pod_index);
  if (error != std::errc() || end == rest.data() + rest.size() || *end != ' ') return {};
  owner.pod_uid.assign(end + 1, rest.data() + rest.size());
  if (owner.pod_index < 1 || owner.pod_index > kPodIndexMax ||
      link.name != pod_link_name(owner.pod_uid))
    return {};
  return owner;
}

/// Made by an attach that ended before it could say whose link it is.
bool unfinished(const Link& link) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  return link.kind == "veth" && link.alias.empty() && link.name.starts_with(kPodLinkPrefix) &&
         link.name.size() == 14 && link.name.find_first_not_of(kDigits, 2) == std::string::npos;
}

}  // namespace

std::string pod_link_name(std::string_view pod_uid) {
  const base::Digest digest = base::sha256(pod_uid);
  return kPodLinkPrefix + base::to_hex(base::BytesView(digest).first(6));
}

base::Result<PodNetwork> PodNetwork::open(const NodeAddresses& node, std::uint32_t mtu) {
  TRY(NetlinkSocket socket, NetlinkSocket::open(NETLINK_ROUTE));
  return PodNetwork(std::move(socket), node, mtu);
}

base::Result<> PodNetwork::attach(const PodAttachment& pod) {
  if (pod.pod_uid.empty() || pod.pod_uid.size() > kUidCharactersMax) {
    return base::fail(base::Errc::InvalidArgument,
                      fmt::format("a pod's uid has 1 to {} characters, not {}", kUidCharactersMax,
                                  pod.pod_uid.size()));
  }
  for (const IpAddress& address : {pod.addresses.v6, pod.addresses.v4}) {
    if (!pod_index_of(node_, address)) {
      return base::fail(
          base::Errc::InvalidArgument,
          fmt::format("{} is no address for a pod of this node", address.to_string()));
    }
  }
  const std::string link = pod_link_name(pod.pod_uid);
  auto connected = connect(pod, link);
  if (connected) return {};
  auto removed = remove_left(link);
  base::Error error =
      base::wrap(std::move(connected).error(), fmt::format("cannot connect pod {}", pod.pod_uid));
  if (!removed) error.hints.push_back("a link is left: " + removed.error().describe());
  return std::unexpected(std::move(error));
}

base::Result<> PodNetwork::connect(const PodAttachment& pod, const std::string& link) {
  TRY_DO(remove_left(link));
  const MacAddress mac = pod_mac(pod.addresses);
  NetlinkBatch veth;
  add_veth(veth, {link, kNodeEndMac}, {kPodInterface, mac}, pod.netns, mtu_);
  TRY_DO(socket_.send(veth));
  TRY(const std::uint32_t index, link_index(socket_, link));
  NetlinkBatch node_end;
  change_link(node_end, index, {.no_automatic_addresses = true, .alias = alias_of(pod)});
  add_address(node_end, index, {link_local_of(kNodeEndMac), 64});
  change_link(node_end, index, {.up = true});
  add_neighbour(node_end, index, pod.addresses.v6, mac);
  add_neighbour(node_end, index, pod.addresses.v4, mac);
  TRY_DO(socket_.send(node_end));
  TRY_DO(set_up_pod_end(pod));
  TRY_DO(await_operational(socket_, link));
  // Last: whoever finds the route finds the pod's end configured.
  NetlinkBatch routes;
  add_route(routes, {IpPrefix::host(pod.addresses.v6), index, {}, node_.node6});
  add_route(routes, {IpPrefix::host(pod.addresses.v4), index, {}, node_.node4});
  return socket_.send(routes);
}

base::Result<> PodNetwork::set_up_pod_end(const PodAttachment& pod) const {
  TRY(const InNetworkNamespace inside, InNetworkNamespace::enter(pod.netns));
  for (const Sysctl& sysctl : kPodSysctls) TRY_DO(write_sysctl(sysctl.path, sysctl.value));
  TRY(NetlinkSocket socket, NetlinkSocket::open(NETLINK_ROUTE));
  TRY(const std::uint32_t index, link_index(socket, kPodInterface));
  NetlinkBatch batch;
  change_link(batch, kLoopbackIndex, {.up = true});
  change_link(batch, index, {.no_automatic_addresses = true});
  add_address(batch, index, {link_local_of(pod_mac(pod.addresses)), 64});
  add_address(batch, index, IpPrefix::host(pod.addresses.v6));
  add_address(batch, index, IpPrefix::host(pod.addresses.v4));
  change_link(batch, index, {.up = true});
  const IpAddress gateway6 = link_local_of(kNodeEndMac);
  add_neighbour(batch, index, gateway6, kNodeEndMac);
  add_neighbour(batch, index, node_.node4, kNodeEndMac);
  add_route(batch, {{IpAddress(), 0}, index, gateway6, pod.addresses.v6});
  add_route(batch, {{IpAddress::v4(0, 0, 0, 0), 0}, index, node_.node4, pod.addresses.v4});
  TRY_DO(socket.send(batch));
  TRY_DO(await_operational(socket, kPodInterface));
  return await_local(socket, pod.addresses.v6);
}

base::Result<> PodNetwork::detach(std::string_view pod_uid) {
  TRY(const auto link, find_link(socket_, pod_link_name(pod_uid)));
  if (!link) return {};
  const auto owner = owner_of(*link);
  // Without an alias it was never finished, so nothing leads to it.
  if (!owner) return remove_link(link->index);
  TRY(const PodAddresses addresses, addresses_of_pod(node_, owner->pod_index));
  base::Result<> outcome;
  for (const IpAddress& address : {addresses.v6, addresses.v4}) {
    NetlinkBatch batch;
    delete_route(batch, {IpPrefix::host(address), link->index});
    auto deleted = socket_.send(batch);
    if (!deleted && deleted.error().code != base::Errc::NotFound) outcome = std::move(deleted);
  }
  return outcome;
}

base::Result<> PodNetwork::remove_left(const std::string& link) {
  TRY(const auto found, find_link(socket_, link));
  return found ? remove_link(found->index) : base::Result<>{};
}

base::Result<> PodNetwork::remove_link(std::uint32_t index) {
  NetlinkBatch batch;
  delete_link(batch, index);
  auto removed = socket_.send(batch);
  // The pod's namespace may have died in between and taken the link along.
  if (!removed && removed.error().code != base::Errc::NotFound) return removed;
  return {};
}

base::Result<std::vector<std::string>> PodNetwork::list() {
  TRY(const auto links, list_links(socket_));
  std::vector<std::string> uids;
  for (const Link& link : links) {
    if (auto owner = owner_of(link)) uids.push_back(std::move(owner->pod_uid));
  }
  return uids;
}

base::Result<std::vector<std::string>> PodNetwork::remove_all_but(
    const std::set<std::string>& living) {
  TRY(const auto links, list_links(socket_));
  std::vector<std::string> uids;
  for (const Link& link : links) {
    auto owner = owner_of(link);
    if (!owner && unfinished(link)) TRY_DO(remove_link(link.index));
    if (!owner || living.contains(owner->pod_uid)) continue;
    TRY_DO(remove_link(link.index));
    uids.push_back(std::move(owner->pod_uid));
  }
  return uids;
}

}  // namespace hypermesh::datapath
