#pragma once

#include <cmath>
#include <limits>
#include <map>
#include <numbers>
#include <stoq/edge_network.hpp>

namespace stoq {

/// Great-circle distance by the haversine formula, kilometres.
inline double distance_km(GeoLocation a, GeoLocation b) {
  const auto radians = [](double degrees) { return degrees * std::numbers::pi / 180; };
  const double dlat = radians(b.latitude - a.latitude), dlon = radians(b.longitude - a.longitude);
  const double h = std::pow(std::sin(dlat / 2), 2) + std::cos(radians(a.latitude)) *
                                                         std::cos(radians(b.latitude)) *
                                                         std::pow(std::sin(dlon / 2), 2);
  return 2 * 6371.0 * std::asin(std::sqrt(h));
}

/// Content in memory, nodes by distance alone.
class MemoryEdgeNetwork final : public EdgeNetwork {
 public:
  explicit MemoryEdgeNetwork(std::uint64_t content_bytes_max)
      : content_bytes_max_(content_bytes_max) {}

  base::Task<base::Result<>> register_edge(EdgeNode node) override {
    nodes_[node.id] = node;
    co_return base::Result<>();
  }
  base::Task<base::Result<EdgeNode>> find_nearest(GeoLocation location) override {
    const EdgeNode* nearest = nullptr;
    double best = std::numeric_limits<double>::infinity();
    for (const auto& [id, node] : nodes_) {
      if (const double distance = distance_km(location, node.location); distance < best) {
        best = distance;
        nearest = &node;
      }
    }
    if (!nearest) co_return base::fail(base::Errc::NotFound, "no edge node is registered");
    co_return *nearest;
  }
  base::Task<base::Result<>> publish(std::string name, base::Bytes content) override {
    if (content.size() > content_bytes_max_) {
      co_return base::fail(base::Errc::ResourceExhausted, name + " is larger than the cache");
    }
    content_[std::move(name)] = std::move(content);
    co_return base::Result<>();
  }
  base::Task<base::Result<base::Bytes>> fetch(std::string name) override {
    const auto found = content_.find(name);
    if (found == content_.end())
      co_return base::fail(base::Errc::NotFound, "no content is named " + name);
    co_return found->second;
  }
  base::Task<base::Result<>> remove(std::string name) override {
    if (content_.erase(name) == 0)
      co_return base::fail(base::Errc::NotFound, "no content is named " + name);
    co_return base::Result<>();
  }

 private:
  std::uint64_t content_bytes_max_;
  std::map<NodeId, EdgeNode> nodes_;
  std::map<std::string, base::Bytes> content_;
};

}  // namespace stoq
