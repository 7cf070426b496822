#pragma once

#include <hypermesh/consensus.hpp>

namespace hypermesh {

/// One replica that agrees with itself at once. Keeps every operation in memory.
class SoloConsensus final : public Consensus {
 public:
  base::Task<base::Result<std::uint64_t>> propose(base::Bytes operation, base::Duration) override {
    const std::uint64_t sequence = log_.size() + 1;
    for (auto phase : {Vote::Phase::Prepare, Vote::Phase::Commit}) {
      if (observe_) observe_({phase, 0, sequence, 0, base::sha256(operation)});
    }
    log_.push_back({sequence, std::move(operation)});
    if (apply_) apply_(log_.back());
    co_return sequence;
  }
  void on_commit(std::uint64_t after, std::function<void(const Ordered&)> apply) override {
    apply_ = std::move(apply);
    for (std::size_t i = after; i < log_.size(); ++i) apply_(log_[i]);
  }
  void on_vote(std::function<void(const Vote&)> observe) override { observe_ = std::move(observe); }
  ConsensusStatus status() const override { return {"solo", 0, log_.size(), 1, 0, 1, 0}; }

 private:
  std::vector<Ordered> log_;
  std::function<void(const Ordered&)> apply_;
  std::function<void(const Vote&)> observe_;
};

}  // namespace hypermesh
