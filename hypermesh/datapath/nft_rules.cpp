#include "datapath/nft_rules.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <set>
#include <string_view>

namespace hypermesh::datapath {
namespace {

constexpr std::string_view kTable = "inet hypermesh";
// One bit of the connection's mark: the client came by a node port.
constexpr std::string_view kNodePortMark = "0x00400000";
constexpr std::size_t kCommentMax = 100;  // nft allows 128

using Out = std::back_insert_iterator<std::string>;

/// The commands of one transaction, in an order in which none refers to what is not there yet or
/// any more.
struct Transaction {
  std::string create;  // sets and chains, empty
  std::string fill;    // rules
  std::string unlink;  // elements that lead to chains
  std::string link;
  std::string destroy;  // chains, then sets
  std::string destroy_sets;

  std::string text() const { return create + fill + unlink + link + destroy + destroy_sets; }
};

std::string_view suffix(const IpAddress& address) {
  return address.is_v6() ? "6" : "4";
}
std::string_view ip(const IpAddress& address) {
  return address.is_v6() ? "ip6" : "ip";
}

/// An address as part of an nft identifier.
std::string label(const Endpoint& endpoint) {
  std::string text = endpoint.address.to_string();
  std::ranges::replace(text, ':', '_');
  return fmt::format("{}-{}", text, endpoint.port);
}

std::string chain_of(const ServiceEntry& entry) {
  return fmt::format("{}-{}", to_string(entry.protocol), label(entry.at));
}
std::string node_port_chain_of(const ServiceEntry& entry) {
  return "np-" + chain_of(entry);
}
/// Chain and set of one backend of a service with affinity. Another time-out is another set.
std::string backend_chain_of(const ServiceEntry& entry, const Endpoint& backend) {
  return fmt::format("{}/{}/{}", chain_of(entry), label(backend), entry.affinity_seconds);
}

std::string key_of(const ServiceEntry& entry) {
  return fmt::format("{} . {} . {}", entry.at.address.to_string(), to_string(entry.protocol),
                     entry.at.port);
}
std::string node_port_key_of(const ServiceEntry& entry) {
  return fmt::format("{} . {}", to_string(entry.protocol), entry.node_port);
}

void element(std::string& out, std::string_view verb, std::string_view set, std::string_view text) {
  fmt::format_to(Out(out), "{} element {} {} {{ {} }}\n", verb, kTable, set, text);
}

void link_service(std::string& out, const ServiceEntry& entry) {
  element(out, "add", fmt::format("services{}", suffix(entry.at.address)),
          fmt::format("{} : goto {}", key_of(entry), chain_of(entry)));
}
void unlink_service(std::string& out, const ServiceEntry& entry) {
  element(out, "delete", fmt::format("services{}", suffix(entry.at.address)), key_of(entry));
}

void add_node_port(Transaction& out, const ServiceEntry& entry) {
  const std::string chain = node_port_chain_of(entry);
  fmt::format_to(Out(out.create), "add chain {} {}\n", kTable, chain);
  fmt::format_to(Out(out.fill), "add rule {} {} ct mark set ct mark or {} goto {}\n", kTable, chain,
                 kNodePortMark, chain_of(entry));
  element(out.link, "add", fmt::format("nodeports{}", suffix(entry.at.address)),
          fmt::format("{} : goto {}", node_port_key_of(entry), chain));
}
void remove_node_port(Transaction& out, const ServiceEntry& entry) {
  element(out.unlink, "delete", fmt::format("nodeports{}", suffix(entry.at.address)),
          node_port_key_of(entry));
  const std::string chain = node_port_chain_of(entry);
  // Before the service's own chain, which this one leads to.
  out.destroy =
      fmt::format("flush chain {0} {1}\ndelete chain {0} {1}\n", kTable, chain) + out.destroy;
}

std::string translate(const ServiceEntry& entry, const Endpoint& backend) {
  return fmt::format("meta l4proto {} dnat {} to {}:{}", to_string(entry.protocol),
                     ip(backend.address), backend.address.to_host(), backend.port);
}

void add_backend_chain(Transaction& out, const ServiceEntry& entry, const Endpoint& backend) {
  const std::string name = backend_chain_of(entry, backend);
  fmt::format_to(Out(out.create),
                 "add set {0} {1} {{ type {2}_addr; flags dynamic,timeout; timeout {3}s; }}\n"
                 "add chain {0} {1}\n",
                 kTable, name, backend.address.is_v6() ? "ipv6" : "ipv4", entry.affinity_seconds);
  fmt::format_to(Out(out.fill), "add rule {0} {1} update @{1} {{ {2} saddr }} {3}\n", kTable, name,
                 ip(backend.address), translate(entry, backend));
}
void remove_backend_chain(Transaction& out, const ServiceEntry& entry, const Endpoint& backend) {
  const std::string name = backend_chain_of(entry, backend);
  fmt::format_to(Out(out.destroy), "flush chain {0} {1}\ndelete chain {0} {1}\n", kTable, name);
  fmt::format_to(Out(out.destroy_sets), "delete set {} {}\n", kTable, name);
}

/// The rules of a service's chain.
void fill_service(std::string& out, const ServiceEntry& entry) {
  const std::string chain = chain_of(entry);
  const auto& backends = entry.backends;
  const std::string comment =
      fmt::format("comment \"{}\"", std::string_view(entry.name).substr(0, kCommentMax));
  if (entry.affinity_seconds != 0) {
    for (const Endpoint& backend : backends) {
      fmt::format_to(Out(out), "add rule {0} {1} {2} saddr @{3} goto {3}\n", kTable, chain,
                     ip(backend.address), backend_chain_of(entry, backend));
    }
    fmt::format_to(Out(out), "add rule {} {} numgen random mod {} vmap {{ ", kTable, chain,
                   backends.size());
    for (std::size_t i = 0; i < backends.size(); ++i) {
      fmt::format_to(Out(out), "{}{} : goto {}", i == 0 ? "" : ", ", i,
                     backend_chain_of(entry, backends[i]));
    }
    fmt::format_to(Out(out), " }} {}\n", comment);
    return;
  }
  if (backends.size() == 1) {
    fmt::format_to(Out(out), "add rule {} {} {} {}\n", kTable, chain, translate(entry, backends[0]),
                   comment);
    return;
  }
  fmt::format_to(Out(out), "add rule {} {} meta l4proto {} dnat {} to numgen random mod {} map {{ ",
                 kTable, chain, to_string(entry.protocol), ip(entry.at.address), backends.size());
  for (std::size_t i = 0; i < backends.size(); ++i) {
    fmt::format_to(Out(out), "{}{} : {} . {}", i == 0 ? "" : ", ", i,
                   backends[i].address.to_string(), backends[i].port);
  }
  fmt::format_to(Out(out), " }} {}\n", comment);
}

void add_service(Transaction& out, const ServiceEntry& entry) {
  fmt::format_to(Out(out.create), "add chain {} {}\n", kTable, chain_of(entry));
  if (entry.affinity_seconds != 0) {
    for (const Endpoint& backend : entry.backends) add_backend_chain(out, entry, backend);
  }
  fill_service(out.fill, entry);
  link_service(out.link, entry);
  if (entry.node_port != 0) add_node_port(out, entry);
}

void remove_service(Transaction& out, const ServiceEntry& entry) {
  unlink_service(out.unlink, entry);
  const std::string chain = chain_of(entry);
  fmt::format_to(Out(out.destroy), "flush chain {0} {1}\ndelete chain {0} {1}\n", kTable, chain);
  if (entry.affinity_seconds != 0) {
    for (const Endpoint& backend : entry.backends) remove_backend_chain(out, entry, backend);
  }
  if (entry.node_port != 0) remove_node_port(out, entry);
}

void change_service(Transaction& out, const ServiceEntry& from, const ServiceEntry& to) {
  const bool rules_differ = from.backends != to.backends ||
                            from.affinity_seconds != to.affinity_seconds || from.name != to.name;
  const bool same_affinity = from.affinity_seconds == to.affinity_seconds;
  // Sets of backends that stay keep their clients.
  const auto stays = [&](const ServiceEntry& other, const Endpoint& backend) {
    return same_affinity && std::ranges::binary_search(other.backends, backend);
  };
  if (to.affinity_seconds != 0) {
    for (const Endpoint& backend : to.backends) {
      if (!stays(from, backend)) add_backend_chain(out, to, backend);
    }
  }
  if (rules_differ) {
    fmt::format_to(Out(out.fill), "flush chain {} {}\n", kTable, chain_of(to));
    fill_service(out.fill, to);
  }
  if (from.affinity_seconds != 0) {
    for (const Endpoint& backend : from.backends) {
      if (!stays(to, backend)) remove_backend_chain(out, from, backend);
    }
  }
  if (from.node_port == to.node_port) return;
  if (from.node_port != 0 && to.node_port != 0) {
    // The chain stays; only the port that leads to it is another one.
    element(out.unlink, "delete", fmt::format("nodeports{}", suffix(from.at.address)),
            node_port_key_of(from));
    element(out.link, "add", fmt::format("nodeports{}", suffix(to.at.address)),
            fmt::format("{} : goto {}", node_port_key_of(to), node_port_chain_of(to)));
  } else if (to.node_port != 0) {
    add_node_port(out, to);
  } else {
    remove_node_port(out, from);
  }
}

using Key = std::pair<IpProtocol, Endpoint>;
/// What has a chain: a service without backends has none, and is refused.
std::map<Key, const ServiceEntry*> served(const ServiceTable& table) {
  std::map<Key, const ServiceEntry*> result;
  for (const ServiceEntry& entry : table.entries()) {
    if (!entry.backends.empty()) result.emplace(Key{entry.protocol, entry.at}, &entry);
  }
  return result;
}

/// Pods of this node that may reach themselves by a service.
std::set<IpAddress> local_backends(const NodeIdentity& node, const ServiceTable& table) {
  const NodeAddresses own = node.addresses();
  std::set<IpAddress> result;
  for (const ServiceEntry& entry : table.entries()) {
    for (const Endpoint& backend : entry.backends) {
      if ((backend.address.is_v6() ? own.pods6 : own.pods4).contains(backend.address)) {
        result.insert(backend.address);
      }
    }
  }
  return result;
}

void hairpin_element(std::string& out, std::string_view verb, const IpAddress& address) {
  element(out, verb, fmt::format("hairpin{}", suffix(address)),
          fmt::format("{0} . {0}", address.to_string()));
}

// Names in braces: addresses of this cluster and node.
constexpr std::string_view kFrame = R"(table inet hypermesh
delete table inet hypermesh
table inet hypermesh {{
  map services4 {{ type ipv4_addr . inet_proto . inet_service : verdict; }}
  map services6 {{ type ipv6_addr . inet_proto . inet_service : verdict; }}
  map nodeports4 {{ type inet_proto . inet_service : verdict; }}
  map nodeports6 {{ type inet_proto . inet_service : verdict; }}
  set hairpin4 {{ type ipv4_addr . ipv4_addr; }}
  set hairpin6 {{ type ipv6_addr . ipv6_addr; }}

  chain services {{
    ip daddr . meta l4proto . th dport vmap @services4
    ip6 daddr . meta l4proto . th dport vmap @services6
    ip daddr != 127.0.0.0/8 fib daddr type local meta l4proto . th dport vmap @nodeports4
    ip6 daddr != ::1 fib daddr type local meta l4proto . th dport vmap @nodeports6
  }}
  chain nat-prerouting {{
    type nat hook prerouting priority -100; policy accept;
    jump services
  }}
  chain nat-output {{
    type nat hook output priority -100; policy accept;
    jump services
  }}
  chain nat-postrouting {{
    type nat hook postrouting priority 100; policy accept;
    ct status dnat ip saddr . ip daddr @hairpin4 snat ip to {node4}
    ct status dnat ip6 saddr . ip6 daddr @hairpin6 snat ip6 to {node6}
    ct status dnat ct mark and {mark} == {mark} ip daddr != {pods4} snat ip to {node4}
    ct status dnat ct mark and {mark} == {mark} ip6 daddr != {pods6} snat ip6 to {node6}
    oifname != "hm*" ip saddr {cluster4} ip daddr != {cluster4} masquerade
    oifname != "hm*" ip6 saddr {cluster6} ip6 daddr != {cluster6} masquerade
  }}
  chain refuse {{
    ip daddr {services4} meta l4proto tcp reject with tcp reset
    ip daddr {services4} reject with icmpx port-unreachable
    ip6 daddr {services6} meta l4proto tcp reject with tcp reset
    ip6 daddr {services6} reject with icmpx port-unreachable
  }}
  chain refuse-prerouting {{
    type filter hook prerouting priority -90; policy accept;
    jump refuse
    ip daddr {cluster4} meta l4proto tcp fib daddr type != local fib daddr oif missing reject with tcp reset
    ip6 daddr {cluster6} meta l4proto tcp fib daddr type != local fib daddr oif missing reject with tcp reset
  }}
  chain refuse-output {{
    type filter hook output priority -90; policy accept;
    jump refuse
  }}
  chain guard {{
    type filter hook prerouting priority -300; policy accept;
    iifname "hm*" ip6 saddr {{ ::, fe80::/10 }} accept
    iifname "hm*" fib saddr . iif oif missing drop
  }}
  chain forward {{
    type filter hook forward priority 0; policy accept;
    ct state invalid drop
  }}
}}
)";

}  // namespace

std::string whole_ruleset(const NodeIdentity& node, const ServiceTable& table) {
  const NodeAddresses own = node.addresses();
  const ClusterPrefixes& cluster = node.cluster;
  return fmt::format(
             kFrame, fmt::arg("node4", own.node4.to_string()),
             fmt::arg("node6", own.node6.to_string()), fmt::arg("pods4", own.pods4.to_string()),
             fmt::arg("pods6", own.pods6.to_string()), fmt::arg("cluster4", cluster.v4.to_string()),
             fmt::arg("cluster6", cluster.v6.to_string()),
             fmt::arg("services4", cluster.services4().to_string()),
             fmt::arg("services6", cluster.services6().to_string()),
             fmt::arg("mark", kNodePortMark)) +
         ruleset_change(node, ServiceTable(), table);
}

std::string ruleset_change(const NodeIdentity& node, const ServiceTable& from,
                           const ServiceTable& to) {
  Transaction out;
  const auto before = served(from), after = served(to);
  for (const auto& [key, entry] : before) {
    const auto now = after.find(key);
    if (now == after.end()) {
      remove_service(out, *entry);
    } else if (*now->second != *entry) {
      change_service(out, *entry, *now->second);
    }
  }
  for (const auto& [key, entry] : after) {
    if (!before.contains(key)) add_service(out, *entry);
  }
  const auto local_before = local_backends(node, from), local_after = local_backends(node, to);
  for (const IpAddress& address : local_before) {
    if (!local_after.contains(address)) hairpin_element(out.unlink, "delete", address);
  }
  for (const IpAddress& address : local_after) {
    if (!local_before.contains(address)) hairpin_element(out.link, "add", address);
  }
  return out.text();
}

std::string ruleset_removal() {
  return fmt::format("table {0}\ndelete table {0}\n", kTable);
}

std::vector<StaleFlow> stale_flows(const ServiceTable& from, const ServiceTable& to) {
  const auto before = served(from), after = served(to);
  std::vector<StaleFlow> stale;
  for (const auto& [key, entry] : before) {
    if (entry->protocol != IpProtocol::Udp) continue;
    const auto now = after.find(key);
    for (const Endpoint& backend : entry->backends) {
      if (now != after.end() && std::ranges::binary_search(now->second->backends, backend))
        continue;
      stale.push_back({entry->at, entry->node_port, backend});
    }
  }
  return stale;
}

}  // namespace hypermesh::datapath
