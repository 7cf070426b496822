#include "datapath/links.hpp"

#include <fmt/format.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include <ctime>

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

/// Asks again until the answer is yes; the kernel is at work on it.
template <class Ask>
base::Result<> await(const std::string& complaint, const Ask& ask) {
  constexpr int kTriesMax = 20'000;  // some seconds
  constexpr timespec kPause{0, 50'000};
  for (int tries = 0; tries < kTriesMax; ++tries) {
    TRY(const bool yes, ask());
    if (yes) return {};
    ::nanosleep(&kPause, nullptr);
  }
  return base::fail(base::Errc::TimedOut, complaint);
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

base::Result<> await_operational(NetlinkSocket& socket, const std::string& name) {
  return await(fmt::format("the link {} does not come up", name), [&]() -> base::Result<bool> {
    TRY(const auto link, find_link(socket, name));
    if (!link) return base::fail(base::Errc::NotFound, fmt::format("there is no link {}", name));
    return link->operational;
  });
}

base::Result<> await_local(NetlinkSocket& socket, const IpAddress& address) {
  return await(fmt::format("the address {} does not come up", address.to_string()),
               [&]() -> base::Result<bool> {
                 bool local = false;
                 const auto answer =
                     socket.send(find_route_request(address),
                                 [&](const NetlinkMessage& message) -> base::Result<> {
                                   TRY(local, parse_is_local(message));
                                   return {};
                                 });
                 // Before the address works there may be no route to it at all.
                 return answer && local;
               });
}

}  // namespace hypermesh::datapath
