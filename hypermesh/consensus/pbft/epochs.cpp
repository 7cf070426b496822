#include <algorithm>
#include <ranges>

#include "consensus/pbft/replica.hpp"

// How a replica gets from epoch to epoch: with the others, or, when it has missed the end of one,
// along the chain of the epochs' last checkpoints to the newest state. docs/design/0010.

namespace hypermesh::consensus::pbft {

const Voters* Replica::voters_of(Epoch epoch) const {
  return in_epoch(epoch) ? &epoch_.voters : epochs_.voters(epoch);
}

// Goes on to the next epoch if this one's last slot is executed here and a quorum signed what came
// of it.
bool Replica::end_epoch() {
  const StableCheckpoint* const end = epochs_.end_of(epoch_.voters.epoch);
  if (end == nullptr) return false;
  const Slot slot = end->certificate.statement.slot;
  if (slot > stable()) {
    if (!lost_ && !own_checkpoints_.contains(slot)) return false;
    on_certified(*end);
    return true;
  }
  // Whoever has lost its state goes on when it is here: it may be of the next epoch.
  if (lost_ || applied_ < slot || !is_last(slot) || !may_follow(*end->next)) return false;
  begin_epoch(*end, std::nullopt);
  return true;
}

bool Replica::may_follow(const Voters& next) {
  if (options_.versions.contain(next.version)) return true;
  out_->list.emplace_back(Outdated{next.version});
  return false;
}

// Of f + 1 voters one is honest, and speaks no version before the cluster does.
void Replica::on_unreadable(const Unreadable& unreadable) {
  const auto& [from, version] = unreadable;
  if (from >= voters().size() || version <= options_.versions.newest) return;
  newer_.insert_or_assign(static_cast<ReplicaId>(from), version);
  if (newer_.size() < voters().weak_quorum() && !mutant(Mutant::OutdatedByOne)) return;
  out_->list.emplace_back(Outdated{std::ranges::min(newer_ | std::views::values)});
}

// `end`: the last checkpoint of the epoch before. `next`: ordered in the new one already.
void Replica::begin_epoch(const StableCheckpoint& end, std::optional<NextEpoch> next) {
  epoch_ = {*end.next, end.certificate.statement.slot, end.block};
  next_ = std::move(next);
  persist(epoch_);
  own_ = own_key_ ? voters().find(*own_key_) : std::nullopt;
  wanted_.clear();
  checking_wish_.clear();
  prepared_.reset();
  voted_ = start_claim();
  own_checkpoints_.clear();
  said_.clear();
  checkpoint_votes_.clear();
  signed_end_ = false;
  peers_.clear();
  heard_.clear();
  accused_.clear();
  newer_.clear();
  blocked_commit_.reset();
  failed_views_ = 0;
  untold_since_ = MonotonicTime::max();
  reads_.ask_anew();
  begin_view(0, {0, epoch_.start, epoch_.start_digest}, std::nullopt);
}

// The state of a later epoch is here.
void Replica::jump(const Installed& installed, Epoch epoch) {
  const StableCheckpoint* const end = epochs_.end_of(epoch - 1);
  BASE_ASSERT(end != nullptr, "state is fetched when the voters of its epoch are proven");
  stable_before_.reset();
  stable_ = installed.checkpoint;
  begin_epoch(*end, installed.next);
  collect_garbage();
}

// `checkpoint` is checked. It may be the last of its epoch.
void Replica::keep_end(const StableCheckpoint& checkpoint) {
  if (!checkpoint.next || epochs_.end_of(checkpoint.certificate.statement.epoch) != nullptr) return;
  epochs_.add(checkpoint);
  ended_lsn_ = persist(EpochEnded{checkpoint});
}

void Replica::tell_epochs(PeerId to, bool newest) {
  const Status& status = peers_[to].status;
  Epochs message{epochs_.ends_from(status.proven), std::nullopt};
  if (newest && stable_) {
    // Only what it can check then.
    const Epoch proven = status.proven + message.ends.size();
    if (stable_->certificate.statement.epoch <= std::max(proven, status.epoch))
      message.newest = stable_;
  }
  if (!message.ends.empty()) return send(to, std::move(message));
  if (message.newest) send(to, *std::move(message.newest));
}

void Replica::handle(PeerId, const Epochs& message) {
  // One at a time: many signatures are checked for each.
  if (checking_epochs_) return;
  std::vector<Check::Item> items;
  const Voters* signers = epochs_.voters(epochs_.proven());
  std::vector<StableCheckpoint> ends;
  for (const auto& end : message.ends) {
    const Epoch epoch = end.certificate.statement.epoch;
    if (epoch < signers->epoch) continue;
    if (!check_statement(end) || !end.next || !check_signers(*signers, end.certificate)) return;
    append_items(items, *signers, end.certificate);
    ends.push_back(end);
    signers = &*end.next;
  }
  auto newest = message.newest;
  if (newest) {
    const Epoch epoch = newest->certificate.statement.epoch;
    const Voters* const known = epoch == signers->epoch ? signers : voters_of(epoch);
    // The end of the epoch before is one of those above.
    const bool proven = !ends.empty() && newest->next && epoch + 1 == signers->epoch &&
                        newest->certificate == ends.back().certificate;
    if (proven) {
      newest = ends.back();
    } else if (known == nullptr || !check_statement(*newest) ||
               !check_signers(*known, newest->certificate)) {
      newest.reset();
    } else {
      append_items(items, *known, newest->certificate);
    }
  }
  if (items.empty()) return;
  checking_epochs_ = true;
  check(std::move(items), [this, ends, newest](const std::vector<bool>& good) {
    checking_epochs_ = false;
    if (std::ranges::find(good, false) != good.end()) return;
    for (const auto& end : ends) keep_end(end);
    (void)end_epoch();
    if (newest) on_certified(*newest);
  });
}

// It may replace ours only when what proves its epoch is durable: after a crash the state says
// which epoch it is of.
void Replica::need_state(const StableCheckpoint& checkpoint) {
  const Slot slot = checkpoint.certificate.statement.slot;
  if ((slot <= committed_ && !lost_) || slot <= needed_) return;  // On the way.
  const Voters* const then = voters_of(checkpoint.certificate.statement.epoch);
  if ((then != nullptr && !may_follow(*then)) || (checkpoint.next && !may_follow(*checkpoint.next)))
    return;
  needed_ = slot;
  asking_ = checkpoint;
  ask_for_state();
}

void Replica::ask_for_state() {
  if (!asking_ || durable_ < ended_lsn_) return;
  out_->list.emplace_back(NeedState{*std::exchange(asking_, std::nullopt)});
}

}  // namespace hypermesh::consensus::pbft
