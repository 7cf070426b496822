#pragma once

// What we say over rtnetlink (rtnetlink(7)): links, addresses, routes, neighbours. Each function
// adds one message to a batch. Interfaces are named by index; a veth's ends get theirs from the
// kernel.

#include <optional>
#include <string>

#include "datapath/address.hpp"
#include "datapath/netlink_codec.hpp"

namespace hypermesh::datapath {

using MacAddress = std::array<std::uint8_t, 6>;

/// Longest name of an interface, without the NUL (IFNAMSIZ).
inline constexpr std::size_t kLinkNameMax = 15;

/// "fe80::..." of the modified EUI-64 of `mac` (RFC 4291, appendix A).
IpAddress link_local_of(const MacAddress& mac);

struct VethEnd {
  std::string name;
  MacAddress mac{};
};
/// Makes both ends of a veth: `here` in the socket's namespace, `there` in the one that
/// `there_netns` names.
void add_veth(NetlinkBatch& batch, const VethEnd& here, const VethEnd& there, int there_netns,
              std::uint32_t mtu);

struct LinkChange {
  bool up = false;
  /// The kernel makes no link-local address and runs no duplicate address detection for one.
  bool no_automatic_addresses = false;
  std::string alias;  ///< Shown by `ip link`; empty: left as it is.
};
void change_link(NetlinkBatch& batch, std::uint32_t index, const LinkChange& change);
void delete_link(NetlinkBatch& batch, const std::string& name);
void delete_link(NetlinkBatch& batch, std::uint32_t index);

/// Usable at once: no duplicate address detection.
void add_address(NetlinkBatch& batch, std::uint32_t link, const IpPrefix& address);

struct Route {
  IpPrefix destination;                ///< Of length 0: the default route.
  std::uint32_t link = 0;              ///< 0: none, packets are refused as unreachable.
  std::optional<IpAddress> gateway{};  ///< Taken to be on the link even if no prefix says so.
  std::optional<IpAddress> source{};   ///< Preferred source address.
  std::uint32_t metric = 0;            ///< 0: the kernel's default.
};
void add_route(NetlinkBatch& batch, const Route& route);
/// By destination, link and metric.
void delete_route(NetlinkBatch& batch, const Route& route);

/// `address` is at `mac` for ever: nobody asks on the link, no first packet waits.
void add_neighbour(NetlinkBatch& batch, std::uint32_t link, const IpAddress& address,
                   const MacAddress& mac);

/// Requests for NetlinkSocket::dump.
NetlinkBatch list_links_request();
NetlinkBatch list_routes_request(Family family);

/// Asks for the route that a packet to `address` would take.
NetlinkBatch find_route_request(const IpAddress& address);
/// The route of the answer leads to the host itself. Errors: DataLoss.
base::Result<bool> parse_is_local(const NetlinkMessage& message);

struct Link {
  std::uint32_t index = 0;
  std::string name, alias, kind;  ///< `kind` "veth", "bridge", ...; empty for hardware.
  bool operational = false;       ///< Up, connected, and its queue takes packets.
};
/// Errors: DataLoss. Empty when the message is of another type.
base::Result<std::optional<Link>> parse_link(const NetlinkMessage& message);
/// Destination of a unicast route; empty for other kinds and messages. Errors: DataLoss.
base::Result<std::optional<IpPrefix>> parse_route(const NetlinkMessage& message);

}  // namespace hypermesh::datapath
