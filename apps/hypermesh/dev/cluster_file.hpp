#pragma once

// What a home folder holds and how it is called.

#include <base/error.hpp>
#include <datapath/addressing.hpp>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace cli::dev {

inline constexpr const char* kClusterFileName = "cluster.json";
inline constexpr const char* kLockFileName = "dev.lock";
inline constexpr const char* kFirstNode = "n1";

/// Names of a node's folder.
struct NodeFiles {
  explicit NodeFiles(std::filesystem::path folder) : home(std::move(folder)) {}
  std::filesystem::path home;
  std::filesystem::path identity() const { return home / "node.json"; }
  std::filesystem::path keeper_log() const { return home / "keeper.log"; }
  std::filesystem::path daemon_log() const { return home / "hypermeshd.log"; }
  std::filesystem::path keeper_pid() const { return home / "keeper.pid"; }
  std::filesystem::path daemon_pid() const { return home / "hypermeshd.pid"; }
  std::filesystem::path run() const { return home / "run"; }
  std::filesystem::path state() const { return home / "state"; }
  std::filesystem::path keeper_socket() const { return run() / "keeper.sock"; }
  std::filesystem::path api_socket() const { return run() / "api.sock"; }
};

struct ClusterFile {
  hypermesh::datapath::ClusterPrefixes prefixes;
  std::vector<std::string> nodes;  ///< Node i has index i + 1.
};
std::string to_json(const ClusterFile& cluster);
/// Errors: DataLoss (says what is wrong).
base::Result<ClusterFile> parse_cluster_file(std::string_view text);
/// Empty when there is none.
base::Result<std::optional<ClusterFile>> read_cluster_file(const std::filesystem::path& home);

}  // namespace cli::dev
