#pragma once

#include <algorithm>

#include "sim/lab.hpp"
#include "sim/scenarios.hpp"

namespace sim {

using namespace std::chrono_literals;

/// Four honest replicas, or some whose messages the script replaces.
class Table {
 public:
  explicit Table(Slot checkpoint_interval = 1000) : cluster(4) {
    cluster.options.checkpoint_interval = checkpoint_interval;
    sit_down();
  }
  /// All begin, with what the cluster is now.
  void sit_down() {
    lab_.emplace(cluster, std::vector<hypermesh::consensus::ReplicaId>{0, 1, 2, 3});
  }

  Lab& lab() { return *lab_; }
  /// Orders so many bundles, one after the other, as long as somebody can.
  void order(std::uint64_t count) {
    for (std::uint64_t i = 0; i < count; ++i) {
      lab_->submit(cluster.bundle(++bundles_));
      lab_->pass(5ms);
    }
  }
  /// Whether each of `seats` has executed exactly `slots`.
  bool executed(const std::vector<std::size_t>& seats, Slot slots) {
    return std::ranges::all_of(
        seats, [&](std::size_t seat) { return (*lab_)[seat].executed.size() == slots; });
  }
  /// Empty, or what an honest replica did wrong; else `what` if it does not hold.
  std::string judge(bool holds, std::string what,
                    const std::vector<std::size_t>& honest = {0, 1, 2, 3}) {
    auto failure = lab_->failure(honest);
    return !failure.empty() ? failure : holds ? std::string() : std::move(what);
  }
  hypermesh::consensus::Statement statement(hypermesh::consensus::Phase phase, View view,
                                            const hypermesh::consensus::LinkPtr& link) const {
    return {phase, 1, view, link->block.slot, link->digest};
  }
  hypermesh::consensus::LinkPtr block(Slot slot, const base::Digest& parent, std::uint64_t bundle,
                                      base::Duration ahead = {}) {
    constexpr std::uint64_t kBegin = 1'700'000'000'000'000'000;
    return hypermesh::consensus::make_link(cluster.id(),
                                           {slot,
                                            parent,
                                            kBegin + static_cast<std::uint64_t>(ahead.count()),
                                            0,
                                            {cluster.bundle(bundle)}});
  }

  Cluster cluster;

 private:
  std::optional<Lab> lab_;
  std::uint64_t bundles_ = 0;
};

}  // namespace sim
