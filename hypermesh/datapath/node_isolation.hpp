#pragma once

// A development node is a host of its own on the machine: a network and a mount namespace, and one
// veth pair between the two. All of it hangs on the processes inside: when the last one is gone,
// the kernel removes the namespaces, and with the node's end of the veth the machine's end, its
// addresses and its routes.
//
//   machine                                        node
//   hm-xxxxx  fe80::…, P::1, Q.0.1   <--- veth --->  uplink  fe80::…, P:i::1, Q.i.1
//   P::/48, Q/16 via the node                        default via the machine
//
// The machine's own settings stay as they are: it forwards nothing for us, its end is an address of
// its own.

#include <filesystem>
#include <string>

#include "datapath/addressing.hpp"
#include "datapath/unique_fd.hpp"

namespace hypermesh::datapath {

/// Where a node finds its home inside its mount namespace.
inline constexpr const char* kNodeHomeInside = "/run/hypermesh";
inline constexpr const char* kUplinkName = "uplink";

struct NodeIsolation {
  NodeIdentity identity;
  /// The node's folder on the machine, absolute: bound to kNodeHomeInside.
  std::filesystem::path home;
  std::uint32_t mtu = 1500;
};

/// Five hexadecimal digits that follow from the node's home: what of a node must have a name on the
/// machine is found again by it, also when no file of the node is left.
std::string node_tag(const std::filesystem::path& home);
/// "hypermesh-" and the tag: the folder that a node makes in each cgroup hierarchy for all its own.
std::string node_cgroup_name(const std::filesystem::path& home);
/// "hm-" and the tag: the machine's end of the veth.
std::string machine_link_name(const std::filesystem::path& home);

/// What the caller takes along.
struct NodeNamespaces {
  UniqueFd machine_network;  ///< The machine's network namespace, for registries on its loopback.
};

/// Moves the calling process, which must have one thread only, into new namespaces and sets them up
/// whole. What is started from it afterwards is inside as well. Needs root.
///
/// After an error the process may be in half of a node: it is to exit, and nothing stays.
/// Errors: Unsupported (no IPv6 in this kernel), AlreadyExists (the link's name is someone else's),
/// Forbidden (not root), and those of the kernel, with what was tried.
base::Result<NodeNamespaces> enter_node_namespaces(const NodeIsolation& node);

/// For a node in the network namespace that the calling thread is in: gives the machine the node's
/// own addresses, which its pods' links need, on a link of their own called machine_link_name().
/// Replaces what an earlier process left. Undo with remove_machine_link. Errors: AlreadyExists (the
/// link's name is someone else's), Forbidden, and those of the kernel.
base::Result<> add_node_addresses(const NodeIdentity& identity, const std::filesystem::path& home);

/// Removes the machine's end of a node that is gone or must go; the node's end goes with it. Or the
/// link of add_node_addresses. The calling thread is in the machine's network namespace. Not an
/// error when there is none. Errors:
/// AlreadyExists (the link of that name is not ours and stays).
base::Result<> remove_machine_link(const std::filesystem::path& home);

/// Destinations that the machine routes, for draw_cluster_prefixes. The calling thread is in its
/// namespace.
base::Result<std::vector<IpPrefix>> machine_routes();

}  // namespace hypermesh::datapath
