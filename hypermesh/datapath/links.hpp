#pragma once

// What is there: links and routes of a network namespace.

#include <optional>
#include <string>
#include <vector>

#include "datapath/netlink_socket.hpp"
#include "datapath/route_messages.hpp"

namespace hypermesh::datapath {

base::Result<std::vector<Link>> list_links(NetlinkSocket& socket);
/// Empty when there is none of that name.
base::Result<std::optional<Link>> find_link(NetlinkSocket& socket, const std::string& name);
/// Destinations of the unicast routes of all tables, both families.
base::Result<std::vector<IpPrefix>> list_routes(NetlinkSocket& socket);

/// Index of a link that was just made. Errors: NotFound.
base::Result<std::uint32_t> link_index(NetlinkSocket& socket, const std::string& name);

/// Waits until an end of a veth whose both ends were brought up takes packets: the kernel notices
/// that they are connected in a thread of its own, and drops what is sent before. Errors: TimedOut,
/// NotFound.
base::Result<> await_operational(NetlinkSocket& socket, const std::string& name);

/// Waits until packets to `address`, which was added here, are taken for the host's own: for IPv6
/// the kernel begins with that in a thread of its own, also without duplicate address detection.
/// Errors: TimedOut.
base::Result<> await_local(NetlinkSocket& socket, const IpAddress& address);

}  // namespace hypermesh::datapath
