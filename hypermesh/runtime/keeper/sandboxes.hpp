#pragma once

// What pods need of the kernel before their first container, some of it made before it is asked
// for: most of the time that a pod takes to start would go into its namespaces and its link.

#include <base/log.hpp>
#include <deque>
#include <nexus/workload_types.hpp>
#include <string>
#include <vector>

#include "datapath/addressing.hpp"
#include "runtime/keeper/loop.hpp"
#include "runtime/keeper/namespaces.hpp"
#include "runtime/keeper/node_network.hpp"

namespace hypermesh::keeper {

struct Sandbox {
  PodNamespaces namespaces;
  UniqueFd layer_ids;  ///< Maps ids of layers and named volumes on disk to the pod's.
  UniqueFd host_ids;   ///< Maps the machine's ids to the pod's; none where they are the same.
  std::vector<std::string> addresses;
  std::string link;  ///< What the network knows it by; empty: it has no link of its own.
};

struct SandboxOptions {
  std::uint32_t id_base = 0;  ///< KeeperOptions::id_base.
  unsigned spares = 0;        ///< Kept ready.
};

/// The sandboxes of a node, and the slots that their ids and addresses follow from.
class Sandboxes {
 public:
  /// All borrowed.
  Sandboxes(Loop& loop, NodeNetwork& network, SandboxOptions options, base::Log log);
  ~Sandboxes();

  /// A slot that a pod of a predecessor has. Errors: AlreadyExists, InvalidArgument.
  base::Result<> reserve(std::uint16_t slot) { return slots_.reserve(slot); }
  /// A slot for a new pod, with a sandbox ready in it if there is one that `spec` can use. Errors:
  /// ResourceExhausted.
  base::Result<std::uint16_t> allocate(const nexus::PodSpec& spec);
  void release(std::uint16_t slot);

  /// The sandbox of a pod in this slot. Blocks for some milliseconds unless one is ready. Errors:
  /// of the kernel and of the network; InvalidArgument (a sysctl). Nothing is left then.
  base::Result<Sandbox> make(std::uint16_t slot, const nexus::PodSpec& spec);
  /// The pod's link goes; the namespaces go with the descriptors. After an error all is as it was.
  base::Result<> drop(Sandbox& sandbox);

  /// Begins to keep spares.
  void open();
  /// Takes away those that are ready and makes no more.
  void close();

 private:
  struct Spare {
    std::uint16_t slot;
    Sandbox sandbox;
  };
  base::Result<Sandbox> make_new(std::uint16_t slot, const nexus::PodSpec& spec);
  void refill_after(base::Duration delay);
  void refill();

  Loop& loop_;
  NodeNetwork& network_;
  const SandboxOptions options_;
  base::Log log_;
  datapath::IndexAllocator slots_{datapath::kPodIndexMax};
  std::deque<Spare> spares_;
  std::uint64_t next_link_ = 1;
  std::optional<TimerId> refill_;
  bool open_ = false;
};

/// Of everything in this slot, on disk and in its user namespace: the first of 65536 ids.
std::uint32_t first_id(std::uint32_t id_base, std::uint16_t slot);

}  // namespace hypermesh::keeper
