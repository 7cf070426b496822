#pragma once

// The node's firewall as input of `nft -f` (nft(8)): one table of our own, `inet hypermesh`, which
// is rebuilt or removed as a whole.
//
//   services4/6   map: service address . protocol . port -> the service's chain
//   nodeports4/6  map: protocol . port -> the service's chain, for the node's own addresses
//   <chain>       one for each service port with backends: chooses one at random, translates the
//   destination refuse        what no chain took and goes to a service's address, or to a pod that
//   is gone: refused at once guard         a pod sends from its own addresses only nat           a
//   pod that reaches itself by a service, and whatever leaves the cluster, gets the node's address
//
// A change of the table is one transaction of the kernel and touches the chains of the services
// that changed.

#include <string>
#include <vector>

#include "datapath/addressing.hpp"
#include "datapath/service_table.hpp"

namespace hypermesh::datapath {

/// Replaces whatever is in the table.
std::string whole_ruleset(const NodeIdentity& node, const ServiceTable& table);
/// From the table `from`, which is in the kernel, to `to`. Empty when nothing changes.
std::string ruleset_change(const NodeIdentity& node, const ServiceTable& from,
                           const ServiceTable& to);
/// Removes the table; no error when there is none.
std::string ruleset_removal();

/// Tracked UDP flows that go to a backend which is not one any more. TCP connections end with their
/// pod.
struct StaleFlow {
  Endpoint service;             ///< As the client sees it...
  std::uint16_t node_port = 0;  ///< ...or any address of the node with this port.
  Endpoint backend;
  auto operator<=>(const StaleFlow&) const = default;
};
std::vector<StaleFlow> stale_flows(const ServiceTable& from, const ServiceTable& to);

}  // namespace hypermesh::datapath
