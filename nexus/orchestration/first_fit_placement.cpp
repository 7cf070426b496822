#include "orchestration/first_fit_placement.hpp"

#include <fmt/format.h>

#include <optional>

namespace nexus {

namespace {

std::string in_mib(std::uint64_t bytes) {
  return fmt::format("{:.1f} MiB", static_cast<double>(bytes) / (1 << 20));
}

std::uint64_t left(std::uint64_t all, std::uint64_t used) {
  return all > used ? all - used : 0;
}

/// Why the node does not do; empty when it does.
std::optional<std::string> excluded(const PlacementRequest& request, const NodeCapacity& node) {
  if (!node.ready) return "is not ready";
  if (!node.schedulable) return "is cordoned";
  for (const auto& [key, value] : request.node_selector) {
    const auto label = node.labels.find(key);
    if (label == node.labels.end()) return fmt::format("has no label {}; {} is wanted", key, value);
    if (label->second != value)
      return fmt::format("has {}={}; {} is wanted", key, label->second, value);
  }
  if (node.pods >= node.pods_max)
    return fmt::format("has {} pods; {} is the limit", node.pods, node.pods_max);
  // A pod that asks for nothing fits where others asked for too much.
  const std::uint64_t cpu = left(node.cpu_millis, node.cpu_millis_used);
  if (request.cpu_millis > 0 && request.cpu_millis > cpu) {
    return fmt::format("cpu: needs {}m, {}m of {}m free", request.cpu_millis, cpu, node.cpu_millis);
  }
  const std::uint64_t memory = left(node.memory_bytes, node.memory_bytes_used);
  if (request.memory_bytes > 0 && request.memory_bytes > memory) {
    return fmt::format("memory: needs {}, {} of {} free", in_mib(request.memory_bytes),
                       in_mib(memory), in_mib(node.memory_bytes));
  }
  return std::nullopt;
}

}  // namespace

base::Result<std::string> FirstFitPlacement::place(const PlacementRequest& request,
                                                   const std::vector<NodeCapacity>& nodes) {
  std::vector<std::string> reasons;
  for (const NodeCapacity& node : nodes) {
    auto why = excluded(request, node);
    if (!why) return node.name;
    reasons.push_back(fmt::format("{} {}", node.name, *why));
  }
  base::Error error = base::make_error(
      base::Errc::CannotPlace,
      fmt::format("{} cannot be placed: 0 of {} nodes fit", request.workload, nodes.size()));
  for (std::string& reason : reasons) error = base::with_hint(std::move(error), std::move(reason));
  return std::unexpected(std::move(error));
}

}  // namespace nexus
