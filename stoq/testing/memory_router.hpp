#pragma once

#include <map>
#include <set>
#include <stoq/router.hpp>

namespace stoq {

/// Shortest path over the last measured round trips (Dijkstra 1959), computed anew for every
/// question.
class MemoryRouter final : public Router {
 public:
  void update(const LinkMeasurement& measurement) override {
    links_[measurement.from][measurement.to] = measurement.round_trip;
    links_[measurement.to];
  }
  void remove(const NodeId& node) override {
    links_.erase(node);
    for (auto& [from, to] : links_) to.erase(node);
  }
  std::vector<NodeId> neighbours(const NodeId& node) const override {
    std::vector<NodeId> nodes;
    if (const auto found = links_.find(node); found != links_.end()) {
      for (const auto& [to, cost] : found->second) nodes.push_back(to);
    }
    return nodes;
  }
  base::Result<Route> route(const NodeId& from, const NodeId& to) const override {
    std::map<NodeId, std::pair<base::Duration, NodeId>> best{{from, {base::Duration(0), from}}};
    std::set<std::pair<base::Duration, NodeId>> open{{base::Duration(0), from}};
    while (!open.empty()) {
      const auto [cost, node] = *open.begin();
      open.erase(open.begin());
      if (node == to) break;
      const auto found = links_.find(node);
      if (found == links_.end()) continue;
      for (const auto& [next, link] : found->second) {
        const base::Duration total = cost + link;
        const auto known = best.find(next);
        if (known != best.end() && known->second.first <= total) continue;
        if (known != best.end()) open.erase({known->second.first, next});
        best[next] = {total, node};
        open.insert({total, next});
      }
    }
    const auto end = best.find(to);
    if (end == best.end())
      return base::fail(base::Errc::Unavailable, "no path to " + to.text() + " is known");
    Route route;
    route.predicted_round_trip = end->second.first;
    for (NodeId node = to;; node = best.at(node).second) {
      route.hops.insert(route.hops.begin(), node);
      if (node == from) break;
    }
    return route;
  }

 private:
  std::map<NodeId, std::map<NodeId, base::Duration>> links_;
};

}  // namespace stoq
