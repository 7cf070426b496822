#include "consensus/node/replicated_consensus.hpp"

#include <fmt/format.h>

namespace hypermesh::consensus {

using base::Errc;
using base::Result;

namespace {

constexpr std::size_t kCountedMax = 1 << 16;

}  // namespace

ReplicatedConsensus::ReplicatedConsensus(ReplicaNode& node, Limits limits)
    : node_(node), limits_(limits), forgotten_(node.status().operations), height_(forgotten_) {
  node_.on_executed(
      [this](const Link& link, const Executed& executed) { on_executed(link, executed); });
}

base::Task<Result<std::uint64_t>> ReplicatedConsensus::propose(base::Bytes operation,
                                                               base::Duration deadline) {
  return node_.order(
      encode(OnCluster<Proposed>{node_.deadline_within(deadline), {std::move(operation)}}),
      deadline);
}

Result<> ReplicatedConsensus::on_commit(std::uint64_t after, OnCommit apply) {
  apply_.reset();
  if (!apply) return {};
  if (after < forgotten_) {
    return base::fail(Errc::FailedPrecondition,
                      fmt::format("operations up to position {} are not retained here; what comes "
                                  "after position {} is",
                                  forgotten_, forgotten_));
  }
  const auto mine = std::make_shared<const OnCommit>(std::move(apply));
  apply_ = mine;
  after_ = after;
  // Who is called may replace itself.
  for (std::size_t i = 0; i < kept_.size() && apply_ == mine; ++i) deliver(kept_[i]);
  return {};
}

void ReplicatedConsensus::on_vote(std::function<void(const hypermesh::Vote&)> observe) {
  observe_ = std::move(observe);
  if (!observe_ || std::exchange(observing_, true)) return;
  node_.on_vote([this](const consensus::Vote& vote) {
    if (observe_) count(vote);
  });
}

ConsensusStatus ReplicatedConsensus::status() const {
  const ReplicaStatus status = node_.status();
  return {"pbft",
          status.view,
          height_,
          static_cast<std::uint32_t>(status.voters),
          static_cast<std::uint32_t>(status.faulty_max),
          static_cast<std::uint32_t>(status.quorum),
          status.leader_id};
}

void ReplicatedConsensus::on_executed(const Link& link, const Executed& executed) {
  if (executed.operations_before != height_) on_gap(height_, executed.operations_before);
  for (std::size_t i = 0; i < executed.results.size(); ++i) {
    const BundleResult& result = executed.results[i];
    const auto& operations = link.block.bundles[i]->operations;
    for (std::size_t j = 0; j < operations.size(); ++j) {
      ++height_;
      if (result.refused || result.repeated || result.outcomes[j].refused) continue;
      auto command = decode_command(operations[j]);
      if (!command) continue;
      if (auto* const proposed = std::get_if<OnCluster<Proposed>>(&*command))
        keep({height_, std::move(proposed->change.bytes)});
    }
  }
}

void ReplicatedConsensus::on_gap(std::uint64_t from, std::uint64_t to) {
  kept_.clear();
  kept_bytes_ = 0;
  forgotten_ = height_ = to;
  if (apply_ == nullptr || after_ >= to) return;
  deliver(base::fail(
      Errc::FailedPrecondition,
      fmt::format("this replica was behind and fetched the state: what was ordered after position "
                  "{} and up to {} was not seen here; go on after {} with the state",
                  from, to, to)));
  apply_.reset();
}

void ReplicatedConsensus::keep(Ordered ordered) {
  kept_bytes_ += ordered.operation.size();
  kept_.emplace_back(std::move(ordered));
  while (kept_.size() > 1 &&
         (kept_.size() > limits_.operations_max || kept_bytes_ > limits_.bytes_max)) {
    kept_bytes_ -= kept_.front()->operation.size();
    forgotten_ = kept_.front()->sequence;
    kept_.pop_front();
  }
  deliver(kept_.back());
}

void ReplicatedConsensus::deliver(const Result<Ordered>& ordered) {
  if (apply_ == nullptr || (ordered && ordered->sequence <= after_)) return;
  const auto apply = apply_;
  (*apply)(ordered);
}

// Votes come as they arrive: again after a lost connection, or from a liar.
void ReplicatedConsensus::count(const consensus::Vote& vote) {
  const Statement& statement = vote.statement;
  if (statement.phase != Phase::Prepare && !commits(statement.phase)) return;
  // Holding a block commits it too.
  const auto phase = statement.phase == Phase::Prepare ? hypermesh::Vote::Phase::Prepare
                                                       : hypermesh::Vote::Phase::Commit;
  const Voters& voters = node_.voters();
  const Slot newest = node_.status().committed, window = node_.genesis().window;
  if (statement.epoch != voters.epoch || vote.replica >= voters.size() ||
      statement.slot + window < newest || statement.slot > newest + 2 * window) {
    return;
  }
  const Counted key{statement.slot, statement.epoch, statement.view, phase, vote.replica};
  if (counted_.contains(key) ||
      !base::verify(voters.keys[vote.replica], signed_bytes(node_.cluster(), statement),
                    vote.signature)) {
    return;
  }
  counted_.insert(key);
  while (std::get<0>(*counted_.begin()) + window < newest || counted_.size() > kCountedMax)
    counted_.erase(counted_.begin());
  const auto observe = observe_;
  observe({phase, statement.view, statement.slot, vote.replica, statement.digest});
}

}  // namespace hypermesh::consensus
