#pragma once

#include <hypermesh/consensus.hpp>
#include <set>
#include <tuple>

#include "consensus/node/replica_node.hpp"

namespace hypermesh::consensus {

/// The cluster's one order through this node's replica: who proposes, which operations come out,
/// who votes. Operations carry their deadline in ordered time, and every replica passes over those
/// that are ordered after it.
class ReplicatedConsensus final : public hypermesh::Consensus {
 public:
  /// Of what was executed since this was made. What is older is in the state alone.
  struct Limits {
    std::size_t operations_max = 100'000;
    std::size_t bytes_max = 64 << 20;
  };

  /// `node` is borrowed and calls this until its stop() has ended.
  ReplicatedConsensus(ReplicaNode& node, Limits limits);
  explicit ReplicatedConsensus(ReplicaNode& node) : ReplicatedConsensus(node, Limits()) {}

  base::Task<base::Result<std::uint64_t>> propose(base::Bytes operation,
                                                  base::Duration deadline) override;
  base::Result<> on_commit(std::uint64_t after, OnCommit apply) override;
  /// Signatures are checked on the executor, as long as somebody observes.
  void on_vote(std::function<void(const hypermesh::Vote&)> observe) override;
  ConsensusStatus status() const override;

 private:
  void on_executed(const Link& link, const Executed& executed);
  void on_gap(std::uint64_t from, std::uint64_t to);
  void keep(Ordered ordered);
  void deliver(const base::Result<Ordered>& ordered);
  void count(const consensus::Vote& vote);

  ReplicaNode& node_;
  const Limits limits_;
  std::deque<base::Result<Ordered>> kept_;  // All of those after `forgotten_`.
  std::size_t kept_bytes_ = 0;
  std::uint64_t forgotten_, height_;
  std::shared_ptr<const OnCommit> apply_;
  std::uint64_t after_ = 0;
  std::function<void(const hypermesh::Vote&)> observe_;
  bool observing_ = false;
  using Counted = std::tuple<Slot, Epoch, View, hypermesh::Vote::Phase, ReplicaId>;
  std::set<Counted> counted_;  // Of slots that are not far behind.
};

}  // namespace hypermesh::consensus
