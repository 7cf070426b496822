#pragma once

// Starting and ending the processes of one development node.

#include "dev/cluster_file.hpp"
#include "dev/dev_cluster.hpp"
#include "dev/process.hpp"

namespace cli::dev {

/// In the environment of everything that runs for a node: its folder.
inline constexpr std::string_view kNodeHomeVariable = "HM_NODE_HOME";

class Deadline {
 public:
  explicit Deadline(std::chrono::milliseconds limit)
      : until_(std::chrono::steady_clock::now() + limit) {}
  std::chrono::milliseconds left() const {
    return std::max(std::chrono::duration_cast<std::chrono::milliseconds>(
                        until_ - std::chrono::steady_clock::now()),
                    std::chrono::milliseconds(0));
  }
  bool passed() const { return left().count() == 0; }

 private:
  std::chrono::steady_clock::time_point until_;
};

/// Makes the node's folder with all that must be there before its processes start.
base::Result<> prepare_node(const NodeFiles& files,
                            const hypermesh::datapath::NodeIdentity& identity);

/// Starts the node's keeper and daemon unless they run, and waits until the node is ready.
base::Result<> start_node(const DevOptions& options, const NodeFiles& files,
                          const Deadline& deadline);

/// SIGTERM for the daemon, then for the keeper, which ends its containers; then as end_node.
base::Result<> stop_node(const DevOptions& options, const NodeFiles& files);

/// Kills everything that runs for the nodes, all of them at once, and removes what they have
/// outside of their folders: cgroups and links. Works with whatever is left of them.
base::Result<> end_nodes(const DevOptions& options, const std::vector<NodeFiles>& nodes);

}  // namespace cli::dev
