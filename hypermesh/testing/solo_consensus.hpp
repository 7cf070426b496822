#pragma once

#include <hypermesh/consensus.hpp>
#include <vector>

namespace hypermesh {

/// One replica that agrees with itself at once. Keeps every operation in memory.
class SoloConsensus final : public Consensus {
 public:
  base::Task<base::Result<std::uint64_t>> propose(base::Bytes operation, base::Duration) override {
    const std::uint64_t sequence = log_.size() + 1;
    for (auto phase : {Vote::Phase::Prepare, Vote::Phase::Commit}) {
      if (observe_) observe_({phase, 0, sequence, 0, base::sha256(operation)});
    }
    log_.push_back(Ordered{sequence, std::move(operation)});
    if (apply_ && sequence > after_) apply_(log_.back());
    co_return sequence;
  }
  base::Result<> on_commit(std::uint64_t after, OnCommit apply) override {
    apply_ = std::move(apply);
    after_ = after;
    for (std::size_t i = after; apply_ && i < log_.size(); ++i) apply_(log_[i]);
    return {};
  }
  void on_vote(std::function<void(const Vote&)> observe) override { observe_ = std::move(observe); }
  ConsensusStatus status() const override { return {"solo", 0, log_.size(), 1, 0, 1, 0}; }

 private:
  std::vector<base::Result<Ordered>> log_;
  OnCommit apply_;
  std::uint64_t after_ = 0;
  std::function<void(const Vote&)> observe_;
};

}  // namespace hypermesh
