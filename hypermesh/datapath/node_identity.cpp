#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "datapath/addressing.hpp"

namespace hypermesh::datapath {
namespace {

using nlohmann::json;

constexpr std::size_t kNameCharactersMax = 63;  // a DNS label: names of nodes stand in names

base::Error wrong(std::string_view what) {
  return base::make_error(base::Errc::InvalidArgument, fmt::format("node identity: {}", what));
}

base::Result<std::string> text_member(const json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_string()) {
    return std::unexpected(wrong(fmt::format("\"{}\" is missing or no text", key)));
  }
  return found->get<std::string>();
}

}  // namespace

NodeAddresses NodeIdentity::addresses() const {
  auto addresses = addresses_of_node(cluster, index);
  BASE_ASSERT(addresses.has_value(), "the identity was validated");
  return *addresses;
}

base::Result<> NodeIdentity::validate() const {
  const auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
  };
  if (name.empty() || name.size() > kNameCharactersMax || name.front() == '-' ||
      name.back() == '-' || !std::ranges::all_of(name, allowed)) {
    return std::unexpected(
        wrong(fmt::format("\"name\" is \"{}\"; must be 1 to {} of a-z 0-9 and inner hyphens",
                          name.substr(0, 64), kNameCharactersMax)));
  }
  TRY_DO(ClusterPrefixes::make(cluster.v6, cluster.v4));
  TRY_DO(addresses_of_node(cluster, index));
  return {};
}

std::string to_json(const NodeIdentity& identity) {
  const NodeAddresses own = identity.addresses();
  nlohmann::ordered_json object;
  object["name"] = identity.name;
  object["index"] = identity.index;
  object["cluster_prefix"] = identity.cluster.v6.to_string();
  object["cluster_prefix4"] = identity.cluster.v4.to_string();
  object["node_address"] = own.node6.to_string();
  object["node_address4"] = own.node4.to_string();
  object["dev"] = identity.dev;
  return object.dump(2) + "\n";
}

base::Result<NodeIdentity> parse_node_identity(std::string_view text) {
  const json object = json::parse(text, nullptr, false);
  if (!object.is_object()) return std::unexpected(wrong("is not a JSON object"));
  constexpr std::array kKnown{
      "name", "index", "cluster_prefix", "cluster_prefix4", "node_address", "node_address4", "dev"};
  for (const auto& [key, value] : object.items()) {
    if (std::ranges::find(kKnown, key) == kKnown.end()) {
      return std::unexpected(wrong(fmt::format("\"{}\" is not a known member", key)));
    }
  }
  NodeIdentity identity;
  TRY(identity.name, text_member(object, "name"));
  const auto index = object.find("index");
  if (index == object.end() || !index->is_number_unsigned() ||
      index->get<std::uint64_t>() > kNodeIndexMax) {
    return std::unexpected(
        wrong(fmt::format("\"index\" is not a number from 1 to {}", kNodeIndexMax)));
  }
  identity.index = index->get<std::uint16_t>();
  TRY(const std::string v6, text_member(object, "cluster_prefix"));
  TRY(const std::string v4, text_member(object, "cluster_prefix4"));
  TRY(const IpPrefix prefix6, IpPrefix::parse(v6));
  TRY(const IpPrefix prefix4, IpPrefix::parse(v4));
  identity.cluster = {prefix6, prefix4};
  if (const auto dev = object.find("dev"); dev != object.end()) {
    if (!dev->is_boolean()) return std::unexpected(wrong("\"dev\" is not true or false"));
    identity.dev = dev->get<bool>();
  }
  TRY_DO(identity.validate());
  // The addresses stand in the file for readers that know no plan; they follow from prefix and
  // index.
  const NodeAddresses own = identity.addresses();
  for (const auto& [key, address] :
       {std::pair{"node_address", own.node6}, std::pair{"node_address4", own.node4}}) {
    TRY(const std::string written, text_member(object, key));
    if (written != address.to_string()) {
      return std::unexpected(wrong(fmt::format("\"{}\" is {}; prefix and index make it {}", key,
                                               written, address.to_string())));
    }
  }
  return identity;
}

}  // namespace hypermesh::datapath
