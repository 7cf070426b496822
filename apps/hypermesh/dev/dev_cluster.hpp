#pragma once

// The development cluster of a home folder (HM_HOME): nodes that are hosts of their own in
// namespaces of this machine.
//
//   HM_HOME/dev.lock          held while a command changes something here
//   HM_HOME/cluster.json      the cluster's prefixes and the names of its nodes
//   HM_HOME/<node>/           seen as /run/hypermesh inside the node; belongs to root
//     node.json               what the node is: read by keeper and daemon
//     keeper.log hypermeshd.log, keeper.pid hypermeshd.pid
//     run/                    keeper.sock, api.sock
//     state/                  the daemon's; belongs to its user
//
// What runs is found by its pid file and by HM_NODE_HOME in its environment; what has a name on the
// machine (a link, cgroups) by the tag that follows from the node's folder. So everything is found
// again after any kill, and when files are missing.

#include <sys/types.h>

#include <base/error.hpp>
#include <chrono>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace cli::dev {

/// Of the daemon where the machine has no user `hypermesh`.
inline constexpr uid_t kFallbackUser = 64790;

struct DevOptions {
  std::filesystem::path home;    ///< Absolute.
  std::filesystem::path keeper;  ///< Program; empty: found beside this program or on the PATH.
  std::filesystem::path daemon;  ///< Likewise.
  std::uint32_t nodes = 1;
  /// Environment of the caller; settings in it (STOQ_*, NEXUS_*, HYPERMESH_*) reach keeper and
  /// daemon, the rest does not.
  std::vector<std::string> environment;
  std::chrono::milliseconds ready_limit{30'000};  ///< For all of a start.
  /// Told when a step is done: "keeper", "hypermeshd".
  std::function<void(std::string_view step, std::chrono::milliseconds took)> progress;
  /// Where cgroup hierarchies are mounted.
  std::filesystem::path cgroup_top = "/sys/fs/cgroup";
};

struct DevNode {
  std::string name;
  std::string state;     ///< "Ready", "NotReady" (runs, does not say that it is ready), "Stopped".
  std::string reason;    ///< Why not ready; may be empty.
  pid_t pid = 0;         ///< The daemon's; 0 when it does not run.
  pid_t keeper_pid = 0;  ///< 0 when it does not run.
  std::string api, stoq, dns;  ///< "[addr]:port", reachable from the machine.
  std::string cluster_prefix, cluster_prefix4;
  std::filesystem::path home;  ///< The node's folder.
  std::filesystem::path api_socket;
};

/// Starts what does not run and waits until every node is ready; what runs is left alone.
/// Errors: Forbidden (not root), Unsupported (several nodes; a kernel without IPv6),
/// FailedPrecondition (another hm dev is at work here), NotFound (a program is missing), and
/// Internal, TimedOut or Unavailable for a process that does not come up: with its log file and its
/// last lines.
base::Result<std::vector<DevNode>> dev_up(const DevOptions& options);

/// All nodes of the home, by name; none is no error. Needs no right but to read the home.
base::Result<std::vector<DevNode>> dev_status(const DevOptions& options);

/// Starts one node again. Errors: NotFound (no such node: names those that are there), and those of
/// dev_up.
base::Result<DevNode> dev_start(const DevOptions& options, const std::string& node);

/// Ends a node: daemon, keeper and containers; its state stays. With `power_off` everything ends at
/// the same moment, unasked, as by a loss of power. Not an error when it does not run. Errors:
/// NotFound, Forbidden, TimedOut.
base::Result<> dev_stop(const DevOptions& options, const std::string& node, bool power_off);
base::Result<> dev_stop_all(const DevOptions& options, bool power_off);

/// Ends everything and removes everything that was made here; `extra_files` are names in the home
/// that the caller made. Works after any kill and with files missing; the home itself and files of
/// others stay.
base::Result<> dev_reset(const DevOptions& options, const std::vector<std::string>& extra_files);

}  // namespace cli::dev
