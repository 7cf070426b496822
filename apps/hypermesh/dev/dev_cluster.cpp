#include "dev/dev_cluster.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/mount.h>
#include <unistd.h>

#include <algorithm>
#include <base/random.hpp>
#include <datapath/node_isolation.hpp>
#include <set>
#include <sstream>

#include "dev/cluster_file.hpp"
#include "dev/files.hpp"
#include "dev/node_lifecycle.hpp"
#include "dev/readiness.hpp"

namespace cli::dev {
namespace {

namespace fs = std::filesystem;
namespace datapath = hypermesh::datapath;
using base::Errc;
using base::Result;

constexpr std::uint16_t kApiPort = 8443, kStoqPort = 9292, kDnsPort = 53;
constexpr int kStatusLimitMs = 1'000;

Result<> require_root() {
  if (::geteuid() == 0) return {};
  return std::unexpected(base::with_hint(
      base::make_error(Errc::Forbidden,
                       "a development node needs root: it makes namespaces, links and mounts"),
      "sudo hm dev"));
}

Result<FileLock> lock(const DevOptions& options) {
  return FileLock::take(options.home / kLockFileName,
                        static_cast<int>(options.ready_limit.count()));
}

datapath::NodeIdentity identity_of(const ClusterFile& cluster, std::size_t position) {
  return {.name = cluster.nodes[position],
          .index = static_cast<std::uint16_t>(position + 1),
          .cluster = cluster.prefixes,
          .dev = true};
}

/// The cluster of the home; a new one when there is none.
Result<ClusterFile> open_cluster(const DevOptions& options) {
  TRY(auto existing, read_cluster_file(options.home));
  if (existing) return std::move(*existing);
  TRY(const auto taken, datapath::machine_routes());
  base::SystemRng rng;
  ClusterFile cluster;
  TRY(cluster.prefixes, datapath::draw_cluster_prefixes(rng, taken));
  cluster.nodes = {kFirstNode};
  TRY_DO(replace_file(options.home / kClusterFileName, to_json(cluster), 0644));
  return cluster;
}

Result<ClusterFile> existing_cluster(const DevOptions& options) {
  TRY(auto cluster, read_cluster_file(options.home));
  if (cluster) return std::move(*cluster);
  return std::unexpected(base::with_hint(
      base::make_error(Errc::NotFound,
                       fmt::format("there is no development cluster in {}", options.home.string())),
      "hm dev --detach"));
}

Result<std::size_t> position_of(const ClusterFile& cluster, const std::string& node) {
  const auto found = std::ranges::find(cluster.nodes, node);
  if (found != cluster.nodes.end()) return static_cast<std::size_t>(found - cluster.nodes.begin());
  return base::fail(Errc::NotFound, fmt::format("there is no development node \"{}\"; there is {}",
                                                node, fmt::join(cluster.nodes, ", ")));
}

DevNode look_at(const DevOptions& options, const ClusterFile& cluster, std::size_t position) {
  const datapath::NodeIdentity identity = identity_of(cluster, position);
  const datapath::NodeAddresses own = identity.addresses();
  const NodeFiles files(options.home / identity.name);
  DevNode node;
  node.name = identity.name;
  node.home = files.home;
  node.api_socket = files.api_socket();
  const auto at = [&](std::uint16_t port) {
    return fmt::format("{}:{}", own.node6.to_host(), port);
  };
  node.api = at(kApiPort);
  node.stoq = at(kStoqPort);
  node.dns = at(kDnsPort);
  node.cluster_prefix = cluster.prefixes.v6.to_string();
  node.cluster_prefix4 = cluster.prefixes.v4.to_string();
  const auto keeper = find_process(files.keeper_pid());
  if (keeper) node.keeper_pid = keeper->pid();
  const auto daemon = find_process(files.daemon_pid());
  if (!daemon) {
    node.state = "Stopped";
    return node;
  }
  node.pid = daemon->pid();
  const auto ready = ask_ready(files.api_socket(), kStatusLimitMs);
  node.state = ready && keeper ? "Ready" : "NotReady";
  if (!ready) {
    node.reason = ready.error().describe();
  } else if (!keeper) {
    node.reason = "its keeper does not run";
  }
  return node;
}

std::vector<DevNode> look_at_all(const DevOptions& options, const ClusterFile& cluster) {
  std::vector<DevNode> nodes;
  for (std::size_t i = 0; i < cluster.nodes.size(); ++i)
    nodes.push_back(look_at(options, cluster, i));
  return nodes;
}

Result<> start_one(const DevOptions& options, const ClusterFile& cluster, std::size_t position) {
  const NodeFiles files(options.home / cluster.nodes[position]);
  TRY_DO(prepare_node(files, identity_of(cluster, position)));
  return start_node(options, files, Deadline(options.ready_limit));
}

/// The options with a home that is one name for one folder: links and cgroups are found by it.
DevOptions resolved(DevOptions options) {
  std::error_code error;
  const fs::path home = fs::weakly_canonical(options.home, error);
  if (!error) options.home = home;
  return options;
}

/// Something in the folder is called as a node's files are, or nothing is in it at all.
bool is_node_folder(const NodeFiles& files) {
  std::error_code error;
  if (!fs::is_directory(files.home, error) || fs::is_symlink(files.home, error)) return false;
  if (fs::is_empty(files.home, error)) return files.home.filename() == kFirstNode;
  for (const fs::path& file :
       {files.identity(), files.keeper_log(), files.daemon_log(), files.keeper_pid(),
        files.daemon_pid(), files.keeper_socket(), files.api_socket()}) {
    if (fs::exists(fs::symlink_status(file, error))) return true;
  }
  return false;
}

/// Every node that there may be something of, whatever is left of the files that name it.
std::vector<NodeFiles> all_nodes(const DevOptions& options) {
  std::set<fs::path> folders{options.home / kFirstNode};
  if (const auto cluster = read_cluster_file(options.home); cluster && *cluster) {
    for (const std::string& name : (*cluster)->nodes) folders.insert(options.home / name);
  }
  for (const MarkedProcess& marked : processes_with_variable(kNodeHomeVariable)) {
    if (fs::path(marked.value).parent_path() == options.home) folders.insert(marked.value);
  }
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(options.home, error)) {
    if (is_node_folder(NodeFiles(entry.path()))) folders.insert(entry.path());
  }
  std::vector<NodeFiles> nodes;
  for (const fs::path& folder : folders) nodes.emplace_back(folder);
  return nodes;
}

/// A node mounts inside its own namespace only; a keeper that was run by hand without one may have
/// left some here.
void unmount_below(const fs::path& folder) {
  std::istringstream mounts(read_text("/proc/self/mounts"));
  std::vector<std::string> targets;
  for (std::string line; std::getline(mounts, line);) {
    std::istringstream fields(line);
    std::string source, target;
    fields >> source >> target;
    if (target.starts_with(folder.string() + "/")) targets.push_back(target);
  }
  for (auto target = targets.rbegin(); target != targets.rend(); ++target) {
    (void)::umount2(target->c_str(), MNT_DETACH | UMOUNT_NOFOLLOW);
  }
}

}  // namespace

Result<std::vector<DevNode>> dev_up(const DevOptions& given) {
  if (given.nodes != 1) {
    return std::unexpected(base::with_hint(
        base::make_error(
            Errc::Unsupported,
            fmt::format(
                "a cluster of {} nodes needs replicated state, which this build does not have; it "
                "runs one node",
                given.nodes)),
        "hm dev --detach"));
  }
  const DevOptions options = resolved(given);
  TRY_DO(require_root());
  std::error_code error;
  fs::create_directories(options.home, error);
  if (error)
    return base::fail_errno(error.value(), fmt::format("cannot make {}", options.home.string()));
  TRY(const FileLock held, lock(options));
  TRY(const ClusterFile cluster, open_cluster(options));
  for (std::size_t i = 0; i < cluster.nodes.size(); ++i) TRY_DO(start_one(options, cluster, i));
  return look_at_all(options, cluster);
}

Result<std::vector<DevNode>> dev_status(const DevOptions& given) {
  const DevOptions options = resolved(given);
  TRY(const auto cluster, read_cluster_file(options.home));
  if (!cluster) return std::vector<DevNode>{};
  return look_at_all(options, *cluster);
}

Result<DevNode> dev_start(const DevOptions& given, const std::string& node) {
  const DevOptions options = resolved(given);
  TRY_DO(require_root());
  TRY_DO(existing_cluster(options));
  TRY(const FileLock held, lock(options));
  TRY(const ClusterFile cluster, existing_cluster(options));
  TRY(const std::size_t position, position_of(cluster, node));
  TRY_DO(start_one(options, cluster, position));
  return look_at(options, cluster, position);
}

Result<> dev_stop(const DevOptions& given, const std::string& node, bool power_off) {
  const DevOptions options = resolved(given);
  TRY_DO(require_root());
  TRY_DO(existing_cluster(options));
  TRY(const FileLock held, lock(options));
  TRY(const ClusterFile cluster, existing_cluster(options));
  TRY(const std::size_t position, position_of(cluster, node));
  const NodeFiles files(options.home / cluster.nodes[position]);
  return power_off ? end_nodes(options, {files}) : stop_node(options, files);
}

Result<> dev_stop_all(const DevOptions& given, bool power_off) {
  const DevOptions options = resolved(given);
  TRY_DO(require_root());
  TRY_DO(existing_cluster(options));
  TRY(const FileLock held, lock(options));
  const auto nodes = all_nodes(options);
  if (power_off) return end_nodes(options, nodes);
  for (const NodeFiles& files : nodes) TRY_DO(stop_node(options, files));
  return {};
}

Result<> dev_reset(const DevOptions& given, const std::vector<std::string>& extra_files) {
  const DevOptions options = resolved(given);
  TRY_DO(require_root());
  std::error_code error;
  const bool there = fs::exists(options.home, error);
  std::optional<FileLock> held;
  if (there) {
    TRY(held, lock(options));
  }
  const auto nodes = all_nodes(options);
  std::set<fs::path> named;
  if (const auto cluster = read_cluster_file(options.home); cluster && *cluster) {
    for (const std::string& name : (*cluster)->nodes) named.insert(options.home / name);
  }
  TRY_DO(end_nodes(options, nodes));
  for (const NodeFiles& files : nodes) {
    if (!named.contains(files.home) && !is_node_folder(files)) continue;
    unmount_below(files.home);
    TRY_DO(remove_tree(files.home));
  }
  if (!there) return {};
  std::vector<std::string> names{kClusterFileName, std::string(kClusterFileName) + ".new"};
  names.insert(names.end(), extra_files.begin(), extra_files.end());
  for (const std::string& name : names) {
    BASE_ASSERT(!name.empty() && name.find('/') == std::string::npos && name != "." && name != "..",
                "names in the home only");
    TRY_DO(remove_tree(options.home / name));
  }
  held->remove();
  return {};
}

}  // namespace cli::dev
