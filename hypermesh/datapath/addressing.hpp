#pragma once

// The address plan of a cluster. With P the cluster's /48 and Q its IPv4 /16, for node i of 1 to
// 239:
//
//   P:0::/64      Q.0.0/24      the machine's end of its link to a development node (::1, .1)
//   P:i::/64      Q.i.0/24      node i: the node itself (::1, .1), its pods (::2, .2 and up)
//   P:ffff::/112  Q.240.0/20    addresses of services

#include <base/random.hpp>
#include <cstdint>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "datapath/address.hpp"

namespace hypermesh::datapath {

inline constexpr std::uint16_t kNodeIndexMax = 239;  ///< Q.240.0 and above are services.
inline constexpr std::uint16_t kPodIndexMax = 253;   ///< .2 to .254 of the node's /24.

struct ClusterPrefixes {
  IpPrefix v6;  ///< /48 of fd00::/8, random (RFC 4193, section 3.2).
  IpPrefix v4;  ///< /16 of 10.0.0.0/8.

  /// Checks lengths and ranges. Errors: InvalidArgument.
  static base::Result<ClusterPrefixes> make(const IpPrefix& v6, const IpPrefix& v4);
  IpPrefix services6() const;
  IpPrefix services4() const;
  IpAddress machine6() const { return v6.address.plus(1); }
  IpAddress machine4() const { return v4.address.plus(1); }
  bool operator==(const ClusterPrefixes&) const = default;
};

/// Draws prefixes at random that overlap none of `taken` (the machine's routes; default routes do
/// not count). Where everything in 10.0.0.0/8 is routed by /8 or wider, such wide routes are
/// overridden by our more specific one; narrower routes never are. Errors: ResourceExhausted
/// (nothing is free).
base::Result<ClusterPrefixes> draw_cluster_prefixes(base::Rng& rng,
                                                    std::span<const IpPrefix> taken);

/// What belongs to one node.
struct NodeAddresses {
  IpPrefix pods6, pods4;
  IpAddress node6, node4;
  bool operator==(const NodeAddresses&) const = default;
};
/// `index` is 1 to kNodeIndexMax. Errors: InvalidArgument.
base::Result<NodeAddresses> addresses_of_node(const ClusterPrefixes& cluster, std::uint32_t index);

struct PodAddresses {
  IpAddress v6, v4;
  bool operator==(const PodAddresses&) const = default;
};
/// `index` is 1 to kPodIndexMax. Errors: InvalidArgument.
base::Result<PodAddresses> addresses_of_pod(const NodeAddresses& node, std::uint32_t index);
/// The index whose addresses contain `address`; empty when it is no pod's of this node.
std::optional<std::uint16_t> pod_index_of(const NodeAddresses& node, const IpAddress& address);

/// Hands out numbers 1 to `index_max`, the longest unused first: an address that was just given
/// back is not the next one given out, so that a client's stale connection does not reach a new
/// pod.
class IndexAllocator {
 public:
  explicit IndexAllocator(std::uint16_t index_max) : index_max_(index_max) {}
  /// Errors: ResourceExhausted.
  base::Result<std::uint16_t> allocate();
  /// Marks an index that is in use already. Errors: AlreadyExists, InvalidArgument (out of range).
  base::Result<> reserve(std::uint32_t index);
  void release(std::uint16_t index) { used_.erase(index); }
  std::size_t used() const { return used_.size(); }

 private:
  std::uint16_t index_max_;
  std::uint16_t last_ = 0;
  std::set<std::uint16_t> used_;
};

struct ServiceAddresses {
  IpAddress v6, v4;
  bool operator==(const ServiceAddresses&) const = default;
};

/// Addresses of services, first free. A service has the same offset in both families.
class ServiceAddressAllocator {
 public:
  explicit ServiceAddressAllocator(const ClusterPrefixes& cluster);
  /// Errors: ResourceExhausted (names how many there are).
  base::Result<ServiceAddresses> allocate();
  /// Takes the pair that `address` belongs to, as asked for by name or found in the state.
  /// Errors: InvalidArgument (outside the range), AlreadyExists.
  base::Result<ServiceAddresses> reserve(const IpAddress& address);
  /// Nothing happens when `address` is not in use.
  void release(const IpAddress& address);

 private:
  std::optional<std::uint32_t> offset_of(const IpAddress& address) const;
  ServiceAddresses at(std::uint32_t offset) const;
  IpPrefix services6_, services4_;
  std::set<std::uint32_t> used_;
};

/// What a node is within its cluster; `node.json` in the node's home.
struct NodeIdentity {
  std::string name;
  std::uint16_t index = 1;
  ClusterPrefixes cluster;
  bool dev = false;  ///< A development node: in namespaces of its own, linked to the machine.

  /// `index` is valid in an identity that was parsed or checked.
  NodeAddresses addresses() const;
  base::Result<> validate() const;
  bool operator==(const NodeIdentity&) const = default;
};
/// {"name","index","cluster_prefix","cluster_prefix4","node_address","node_address4","dev"}
std::string to_json(const NodeIdentity& identity);
/// Errors: InvalidArgument (names the member). Unknown members are refused.
base::Result<NodeIdentity> parse_node_identity(std::string_view json);

}  // namespace hypermesh::datapath
