#include "datapath/route_messages.hpp"

#include <fmt/format.h>

#include <algorithm>
// The kernel's headers define what they need of <net/if.h> themselves.
#include <linux/if.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>

namespace hypermesh::datapath {
namespace {

constexpr std::uint8_t kFamilyInet = 2;    // AF_INET
constexpr std::uint8_t kFamilyInet6 = 10;  // AF_INET6
constexpr std::uint16_t kRequest = NLM_F_REQUEST | NLM_F_ACK;
constexpr std::uint16_t kCreate = kRequest | NLM_F_CREATE | NLM_F_EXCL;

std::uint8_t family_of(const IpAddress& address) {
  return address.is_v6() ? kFamilyInet6 : kFamilyInet;
}

void end_of_veth(NetlinkWriter& message, const VethEnd& end, std::uint32_t mtu) {
  BASE_ASSERT(!end.name.empty() && end.name.size() <= kLinkNameMax, "link names are bounded");
  message.text(IFLA_IFNAME, end.name);
  message.attribute(IFLA_ADDRESS, end.mac);
  message.u32(IFLA_MTU, mtu);
}

void write_route(NetlinkWriter& message, std::uint16_t type, std::uint16_t flags,
                 const Route& route) {
  rtmsg body{};
  body.rtm_family = family_of(route.destination.address);
  body.rtm_dst_len = static_cast<std::uint8_t>(route.destination.length);
  body.rtm_table = RT_TABLE_MAIN;
  body.rtm_protocol = RTPROT_STATIC;
  body.rtm_type = route.link == 0 ? RTN_UNREACHABLE : RTN_UNICAST;
  body.rtm_scope = route.gateway || route.link == 0 || route.destination.address.is_v6()
                       ? RT_SCOPE_UNIVERSE
                       : RT_SCOPE_LINK;
  if (route.gateway) body.rtm_flags = RTNH_F_ONLINK;
  message.begin(type, flags, body);
  if (route.destination.length != 0) {
    message.attribute(RTA_DST, route.destination.address.bytes());
  }
  if (route.link != 0) message.u32(RTA_OIF, route.link);
  if (route.gateway) message.attribute(RTA_GATEWAY, route.gateway->bytes());
  if (route.source) message.attribute(RTA_PREFSRC, route.source->bytes());
  if (route.metric != 0) message.u32(RTA_PRIORITY, route.metric);
  message.end();
}

}  // namespace

IpAddress link_local_of(const MacAddress& mac) {
  std::array<std::uint8_t, 16> bytes{0xfe, 0x80};
  bytes[8] = mac[0] ^ 0x02;
  bytes[9] = mac[1];
  bytes[10] = mac[2];
  bytes[11] = 0xff;
  bytes[12] = 0xfe;
  bytes[13] = mac[3];
  bytes[14] = mac[4];
  bytes[15] = mac[5];
  return *IpAddress::from_bytes(bytes);
}

void add_veth(NetlinkBatch& batch, const VethEnd& here, const VethEnd& there, int there_netns,
              std::uint32_t mtu) {
  NetlinkWriter& message = batch.add(fmt::format("make the link {} to {}", here.name, there.name));
  message.begin(RTM_NEWLINK, kCreate, ifinfomsg{});
  end_of_veth(message, here, mtu);
  const auto info = message.begin_nest(IFLA_LINKINFO);
  message.text(IFLA_INFO_KIND, "veth");
  const auto data = message.begin_nest(IFLA_INFO_DATA);
  const auto peer = message.begin_nest(VETH_INFO_PEER);
  message.raw(ifinfomsg{});
  end_of_veth(message, there, mtu);
  message.u32(IFLA_NET_NS_FD, static_cast<std::uint32_t>(there_netns));
  message.end_nest(peer);
  message.end_nest(data);
  message.end_nest(info);
  message.end();
}

void change_link(NetlinkBatch& batch, std::uint32_t index, const LinkChange& change) {
  NetlinkWriter& message = batch.add(fmt::format("set up the link with index {}", index));
  ifinfomsg body{};
  body.ifi_index = static_cast<int>(index);
  if (change.up) body.ifi_flags = body.ifi_change = IFF_UP;
  message.begin(RTM_NEWLINK, kRequest, body);
  if (!change.alias.empty()) message.text(IFLA_IFALIAS, change.alias);
  if (change.no_automatic_addresses) {
    const auto families = message.begin_nest(IFLA_AF_SPEC);
    const auto inet6 = message.begin_nest(kFamilyInet6);
    message.u8(IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE);
    message.end_nest(inet6);
    message.end_nest(families);
  }
  message.end();
}

void delete_link(NetlinkBatch& batch, const std::string& name) {
  NetlinkWriter& message = batch.add(fmt::format("delete the link {}", name));
  message.begin(RTM_DELLINK, kRequest, ifinfomsg{});
  message.text(IFLA_IFNAME, name);
  message.end();
}

void delete_link(NetlinkBatch& batch, std::uint32_t index) {
  NetlinkWriter& message = batch.add(fmt::format("delete the link with index {}", index));
  ifinfomsg body{};
  body.ifi_index = static_cast<int>(index);
  message.begin(RTM_DELLINK, kRequest, body);
  message.end();
}

void add_address(NetlinkBatch& batch, std::uint32_t link, const IpPrefix& address) {
  NetlinkWriter& message = batch.add(fmt::format("add the address {}", address.to_string()));
  ifaddrmsg body{};
  body.ifa_family = family_of(address.address);
  body.ifa_prefixlen = static_cast<std::uint8_t>(address.length);
  body.ifa_index = link;
  if (address.address.is_v6()) {
    body.ifa_flags = IFA_F_NODAD;
    const auto bytes = address.address.bytes();
    if (bytes[0] == 0xfe && (bytes[1] & 0xc0) == 0x80) body.ifa_scope = RT_SCOPE_LINK;
  }
  message.begin(RTM_NEWADDR, kCreate, body);
  message.attribute(IFA_LOCAL, address.address.bytes());
  message.attribute(IFA_ADDRESS, address.address.bytes());
  message.end();
}

void add_route(NetlinkBatch& batch, const Route& route) {
  NetlinkWriter& message =
      batch.add(fmt::format("add the route to {}", route.destination.to_string()));
  write_route(message, RTM_NEWROUTE, kCreate, route);
}

void delete_route(NetlinkBatch& batch, const Route& route) {
  NetlinkWriter& message =
      batch.add(fmt::format("delete the route to {}", route.destination.to_string()));
  write_route(message, RTM_DELROUTE, kRequest, route);
}

void add_neighbour(NetlinkBatch& batch, std::uint32_t link, const IpAddress& address,
                   const MacAddress& mac) {
  NetlinkWriter& message = batch.add(fmt::format("add the neighbour {}", address.to_string()));
  ndmsg body{};
  body.ndm_family = family_of(address);
  body.ndm_ifindex = static_cast<int>(link);
  body.ndm_state = NUD_PERMANENT;
  message.begin(RTM_NEWNEIGH, kRequest | NLM_F_CREATE | NLM_F_REPLACE, body);
  message.attribute(NDA_DST, address.bytes());
  message.attribute(NDA_LLADDR, mac);
  message.end();
}

NetlinkBatch list_links_request() {
  NetlinkBatch batch;
  NetlinkWriter& message = batch.add("list the links");
  message.begin(RTM_GETLINK, NLM_F_REQUEST | NLM_F_DUMP, ifinfomsg{});
  message.end();
  return batch;
}

NetlinkBatch list_routes_request(Family family) {
  NetlinkBatch batch;
  NetlinkWriter& message = batch.add("list the routes");
  rtmsg body{};
  body.rtm_family = family == Family::Ipv6 ? kFamilyInet6 : kFamilyInet;
  message.begin(RTM_GETROUTE, NLM_F_REQUEST | NLM_F_DUMP, body);
  message.end();
  return batch;
}

NetlinkBatch find_route_request(const IpAddress& address) {
  NetlinkBatch batch;
  NetlinkWriter& message = batch.add(fmt::format("look for the route to {}", address.to_string()));
  rtmsg body{};
  body.rtm_family = family_of(address);
  body.rtm_dst_len = static_cast<std::uint8_t>(address.bits());
  message.begin(RTM_GETROUTE, kRequest, body);
  message.attribute(RTA_DST, address.bytes());
  message.end();
  return batch;
}

base::Result<bool> parse_is_local(const NetlinkMessage& message) {
  if (message.type != RTM_NEWROUTE) return false;
  TRY(const auto parsed, parse_body<rtmsg>(message));
  return parsed.first.rtm_type == RTN_LOCAL;
}

base::Result<std::optional<Link>> parse_link(const NetlinkMessage& message) {
  if (message.type != RTM_NEWLINK) return std::nullopt;
  TRY(const auto parsed, parse_body<ifinfomsg>(message));
  const auto& [body, attributes] = parsed;
  Link link;
  link.index = static_cast<std::uint32_t>(body.ifi_index);
  link.name = attributes.text(IFLA_IFNAME).value_or("");
  link.alias = attributes.text(IFLA_IFALIAS).value_or("");
  const auto state = attributes.find(IFLA_OPERSTATE);
  link.operational = state && state->size() == 1 && (*state)[0] == IF_OPER_UP;
  TRY(const auto info, attributes.nested(IFLA_LINKINFO));
  link.kind = info.text(IFLA_INFO_KIND).value_or("");
  return link;
}

base::Result<std::optional<IpPrefix>> parse_route(const NetlinkMessage& message) {
  if (message.type != RTM_NEWROUTE) return std::nullopt;
  TRY(const auto parsed, parse_body<rtmsg>(message));
  const auto& [body, attributes] = parsed;
  if (body.rtm_type != RTN_UNICAST ||
      (body.rtm_family != kFamilyInet && body.rtm_family != kFamilyInet6)) {
    return std::nullopt;
  }
  IpAddress address = body.rtm_family == kFamilyInet6 ? IpAddress() : IpAddress::v4(0, 0, 0, 0);
  if (const auto destination = attributes.find(RTA_DST)) {
    TRY(address, IpAddress::from_bytes(*destination));
  }
  if (body.rtm_dst_len > address.bits()) {
    return base::fail(base::Errc::DataLoss,
                      fmt::format("route to {}/{}", address.to_string(), body.rtm_dst_len));
  }
  return IpPrefix::of(address, body.rtm_dst_len);
}

}  // namespace hypermesh::datapath
