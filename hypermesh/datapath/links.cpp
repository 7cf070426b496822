#include "datapath/links.hpp"

#include <fmt/format.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>

namespace hypermesh::datapath {
namespace {

// A dump that ran into a change is asked for again; a table that never rests is an error.
constexpr int kDumpTriesMax = 10;

template <class Entry, class Parse>
base::Result<std::vector<Entry>> dump_all(NetlinkSocket& socket, const NetlinkBatch& request,
                                          const Parse& parse) {
  for (int tries = 1;; ++tries) {
    std::vector<Entry> entries;
    auto outcome = socket.dump(request, [&](const NetlinkMessage& message) -> base::Result<> {
      TRY(auto entry, parse(message));
      if (entry) entries.push_back(std::move(*entry));
      return {};
    });
    if (outcome) return entries;
    if (outcome.error().code != base::Errc::Conflict || tries == kDumpTriesMax) {
      return std::unexpected(std::move(outcome).error());
    }
  }
}

}  // namespace

base::Result<std::vector<Link>> list_links(NetlinkSocket& socket) {
  return dump_all<Link>(socket, list_links_request(), parse_link);
}

base::Result<std::vector<IpPrefix>> list_routes(NetlinkSocket& socket) {
  std::vector<IpPrefix> routes;
  for (const Family family : {Family::Ipv4, Family::Ipv6}) {
    TRY(const auto some, dump_all<IpPrefix>(socket, list_routes_request(family), parse_route));
    routes.insert(routes.end(), some.begin(), some.end());
  }
  return routes;
}

base::Result<std::optional<Link>> find_link(NetlinkSocket& socket, const std::string& name) {
  NetlinkBatch request;
  NetlinkWriter& message = request.add(fmt::format("look for the link {}", name));
  message.begin(RTM_GETLINK, NLM_F_REQUEST | NLM_F_ACK, ifinfomsg{});
  message.text(IFLA_IFNAME, name);
  message.end();
  std::optional<Link> found;
  auto asked = socket.send(request, [&](const NetlinkMessage& answer) -> base::Result<> {
    TRY(found, parse_link(answer));
    return {};
  });
  if (asked || asked.error().code == base::Errc::NotFound) return found;
  return std::unexpected(std::move(asked).error());
}

base::Result<std::uint32_t> link_index(NetlinkSocket& socket, const std::string& name) {
  TRY(const auto link, find_link(socket, name));
  if (!link) return base::fail(base::Errc::NotFound, fmt::format("there is no link {}", name));
  return link->index;
}

}  // namespace hypermesh::datapath
