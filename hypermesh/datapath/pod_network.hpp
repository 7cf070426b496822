#pragma once

// One routed veth pair for each pod. No bridge: the node routes every packet, so a pod reaches
// nothing that the node's rules have not seen, and two pods share no link.
//
//   node                                             pod
//   hm<12 hex>  fe80::…                 <--- veth --->  eth0  pod's /128 and /32, fe80::…
//   pod's /128 and /32 on the link                     default by the node's link-local and IPv4
//   address
//
// Both ends know each other's hardware address for ever, and no address is probed for duplicates: a
// pod is reachable the moment that attach returns.

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "datapath/addressing.hpp"
#include "datapath/netlink_socket.hpp"

namespace hypermesh::datapath {

inline constexpr const char* kPodLinkPrefix = "hm";
inline constexpr const char* kPodInterface = "eth0";

/// "hm" and twelve hexadecimal digits that follow from the pod's uid.
std::string pod_link_name(std::string_view pod_uid);

struct PodAttachment {
  std::string pod_uid;  ///< At most 200 characters.
  int netns = -1;       ///< Descriptor of the pod's network namespace; borrowed.
  PodAddresses addresses;
};

/// The links of one node's pods. Used by one thread at a time, which must be able to enter the
/// pods' namespaces (root of the machine). Everything blocks for well under a millisecond, except
/// that the kernel takes some milliseconds to let a link go.
class PodNetwork {
 public:
  /// Speaks to the network namespace that the calling thread is in now: the node's.
  static base::Result<PodNetwork> open(const NodeAddresses& node, std::uint32_t mtu = 1500);

  /// Connects the pod. A link that an earlier pod of the same uid left is replaced. After an error
  /// nothing of the link is left. Errors: InvalidArgument (uid, addresses of another node),
  /// AlreadyExists (the namespace has an eth0), and the kernel's.
  base::Result<> attach(const PodAttachment& pod);

  /// Takes the routes to the pod away: nothing reaches it any more, nothing it sends gets past its
  /// own link, and its addresses can be given to another pod. The link itself goes with the pod's
  /// namespace, in a thread of the kernel, which takes tens of milliseconds; nobody waits for that
  /// here. Not an error when there is no link.
  base::Result<> detach(std::string_view pod_uid);

  /// Uids of the pods that have a link, detached ones included until it is gone.
  base::Result<std::vector<std::string>> list();

  /// Removes the links of all pods that are not in `living` and answers their uids: what a crash
  /// left behind.
  base::Result<std::vector<std::string>> remove_all_but(const std::set<std::string>& living);

 private:
  PodNetwork(NetlinkSocket socket, NodeAddresses node, std::uint32_t mtu)
      : socket_(std::move(socket)), node_(node), mtu_(mtu) {}
  base::Result<> connect(const PodAttachment& pod, const std::string& link);
  base::Result<> remove_left(const std::string& link);
  base::Result<> remove_link(std::uint32_t index);
  base::Result<> set_up_pod_end(const PodAttachment& pod) const;

  NetlinkSocket socket_;  // of the node's namespace
  NodeAddresses node_;
  std::uint32_t mtu_;
};

}  // namespace hypermesh::datapath
