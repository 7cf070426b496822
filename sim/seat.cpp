#include "sim/seat.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace sim {

using namespace hypermesh::consensus;

Seat::Seat(const Cluster& cluster, ReplicaId id, base::Duration clock_ahead)
    : id(id), cluster_(&cluster), clock_ahead_(clock_ahead) {
  flushed_.block = cluster.genesis.start_digest;
}

Seat::Seat(const Seat& other)
    : id(other.id),
      executed(other.executed),
      evidence(other.evidence),
      failure(other.failure),
      needed(other.needed),
      readable(other.readable),
      damaged(other.damaged),
      wake_at(other.wake_at),
      wrong_roots(other.wrong_roots),
      cluster_(other.cluster_),
      clock_ahead_(other.clock_ahead_),
      replica_(other.replica_ ? std::make_unique<pbft::Replica>(*other.replica_) : nullptr),
      state_(other.state_),
      flushed_(other.flushed_),
      log_(other.log_),
      durable_(other.durable_),
      disk_works_(other.disk_works_),
      release_(other.release_),
      held_(other.held_) {}

void Seat::start(MonotonicTime now, std::vector<pbft::Send>& sent) {
  auto restored = pbft::recover(cluster_->genesis, log_);
  restored.last_lsn = std::max(restored.last_lsn, durable_);
  state_ = flushed_;
  for (const auto& [slot, voters] : cluster_->changes) {
    const Slot end = slot + cluster_->options.window;
    if (voters.epoch <= restored.epoch.voters.epoch || end >= state_.slot) continue;
    // The state survived a crash that the record of its epoch did not, as in resume().
    restored = {};
    restored.last_lsn = durable_;
    restored.epoch = {voters, end, executed.at(end)};
    restored.base = {0, end, executed.at(end)};
  }
  pbft::Position position{state_.slot, state_.block, {}, next_after(restored.epoch.voters.epoch)};
  if (state_.slot > 0) position.root = state_.root;  // What is on disk is a checkpoint.
  replica_ = std::make_unique<pbft::Replica>(cluster_->options, cluster_->signer(id),
                                             cluster_->voters().keys[id], std::move(restored),
                                             position, now);
  step(pbft::Tick{}, now, sent);
}

std::optional<NextEpoch> Seat::next_after(Epoch epoch) const {
  for (const auto& [slot, voters] : cluster_->changes) {
    const Slot end = slot + cluster_->options.window;
    if (voters.epoch == epoch + 1 && slot <= state_.slot && state_.slot <= end)
      return NextEpoch{voters, end};
  }
  return std::nullopt;
}

void Seat::crash(pbft::Lsn more) {
  replica_.reset();
  held_.clear();
  release_.reset();
  needed.reset();
  readable.clear();
  overdue.clear();
  damaged = false;
  disk_works_ = true;
  durable_ = std::min(durable_ + more, written());
  std::erase_if(log_, [&](const auto& each) { return each.lsn > durable_; });
}

void Seat::step(const pbft::Input& input, MonotonicTime now, std::vector<pbft::Send>& sent) {
  if (!up()) return;
  constexpr std::uint64_t kBegin = 1'700'000'000'000'000'000;
  const auto age = cluster_->walls_stand_still ? base::Duration() : now.time_since_epoch();
  const auto wall = kBegin + static_cast<std::uint64_t>((age + clock_ahead_).count());
  std::vector<pbft::Input> inputs{input};
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    pbft::Outputs outputs;
    const pbft::Input next = std::move(inputs[i]);
    replica_->step(next, now, wall, outputs);
    take(outputs, inputs);
    wake_at = outputs.wake_at;
    if (i + 1 == inputs.size() && disk_works_ && written() > durable_) {
      durable_ = written();
      inputs.emplace_back(pbft::Persisted{durable_});
    }
  }
  release(sent);
}

void Seat::take(const pbft::Outputs& outputs, std::vector<pbft::Input>& next) {
  for (const auto& output : outputs.list) {
    if (const auto* persist = std::get_if<pbft::Persist>(&output)) {
      log_.push_back(*persist);
    } else if (const auto* send = std::get_if<pbft::Send>(&output)) {
      held_.push_back(*send);
    } else if (const auto* check = std::get_if<pbft::Check>(&output)) {
      pbft::Checked checked{check->ticket, {}};
      for (const auto& item : check->items) checked.good.push_back(cluster_->good(item));
      next.emplace_back(std::move(checked));
    } else if (const auto* made = std::get_if<pbft::Apply>(&output)) {
      next.emplace_back(apply(*made));
    } else if (const auto* need = std::get_if<pbft::NeedState>(&output)) {
      needed = need->checkpoint;
    } else if (std::holds_alternative<pbft::StateDamaged>(output)) {
      damaged = true;
    } else if (const auto* done = std::get_if<pbft::Release>(&output)) {
      release_ = *done;
    } else if (const auto* reads = std::get_if<pbft::Readable>(&output)) {
      readable.push_back(*reads);
    } else if (const auto* waiting = std::get_if<pbft::Overdue>(&output)) {
      overdue = waiting->bundles;
    } else if (const auto* proof = std::get_if<Evidence>(&output)) {
      evidence.push_back(*proof);
    }
  }
}

pbft::Applied Seat::apply(const pbft::Apply& apply) {
  const Link& link = *apply.link;
  const Slot slot = link.block.slot;
  if (slot != state_.slot + 1 && failure.empty())
    failure = fmt::format("{} executes slot {} after {}", id, slot, state_.slot);
  if (link.block.time < state_.time && failure.empty())
    failure = fmt::format("{}: time goes back in slot {}", id, slot);
  const auto known = executed.emplace(slot, link.digest).first;
  if (known->second != link.digest && failure.empty())
    failure = fmt::format("{} executes another block in slot {} than before", id, slot);
  base::Sha256 hash;
  hash.update(state_.root);
  hash.update(link.digest);
  state_ = {slot, link.digest, hash.finish(), link.block.time};
  pbft::Applied applied{slot, {}, {}};
  if (const auto change = cluster_->changes.find(slot); change != cluster_->changes.end())
    applied.next = NextEpoch{change->second, slot + cluster_->options.window};
  if (apply.checkpoint) {
    applied.root = state_.root;
    if (wrong_roots) applied.root->front() ^= 1;
    flushed_ = state_;
  }
  return applied;
}

void Seat::install(MonotonicTime now, std::vector<pbft::Send>& sent) {
  const StableCheckpoint checkpoint = *std::exchange(needed, std::nullopt);
  const Slot slot = checkpoint.certificate.statement.slot;
  if (slot <= state_.slot) return;
  state_ = flushed_ = {slot, checkpoint.block, checkpoint.root, 0};
  executed.emplace(slot, checkpoint.block);
  step(pbft::Installed{checkpoint, next_after(checkpoint.certificate.statement.epoch)}, now, sent);
}

void Seat::resume_disk(MonotonicTime now, std::vector<pbft::Send>& sent) {
  disk_works_ = true;
  durable_ = written();
  step(pbft::Persisted{durable_}, now, sent);
}

base::Digest Seat::fingerprint(bool crashes) const {
  base::ByteWriter out;
  if (up()) out.raw(replica_->fingerprint(false));
  out.u64(executed.size());
  for (const auto& [slot, digest] : executed) out.raw(digest);
  out.u64(state_.slot);
  out.raw(state_.root);
  out.u64(flushed_.slot);
  if (crashes) out.raw(pbft::fingerprint(pbft::recover(cluster_->genesis, log_)));
  return base::sha256(out.view());
}

void Seat::release(std::vector<pbft::Send>& sent) {
  if (release_ && release_->after <= durable_) {
    std::erase_if(log_, [&](const auto& each) { return each.lsn < release_->lsn; });
    release_.reset();
  }
  std::erase_if(held_, [&](pbft::Send& send) {
    if (send.after > durable_) return false;
    sent.push_back(std::move(send));
    return true;
  });
}

}  // namespace sim
