#include <algorithm>

#include "consensus/pbft/replica.hpp"

// What keeps replicas together that miss messages: statuses tell how far each is, and whoever is
// further sends what proves it. Checkpoints bound what must be kept for that.

namespace hypermesh::consensus::pbft {

namespace {

constexpr std::size_t kPushBytesMax = 1 << 20;
constexpr unsigned kWaitsLong = 10;  // Statuses that tell nothing new.

}  // namespace

void Replica::tell_status(std::optional<PeerId> to) {
  send(to, Status{epoch_.voters.epoch, view_, changing_, committed_, accepted_, stable(),
                  epochs_.proven()});
  // Those who vote now may be others than this replica knows.
  if (!to && is_alone()) std::get<Send>(out_->list.back()).widely = true;
}

// No honest voter is sure to be among those who were heard of late.
bool Replica::is_alone() const {
  const auto heard = std::ranges::count_if(peers_, [&](const auto& each) {
    return each.first < kFirstFollower && now_ < each.second.told + options_.suspicion_max;
  });
  return static_cast<std::size_t>(heard) < voters().weak_quorum();
}

void Replica::handle(PeerId from, const Status& message) {
  Peer& peer = peers_[from];
  const bool stands_still = peer.known && peer.status.committed == message.committed &&
                            peer.status.accepted == message.accepted &&
                            peer.status.view == message.view;
  peer.known = true;
  peer.status = message;
  peer.waits = stands_still ? peer.waits + 1 : 0;
  if (message.epoch >= epoch_.voters.epoch) peer.told = now_;
  if (in_epoch(message.epoch) && message.view == view_ && !message.changing && !changing_ &&
      from == voters().primary(view_))
    heard_primary_ = now_;
  const bool far = message.committed + options_.window / 2 < committed_;
  const bool unproven = message.proven < epochs_.proven();
  if ((message.epoch < epoch_.voters.epoch || unproven || far || stands_still) && may_help(from))
    help(from);
  if (!in_epoch(message.epoch)) return;
  // Also who wants this view and has missed that it began.
  const bool behind = message.view < view_ || (message.view == view_ && message.changing);
  if (behind && !changing_ && proof_) send(from, *proof_);
  if (stands_still && message.view == view_ && !changing_ && !message.changing) resend(from);
}

// All hear the same statuses, and one helps at a time; who waits in vain is helped by the next.
bool Replica::may_help(PeerId to) const {
  if (!own_) return true;
  const Peer& peer = peers_.at(to);
  const std::size_t others = voters().size() - (to < voters().size() ? 1 : 0);
  const std::size_t place = *own_ - (to < *own_ ? 1U : 0U);
  return (peer.status.committed + peer.waits) % others == place;
}

// Sends committed blocks that the peer lacks, or the checkpoint behind which they are gone, and
// what proves epochs that it has not heard of.
void Replica::help(PeerId to) {
  const Status& status = peers_[to].status;
  if (mutant(Mutant::LaggardsLeftBehind)) return;
  const StableCheckpoint* const end = epochs_.end_of(status.epoch);
  // It has all of its epoch, and waits for the signatures under that one's end; or, when it waits
  // for long, for a state that nobody keeps any more.
  const bool waits = end != nullptr && status.committed >= end->certificate.statement.slot;
  if (status.committed >= committed_ || waits) {
    tell_epochs(to, waits && peers_[to].waits >= kWaitsLong);
    if (status.stable < stable() && in_epoch(status.epoch)) send(to, *stable_);
    return;
  }
  auto message = blocks_for(status);
  if (!message.links.empty()) return send(to, std::move(message));
  tell_epochs(to, true);
}

// What is of a later epoch cannot be checked before that has begun.
Committed Replica::blocks_for(const Status& status) const {
  Committed message;
  std::size_t bytes = 0;
  std::vector<LinkPtr> links;
  Slot slot = status.committed;
  for (auto next = commits_.upper_bound(status.committed); next != commits_.end(); ++next) {
    if (next->second.statement.epoch != status.epoch) break;
    bool there = true;
    for (; slot < next->first && there; ++slot) {
      const auto digest = chain_.find(slot + 1);
      const auto body = digest == chain_.end() ? bodies_.end() : bodies_.find(digest->second);
      there = body != bodies_.end();
      if (!there) break;
      bytes += body->second.link->bytes;
      links.push_back(body->second.link);
    }
    if (!there || (bytes > kPushBytesMax && !message.links.empty())) break;
    message.certificate = next->second;
    message.links = links;
  }
  return message;
}

// To a peer of our view who hears too little: what we said of the slots under way, as far as it
// takes votes for them.
void Replica::resend(PeerId to) {
  if (!own_) return;
  const Status& status = peers_[to].status;
  vote_openly_up_to(accepted_);
  const Lsn after = last_lsn_;
  for (const auto& [slot, entry] : entries_) {
    if (slot <= status.committed && slot != base_.slot) continue;
    if (slot > status.committed + 2 * options_.window) break;
    if (slot > status.accepted && is_primary() && entry.proposal)
      send(to,
           Proposal{epoch_.voters.epoch, view_, entry.primary_signature, false, entry.proposal});
    for (const VoteSet* votes : {&entry.prepares, &entry.commits}) {
      if (const auto* own = votes->find(*own_)) send(to, own->vote, after);
    }
  }
  for (const auto& [slot, votes] : checkpoint_votes_) {
    const auto* own = votes.find(*own_);
    if (slot > status.stable && own != nullptr) send(to, own->vote, after);
  }
}

void Replica::handle(PeerId from, const Committed& message) {
  const Statement& said = message.certificate.statement;
  // The part above what is here must be one chain that ends in the certified block.
  std::vector<LinkPtr> links;
  for (const auto& link : message.links) {
    if (link->block.slot > committed_) links.push_back(link);
  }
  if (links.empty() || links.back()->digest != said.digest || links.back()->block.slot != said.slot)
    return;
  for (std::size_t i = 1; i < links.size(); ++i) {
    if (links[i]->block.parent != links[i - 1]->digest ||
        links[i]->block.slot != links[i - 1]->block.slot + 1)
      return;
  }
  check_commit(message.certificate, [this, from, links, certificate = message.certificate] {
    for (const auto& link : links) keep_body(link);
    if (!commit_through(certificate)) return;
    // There may be more.
    const auto peer = peers_.find(from);
    if (peer != peers_.end() && peer->second.status.committed > committed_) tell_status(from);
    if (!changing_ && !base_there_) stand_on_base();
  });
}

// Goes on if the certificate commits what is not committed here.
void Replica::check_commit(const Certificate& certificate, std::function<void()> then) {
  const Statement& said = certificate.statement;
  if (!in_epoch(said.epoch) || !commits(said.phase) || said.slot <= committed_ ||
      !check_signers(voters(), certificate))
    return;
  const auto entry = entries_.find(said.slot);
  const auto* const own =
      own_ && entry != entries_.end() ? entry->second.holds.find(*own_) : nullptr;
  std::vector<Check::Item> items;
  append_items(items, voters(), certificate);
  std::erase_if(items, [&](const Check::Item& item) {
    return own != nullptr && own->vote.statement == said && item.key == own_key_ &&
           item.signature == own->vote.signature;
  });
  check(std::move(items), [this, said, then = std::move(then)](const std::vector<bool>& good) {
    const bool proven = std::ranges::find(good, false) == good.end();
    if ((proven || mutant(Mutant::CertificatesUnchecked)) && in_epoch(said.epoch) &&
        said.slot > committed_)
      then();
  });
}

// --- blocks that a certificate names and that are not here ---

void Replica::fetch_missing() {
  fetched_ = now_;
  const auto ask = [&](base::Digest digest, Slot slot, Slot above) {
    for (; slot > above; --slot) {
      const auto body = bodies_.find(digest);
      if (body == bodies_.end()) break;
      digest = body->second.link->block.parent;
    }
    if (slot <= above) return;
    // One after the other, so that one who does not answer holds nobody up.
    for (std::size_t i = 0; i < voters().size(); ++i) {
      fetch_from_ = static_cast<ReplicaId>((fetch_from_ + 1) % voters().size());
      if (fetch_from_ != own_) break;
    }
    send(fetch_from_, Fetch{digest, slot, above});
  };
  if (!changing_ && !base_there_)
    ask(base_.digest, base_.slot, std::min(committed_, base_.slot - 1));
  if (blocked_commit_)
    ask(blocked_commit_->statement.digest, blocked_commit_->statement.slot, committed_);
}

void Replica::handle(PeerId from, const Fetch& message) {
  if (message.slot <= message.above) return;
  Fetched answer;
  std::size_t bytes = 0;
  base::Digest digest = message.digest;
  for (Slot slot = message.slot; slot > message.above; --slot) {
    const auto body = bodies_.find(digest);
    if (body == bodies_.end() || body->second.link->block.slot != slot) break;
    bytes += body->second.link->bytes;
    if (!answer.links.empty() && bytes > kPushBytesMax) break;
    answer.links.push_back(body->second.link);
    digest = body->second.link->block.parent;
  }
  if (answer.links.empty()) return;
  std::ranges::reverse(answer.links);
  send(from, std::move(answer));
}

void Replica::handle(PeerId, const Fetched& message) {
  const auto take = [&](base::Digest digest, Slot slot, Slot above) {
    // From the top down, each named by the one above it.
    for (; slot > above; --slot) {
      auto body = bodies_.find(digest);
      if (body == bodies_.end()) {
        const auto given = std::ranges::find(message.links, digest, &Link::digest);
        if (given == message.links.end() || (*given)->block.slot != slot) return false;
        keep_body(*given);
        body = bodies_.find(digest);
      }
      digest = body->second.link->block.parent;
    }
    return true;
  };
  if (!changing_ && !base_there_ &&
      take(base_.digest, base_.slot, std::min(committed_, base_.slot - 1))) {
    stand_on_base();
    propose_more();
  }
  if (blocked_commit_) {
    const Certificate certificate = *blocked_commit_;
    if (take(certificate.statement.digest, certificate.statement.slot, committed_)) {
      (void)commit_through(certificate);
      return;
    }
  }
  if ((!changing_ && !base_there_) || blocked_commit_) fetch_missing();
}

// --- checkpoints ---

void Replica::on_applied(const Applied& applied) {
  if (applied.slot <= applied_) return;
  applied_ = applied.slot;
  // Whose state is of an earlier epoch executes again what led to ours.
  if (applied.next && !next_ && applied.next->voters.epoch > epoch_.voters.epoch) {
    BASE_ASSERT(applied.next->after == applied.slot + options_.window,
                "nobody votes for a slot beyond the window before he has executed this one");
    next_ = applied.next;
  }
  if (applied.root && applied.slot > epoch_.start &&
      (applied.slot > stable() || is_last(applied.slot)))
    make_checkpoint(applied.slot, *applied.root, chain_.at(applied.slot));
  apply_more();
  accept_ready();
  propose_more();
}

void Replica::make_checkpoint(Slot slot, const base::Digest& root, const base::Digest& block) {
  StableCheckpoint made{{}, root, block, std::nullopt};
  if (is_last(slot)) made.next = next_->voters;
  made.certificate.statement = {Phase::Checkpoint, epoch_.voters.epoch, 0, slot,
                                checkpoint_digest(made)};
  const auto said = said_.find(slot);
  if (said != said_.end() && said->second.certificate.statement != made.certificate.statement) {
    // Who signs both is a proven liar. A quorum's word counts all the same.
    own_checkpoints_[slot] = std::move(made);
    if (!end_epoch()) count_checkpoint(slot);
    return;
  }
  const Lsn lsn = persist(made);
  vote_checkpoint(std::move(made), lsn);
}

// When others hear it, it is durable: whoever signed the end of an epoch says so in no later life
// that it is not there yet.
void Replica::vote_checkpoint(StableCheckpoint checkpoint, Lsn lsn) {
  const Statement statement = checkpoint.certificate.statement;
  signed_end_ = signed_end_ || checkpoint.next;
  own_checkpoints_[statement.slot] = std::move(checkpoint);
  if (own_) {
    const Vote vote = sign(statement);
    send(std::nullopt, vote, lsn);
    count_when_durable(vote, lsn);
  }
  if (!end_epoch()) count_checkpoint(statement.slot);
}

void Replica::count_checkpoint(Slot slot) {
  const auto found = checkpoint_votes_.find(slot);
  if (found == checkpoint_votes_.end()) return;
  const std::size_t quorum = mutant(Mutant::CheckpointOfOne) ? 1 : voters().quorum();
  if (const auto agreed = found->second.agreed(quorum)) {
    const auto own = own_checkpoints_.find(slot);
    // Before we are there, and when ours differs, others send theirs with what it is of.
    if (own == own_checkpoints_.end() || own->second.certificate.statement.digest != *agreed)
      return;
    StableCheckpoint checkpoint = own->second;
    checkpoint.certificate = found->second.certificate(*agreed, quorum);
    return on_stable(std::move(checkpoint));
  }
  const auto chosen = found->second.to_check(quorum);
  if (chosen.empty()) return;
  check(items_of(chosen), [this, slot, chosen,
                           epoch = epoch_.voters.epoch](const std::vector<bool>& good) {
    const auto held = checkpoint_votes_.find(slot);
    if (!in_epoch(epoch) || held == checkpoint_votes_.end()) return;
    for (std::size_t i = 0; i < chosen.size(); ++i)
      held->second.set(chosen[i].replica, good[i] ? VoteSet::State::Good : VoteSet::State::Bad);
    count_checkpoint(slot);
  });
}

void Replica::handle(PeerId, const StableCheckpoint& message) {
  const Statement& said = message.certificate.statement;
  const Voters* const signers = voters_of(said.epoch);
  if (signers == nullptr || said.slot <= stable() || !check_statement(message) ||
      !check_signers(*signers, message.certificate))
    return;
  if (said.slot > applied_ && said.slot <= needed_) return;
  std::vector<Check::Item> items;
  append_items(items, *signers, message.certificate);
  check(std::move(items), [this, message](const std::vector<bool>& good) {
    if (std::ranges::find(good, false) == good.end()) on_certified(message);
  });
}

// A quorum has it. It may be of an epoch that has not begun here.
void Replica::on_certified(const StableCheckpoint& checkpoint) {
  const Statement& said = checkpoint.certificate.statement;
  if (said.slot <= stable()) return;
  if (said.epoch < epoch_.voters.epoch) {
    // A log that was damaged may have lost what our epoch began with.
    if (said.slot == epoch_.start && checkpoint.block == epoch_.start_digest) on_stable(checkpoint);
    return;
  }
  keep_end(checkpoint);
  const auto own = own_checkpoints_.find(said.slot);
  if (own == own_checkpoints_.end()) return need_state(checkpoint);
  if (own->second.certificate.statement.digest == said.digest) return on_stable(checkpoint);
  out_->list.emplace_back(StateDamaged{checkpoint});
}

void Replica::on_stable(StableCheckpoint checkpoint) {
  const Slot slot = checkpoint.certificate.statement.slot;
  if (slot <= stable()) return;
  stable_before_ = std::exchange(stable_, std::move(checkpoint));
  if (stable_->next) epochs_.add(*stable_);
  collect_garbage();
  if (lost_) need_state(*stable_);
  if (!end_epoch()) propose_more();
}

// Others keep the state of the last checkpoint, and let it go when there are later ones.
void Replica::on_lost() {
  BASE_ASSERT(stable_.has_value(), "there is a state to fetch");
  lost_ = true;
  needed_ = 0;
  need_state(*stable_);
}

// A log that was damaged before this start may lack blocks that the lost state had in it. The
// others have them; what we voted for stays as it was.
void Replica::forget_behind_gap(Slot slot) {
  while (slot < committed_) {
    const auto next = chain_.find(slot + 1);
    if (next == chain_.end() || !bodies_.contains(next->second)) break;
    ++slot;
  }
  if (slot == committed_) return;
  committed_ = slot;
  committed_digest_ = chain_.at(slot);
  chain_.erase(chain_.upper_bound(slot), chain_.end());
  commits_.erase(commits_.upper_bound(slot), commits_.end());
}

void Replica::on_installed(const Installed& installed) {
  const StableCheckpoint& checkpoint = installed.checkpoint;
  const Statement& said = checkpoint.certificate.statement;
  const Slot slot = said.slot;
  if (slot < epoch_.start || slot < stable()) return;
  if (slot > committed_) {
    committed_ = slot;
    committed_digest_ = checkpoint.block;
    progress_ = now_;
    chain_.clear();
    commits_.clear();
  }
  chain_[slot] = checkpoint.block;
  forget_behind_gap(slot);
  applying_ = applied_ = slot;
  lost_ = false;
  rooted_ = 0;
  for (auto& [signed_slot, own] : own_checkpoints_)
    if (signed_slot > slot) said_.try_emplace(signed_slot, std::move(own));
  own_checkpoints_.clear();
  const Epoch epoch = checkpoint.next ? checkpoint.next->epoch : said.epoch;
  if (epoch > epoch_.voters.epoch) {
    jump(installed, epoch);
  } else {
    if (!next_) next_ = installed.next;
    on_stable(checkpoint);
  }
  if (blocked_commit_) {
    const Certificate certificate = *std::exchange(blocked_commit_, std::nullopt);
    (void)commit_through(certificate);
  }
  apply_more();
}

// What the checkpoint before the last does not need is dropped, and the records with it.
void Replica::collect_garbage() {
  const Slot floor = stable_before_ ? stable_before_->certificate.statement.slot : epoch_.start;
  std::erase_if(bodies_, [&](const auto& each) {
    return each.second.link->block.slot <= floor && each.first != base_.digest;
  });
  std::erase_if(chain_, [&](const auto& each) { return each.first < floor; });
  std::erase_if(commits_, [&](const auto& each) { return each.first <= floor; });
  std::erase_if(own_checkpoints_, [&](const auto& each) { return each.first <= stable(); });
  std::erase_if(said_, [&](const auto& each) { return each.first <= stable(); });
  std::erase_if(checkpoint_votes_, [&](const auto& each) { return each.first <= stable(); });
  // What is not about single slots is written again, so that all before may go.
  Lsn first = persist(epoch_);
  if (silenced_) persist(Silenced{});
  for (const auto& [epoch, end] : epochs_.ends()) ended_lsn_ = persist(EpochEnded{end});
  if (prepared_) persist(Certified{*prepared_});
  persist(*stable_);
  if (voted_.slot > floor)
    persist(Accepted{epoch_.voters.epoch, voted_.view, voted_.slot, voted_.digest});
  if (changing_) {
    if (own_ && wanted_.at(*own_).proof) persist(Certified{*wanted_.at(*own_).proof});
    persist(ViewWanted{epoch_.voters.epoch, view_, claim_, held_});
  } else {
    persist(ViewBegun{epoch_.voters.epoch, view_, base_, proof_});
    if (reserved_ > 0) persist(Reserved{epoch_.voters.epoch, view_, reserved_});
    for (const auto& [slot, entry] : entries_) {
      if (slot > floor && entry.state == Entry::State::Accepted)
        persist(Accepted{epoch_.voters.epoch, view_, slot, entry.proposal->digest});
    }
  }
  for (const auto& [slot, certificate] : commits_) persist(Certified{certificate});
  for (const auto& [slot, checkpoint] : own_checkpoints_)
    if (!said_.contains(slot)) persist(checkpoint);
  for (const auto& [slot, checkpoint] : said_) persist(checkpoint);
  for (const auto& [digest, kept] : bodies_) first = std::min(first, kept.lsn);
  out_->list.emplace_back(Release{first, mutant(Mutant::ReleasedTooEarly) ? 0 : last_lsn_});
}

}  // namespace hypermesh::consensus::pbft
