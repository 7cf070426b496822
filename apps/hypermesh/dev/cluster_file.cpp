#include "dev/cluster_file.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "dev/files.hpp"

namespace cli::dev {
namespace {

using hypermesh::datapath::ClusterPrefixes;
using hypermesh::datapath::IpPrefix;
using hypermesh::datapath::NodeIdentity;

constexpr int kVersion = 1;

base::Result<ClusterFile> read_members(const nlohmann::json& root) {
  const auto text = [&](const char* key) -> base::Result<std::string> {
    const auto found = root.find(key);
    if (found != root.end() && found->is_string()) return found->get<std::string>();
    return base::fail(base::Errc::DataLoss, fmt::format("\"{}\" is missing or no text", key));
  };
  const auto version = root.find("version");
  if (version == root.end() || *version != kVersion) {
    return base::fail(base::Errc::DataLoss, fmt::format("\"version\" is not {}", kVersion));
  }
  TRY(const std::string v6, text("cluster_prefix"));
  TRY(const std::string v4, text("cluster_prefix4"));
  TRY(const IpPrefix prefix6, IpPrefix::parse(v6));
  TRY(const IpPrefix prefix4, IpPrefix::parse(v4));
  ClusterFile cluster;
  TRY(cluster.prefixes, ClusterPrefixes::make(prefix6, prefix4));
  const auto nodes = root.find("nodes");
  if (nodes == root.end() || !nodes->is_array() || nodes->empty()) {
    return base::fail(base::Errc::DataLoss, "\"nodes\" is not a list of names");
  }
  for (const auto& node : *nodes) {
    if (!node.is_string())
      return base::fail(base::Errc::DataLoss, "\"nodes\" is not a list of names");
    cluster.nodes.push_back(node.get<std::string>());
    // The name becomes a folder's, which is removed in the end: it must be a name and nothing else.
    const NodeIdentity identity{.name = cluster.nodes.back(),
                                .index = static_cast<std::uint16_t>(cluster.nodes.size()),
                                .cluster = cluster.prefixes,
                                .dev = true};
    TRY_DO(identity.validate());
  }
  return cluster;
}

}  // namespace

std::string to_json(const ClusterFile& cluster) {
  nlohmann::ordered_json root;
  root["version"] = kVersion;
  root["cluster_prefix"] = cluster.prefixes.v6.to_string();
  root["cluster_prefix4"] = cluster.prefixes.v4.to_string();
  root["nodes"] = cluster.nodes;
  return root.dump(2) + "\n";
}

base::Result<ClusterFile> parse_cluster_file(std::string_view text) {
  const auto root = nlohmann::json::parse(text, nullptr, false);
  if (!root.is_object()) return base::fail(base::Errc::DataLoss, "is not a JSON object");
  auto cluster = read_members(root);
  if (cluster) return cluster;
  base::Error error = std::move(cluster).error();
  error.code = base::Errc::DataLoss;
  return std::unexpected(std::move(error));
}

base::Result<std::optional<ClusterFile>> read_cluster_file(const std::filesystem::path& home) {
  const auto file = home / kClusterFileName;
  std::error_code error;
  const bool there = std::filesystem::exists(file, error);
  if (!error && !there) return std::nullopt;
  auto cluster = parse_cluster_file(read_text(file));
  if (cluster) return std::move(*cluster);
  return std::unexpected(base::with_hint(
      base::wrap(std::move(cluster).error(), fmt::format("{} is damaged", file.string())),
      "hm dev reset -y"));
}

}  // namespace cli::dev
