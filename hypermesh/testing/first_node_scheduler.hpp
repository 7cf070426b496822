#pragma once

#include <hypermesh/scheduler.hpp>

namespace hypermesh {

/// The first ready node, whatever it has left.
class FirstNodeScheduler final : public Scheduler {
 public:
  base::Result<std::string> place(const nexus::PlacementRequest& request,
                                  const std::vector<nexus::NodeCapacity>& nodes) override {
    Decision decision = explain(request, nodes);
    if (decision.node.empty())
      return base::fail(base::Errc::CannotPlace, request.workload + ": no node is ready");
    return decision.node;
  }
  Decision explain(const nexus::PlacementRequest&,
                   const std::vector<nexus::NodeCapacity>& nodes) const override {
    Decision decision;
    for (const auto& node : nodes) {
      decision.verdicts.push_back({node.name, node.ready, node.ready ? "" : "not ready", {}});
      if (node.ready && decision.node.empty()) decision.node = node.name;
    }
    return decision;
  }
  std::vector<Move> rebalance(const std::vector<nexus::NodeCapacity>&) const override { return {}; }
};

}  // namespace hypermesh
