#include "datapath/addressing.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace hypermesh::datapath {
namespace {

constexpr int kServiceOffsetMax4 = 4094;  // a /20 without its first and its last address

IpPrefix subnet6(const ClusterPrefixes& cluster, std::uint16_t number) {
  std::array<std::uint8_t, 16> bytes{};
  std::ranges::copy(cluster.v6.address.bytes(), bytes.begin());
  bytes[6] = static_cast<std::uint8_t>(number >> 8);
  bytes[7] = static_cast<std::uint8_t>(number);
  return {*IpAddress::from_bytes(bytes), 64};
}

}  // namespace

base::Result<ClusterPrefixes> ClusterPrefixes::make(const IpPrefix& v6, const IpPrefix& v4) {
  if (!v6.address.is_v6() || v6.length != 48 || v6.address.bytes()[0] != 0xfd) {
    return base::fail(
        base::Errc::InvalidArgument,
        fmt::format("cluster prefix is {}; must be a /48 of fd00::/8 (RFC 4193)", v6.to_string()));
  }
  if (v4.address.is_v6() || v4.length != 16 || v4.address.bytes()[0] != 10) {
    return base::fail(
        base::Errc::InvalidArgument,
        fmt::format("IPv4 cluster prefix is {}; must be a /16 of 10.0.0.0/8", v4.to_string()));
  }
  return ClusterPrefixes{v6, v4};
}

IpPrefix ClusterPrefixes::services6() const {
  return {subnet6(*this, 0xffff).address, 112};
}
IpPrefix ClusterPrefixes::services4() const {
  return {v4.address.plus(240u << 8), 20};
}

base::Result<ClusterPrefixes> draw_cluster_prefixes(base::Rng& rng,
                                                    std::span<const IpPrefix> taken) {
  const auto free_of = [&](const IpPrefix& candidate, int widest) {
    return std::ranges::none_of(taken, [&](const IpPrefix& route) {
      return route.length >= widest && route.overlaps(candidate);
    });
  };
  ClusterPrefixes cluster;
  // 2^40 prefixes: a second draw is already a rarity; a machine that routes all of fd00::/8 has
  // none.
  constexpr int kDrawsMax = 64;
  for (int draw = 0;; ++draw) {
    if (draw == kDrawsMax) {
      return base::fail(base::Errc::ResourceExhausted,
                        "no free /48 of fd00::/8: this machine routes them all");
    }
    std::array<std::uint8_t, 16> bytes{0xfd};
    rng.fill(std::span(bytes).subspan(1, 5));
    cluster.v6 = {*IpAddress::from_bytes(bytes), 48};
    if (free_of(cluster.v6, 1)) break;
  }
  for (const int widest : {1, 9}) {
    std::vector<IpPrefix> candidates;
    for (int second = 0; second < 256; ++second) {
      const IpPrefix prefix{IpAddress::v4(10, static_cast<std::uint8_t>(second), 0, 0), 16};
      if (free_of(prefix, widest)) candidates.push_back(prefix);
    }
    if (candidates.empty()) continue;
    cluster.v4 = candidates[rng.below(candidates.size())];
    return cluster;
  }
  return base::fail(base::Errc::ResourceExhausted,
                    "no free /16 of 10.0.0.0/8: each collides with a route of this machine");
}

base::Result<NodeAddresses> addresses_of_node(const ClusterPrefixes& cluster, std::uint32_t index) {
  if (index < 1 || index > kNodeIndexMax) {
    return base::fail(base::Errc::InvalidArgument,
                      fmt::format("node index is {}; must be 1 to {}", index, kNodeIndexMax));
  }
  NodeAddresses node;
  node.pods6 = subnet6(cluster, static_cast<std::uint16_t>(index));
  node.pods4 = {cluster.v4.address.plus(index << 8), 24};
  node.node6 = node.pods6.address.plus(1);
  node.node4 = node.pods4.address.plus(1);
  return node;
}

base::Result<PodAddresses> addresses_of_pod(const NodeAddresses& node, std::uint32_t index) {
  if (index < 1 || index > kPodIndexMax) {
    return base::fail(base::Errc::InvalidArgument,
                      fmt::format("pod index is {}; must be 1 to {}", index, kPodIndexMax));
  }
  return PodAddresses{node.node6.plus(index), node.node4.plus(index)};
}

std::optional<std::uint16_t> pod_index_of(const NodeAddresses& node, const IpAddress& address) {
  if (!(address.is_v6() ? node.pods6 : node.pods4).contains(address)) return {};
  const std::uint8_t low = address.bytes().back();
  if (low < 2) return {};
  const auto pod = addresses_of_pod(node, low - 1u);
  if (!pod || (address != pod->v6 && address != pod->v4)) return {};
  return static_cast<std::uint16_t>(low - 1);
}

base::Result<std::uint16_t> IndexAllocator::allocate() {
  for (std::uint32_t step = 1; step <= index_max_; ++step) {
    const auto index = static_cast<std::uint16_t>((last_ + step - 1) % index_max_ + 1);
    if (used_.insert(index).second) {
      last_ = index;
      return index;
    }
  }
  return base::fail(base::Errc::ResourceExhausted,
                    fmt::format("all {} pod addresses of this node are in use", index_max_));
}

base::Result<> IndexAllocator::reserve(std::uint32_t index) {
  if (index < 1 || index > index_max_) {
    return base::fail(base::Errc::InvalidArgument,
                      fmt::format("index is {}; must be 1 to {}", index, index_max_));
  }
  if (!used_.insert(static_cast<std::uint16_t>(index)).second) {
    return base::fail(base::Errc::AlreadyExists, fmt::format("index {} is in use", index));
  }
  return {};
}

ServiceAddressAllocator::ServiceAddressAllocator(const ClusterPrefixes& cluster)
    : services6_(cluster.services6()), services4_(cluster.services4()) {}

ServiceAddresses ServiceAddressAllocator::at(std::uint32_t offset) const {
  return {services6_.address.plus(offset), services4_.address.plus(offset)};
}

std::optional<std::uint32_t> ServiceAddressAllocator::offset_of(const IpAddress& address) const {
  if (!(address.is_v6() ? services6_ : services4_).contains(address)) return {};
  const auto bytes = address.bytes();
  std::uint32_t offset = static_cast<std::uint32_t>(bytes[bytes.size() - 2]) << 8 | bytes.back();
  if (!address.is_v6()) offset &= 0x0fff;
  if (offset < 1 || offset > kServiceOffsetMax4) return {};
  return offset;
}

base::Result<ServiceAddresses> ServiceAddressAllocator::allocate() {
  std::uint32_t offset = 1;
  for (const std::uint32_t used : used_) {
    if (used != offset) break;
    ++offset;
  }
  if (offset > kServiceOffsetMax4) {
    return base::fail(base::Errc::ResourceExhausted,
                      fmt::format("all {} service addresses are in use", kServiceOffsetMax4));
  }
  used_.insert(offset);
  return at(offset);
}

base::Result<ServiceAddresses> ServiceAddressAllocator::reserve(const IpAddress& address) {
  const auto offset = offset_of(address);
  if (!offset) {
    return base::fail(
        base::Errc::InvalidArgument,
        fmt::format("{} is not an address for services; they lie in {} and {}, offsets 1 to {}",
                    address.to_string(), services6_.to_string(), services4_.to_string(),
                    kServiceOffsetMax4));
  }
  if (!used_.insert(*offset).second) {
    return base::fail(base::Errc::AlreadyExists,
                      fmt::format("{} is a service's already", address.to_string()));
  }
  return at(*offset);
}

void ServiceAddressAllocator::release(const IpAddress& address) {
  if (const auto offset = offset_of(address)) used_.erase(*offset);
}

}  // namespace hypermesh::datapath
