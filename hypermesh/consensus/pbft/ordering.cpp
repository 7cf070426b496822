#include <algorithm>

#include "consensus/pbft/replica.hpp"

// The ordinary case: proposals, votes, certificates, execution.

namespace hypermesh::consensus::pbft {

namespace {

constexpr Slot kReserved = 1024;  // Slots that a primary reserves at once.

}  // namespace

// --- as primary ---

bool Replica::may_propose(Slot slot) {
  if (slot > applied_ + options_.window) return false;
  if (slot > stable() + 2 * options_.checkpoint_interval &&
      slot > epoch_.start + 2 * options_.checkpoint_interval)
    return false;
  if (is_beyond(slot)) return false;
  if (reserved_lsn_ != 0 && durable_ >= reserved_lsn_) reserved_ready_ = reserved_;
  // Ahead of need, so that nobody waits for the disk.
  if (slot + kReserved / 2 > reserved_ && reserved_ready_ == reserved_) {
    reserved_ = slot + kReserved;
    reserved_lsn_ = persist(Reserved{epoch_.voters.epoch, view_, reserved_});
  }
  return slot <= reserved_ready_;
}

void Replica::propose_more() {
  if (restored_) return;
  while (is_primary() && base_there_) {
    if (accepted_ < base_.slot) {
      propose(bodies_.at(base_.digest).link);
      continue;
    }
    const Slot slot = accepted_ + 1;
    if (!may_propose(slot)) return;
    if (!next_) {
      if (pool_.free_operations() == 0 || now_ < batch_due()) return;
      last_operations_ = pool_.free_operations();
    }
    propose(make_link(options_.cluster,
                      {slot, accepted_digest_, std::max(wall_, accepted_time_), *own_,
                       pool_.next(options_.batch_operations_max, options_.batch_bytes_max)}));
  }
}

// When to propose what waits. Clients that wait for answers ask again when they have them, so about
// as many operations as the last block had are on their way when it is committed.
MonotonicTime Replica::batch_due() const {
  const std::size_t operations = pool_.free_operations();
  // The more blocks are under way, the larger the next one: what a block costs is shared by more.
  const std::size_t enough = options_.batch_operations * (1 + accepted_ - committed_);
  if (operations >= enough || pool_.free_bytes() >= options_.batch_bytes_max) return now_;
  if (accepted_ > committed_) {
    return pool_.free_since() +
           std::clamp(commit_time_, options_.batch_wait, options_.batch_wait_max);
  }
  if (operations >= last_operations_) return now_;
  return pool_.free_since() + std::min(commit_time_ / 4, options_.batch_wait_max);
}

void Replica::propose(LinkPtr link) {
  const Slot slot = link->block.slot;
  const Vote vote = sign({Phase::Prepare, epoch_.voters.epoch, view_, slot, link->digest});
  Entry& entry = entries_[slot];
  entry.proposal = link;
  entry.prepares.add(vote, VoteSet::State::Good);
  entry.primary_signature = vote.signature;
  entry.state = Entry::State::Good;
  entry.proposed = now_;
  entry.fast = slot != base_.slot && goes_fast() && is_rooted();
  // A crash must not let it begin the view again with another base. Later slots are reserved.
  const bool waits = slot == base_.slot && !mutant(Mutant::BaseBeforeDurable);
  const Lsn after = waits ? begun_lsn_ : 0;
  send(std::nullopt,
       Proposal{epoch_.voters.epoch, view_, vote.signature, entry.fast, std::move(link)}, after);
  tell_beside_proposal();
  accept(entry);
}

// --- as replica ---

void Replica::handle(PeerId from, const Proposal& message) {
  if (!own_ || !in_epoch(message.epoch) || message.view < view_) return;
  if (message.view > view_ || changing_) return keep_early(from, message);
  const ReplicaId primary = voters().primary(view_);
  if (from != primary || primary == *own_) return;
  heard_primary_ = now_;
  const Slot slot = message.link->block.slot;
  if (slot < std::max(base_.slot, epoch_.start + 1) || slot > applied_ + 2 * options_.window)
    return;
  const Vote vote{{Phase::Prepare, message.epoch, message.view, slot, message.link->digest},
                  primary,
                  message.signature};
  const auto known = entries_.find(slot);
  if (known != entries_.end() && known->second.proposal) {
    if (known->second.proposal->digest == message.link->digest) return;
    return on_contradiction(vote_of_primary(known->second), vote);
  }
  if (slot <= accepted_) {  // Committed otherwise. It may have voted for something else.
    if (known == entries_.end()) return;
    for (const auto& held : known->second.prepares.held())
      if (contradict(held.vote, vote)) return on_contradiction(held.vote, vote);
    return;
  }
  Entry& entry = entries_[slot];
  entry.proposal = message.link;
  entry.primary_signature = message.signature;
  entry.fast = message.fast;
  check_proposal(slot);
}

void Replica::check_proposal(Slot slot) {
  Entry& entry = entries_.at(slot);
  std::vector<Check::Item> items = items_of({vote_of_primary(entry)});
  const auto& bundles = entry.proposal->block.bundles;
  for (std::size_t i = 0; i < bundles.size(); ++i) {
    const auto& digest = entry.proposal->bundle_digests[i];
    if (pool_.contains(digest) || pool_.ordered(digest)) continue;
    const auto& bundle = bundles[i];
    // What the primary orders in its own name it has signed with the block.
    if (bundle->client == voters().keys[voters().primary(view_)]) continue;
    items.push_back({bundle->client, signed_bytes(options_.cluster, *bundle), bundle->signature});
  }
  entry.state = Entry::State::Checking;
  check(std::move(items), [this, slot, epoch = epoch_.voters.epoch, view = view_,
                           digest = entry.proposal->digest](const std::vector<bool>& good) {
    if (!in_epoch(epoch) || view != view_ || changing_) return;
    const auto found = entries_.find(slot);
    if (found == entries_.end() || !found->second.proposal ||
        found->second.proposal->digest != digest || found->second.state != Entry::State::Checking)
      return;
    Entry& checked = found->second;
    if (std::ranges::find(good, false) != good.end()) {
      checked.proposal.reset();
      checked.state = Entry::State::None;
      return;
    }
    checked.state = Entry::State::Good;
    const Link& link = *checked.proposal;
    for (std::size_t i = 0; i < link.block.bundles.size(); ++i)
      (void)pool_.add(link.block.bundles[i], link.bundle_digests[i], now_);
    const Vote vote = vote_of_primary(checked);
    if (const Vote* before = checked.prepares.add(vote, VoteSet::State::Good))
      on_contradiction(*before, vote);
    for (const auto& held : checked.prepares.held()) show_primary(checked, held.vote);
    accept_ready();
  });
}

bool Replica::acceptable(const Link& link) const {
  const Block& block = link.block;
  if (block.slot != accepted_ + 1 ||
      (block.parent != accepted_digest_ && !mutant(Mutant::ParentUnchecked)))
    return false;
  const auto promised = promised_.find(block.slot);
  if (promised != promised_.end() && promised->second != link.digest) return false;
  if (block.slot == base_.slot && base_.slot > epoch_.start && !mutant(Mutant::BaseUnchecked))
    return link.digest == base_.digest;
  const auto skew = static_cast<std::uint64_t>(options_.clock_skew_max.count());
  if (mutant(Mutant::TimeUnchecked)) return true;
  if (block.time < accepted_time_ || block.time > wall_ + skew) return false;
  if (is_beyond(block.slot)) return false;
  return block.slot <= applied_ + options_.window;
}

void Replica::accept_ready() {
  if (changing_ || !base_there_ || !own_) return;
  for (;;) {
    const auto next = entries_.find(accepted_ + 1);
    if (next == entries_.end() || next->second.state != Entry::State::Good ||
        !acceptable(*next->second.proposal))
      return;
    accept(next->second);
  }
}

void Replica::accept(Entry& entry) {
  const LinkPtr link = entry.proposal;
  const Slot slot = link->block.slot;
  // What a primary only prepares it has reserved before: no vote of its own waits for the disk.
  const bool lazy = is_primary() && !entry.fast;
  keep_body(link, lazy);
  entry.lsn = persist(Accepted{epoch_.voters.epoch, view_, slot, link->digest}, lazy);
  voted_ = {view_, slot, link->digest};
  entry.state = Entry::State::Accepted;
  if (accepted_ == committed_) progress_ = now_;
  move_tip(slot, link->digest);
  take_bundles(*link);
  if (!is_primary()) {
    entry.fast = entry.fast && is_rooted();
    if (entry.fast) {
      const Vote vote = sign({Phase::Hold, epoch_.voters.epoch, view_, slot, link->digest});
      entry.holds.add(vote, VoteSet::State::Good);
      send(voters().primary(view_), vote, mutant(Mutant::HoldBeforeDurable) ? 0 : entry.lsn);
    } else {
      vote_openly(entry);
    }
  }
  count(slot, Phase::Prepare);
  count(slot, Phase::Commit);
}

// To everybody, as published PBFT does.
void Replica::vote_openly(Entry& entry) {
  entry.fast = false;
  const Link& link = *entry.proposal;
  const Vote vote =
      sign({Phase::Prepare, epoch_.voters.epoch, view_, link.block.slot, link.digest});
  entry.prepares.add(vote, VoteSet::State::Good);
  send(std::nullopt, vote, mutant(Mutant::PrepareBeforeDurable) ? 0 : entry.lsn);
}

void Replica::keep_body(const LinkPtr& link, bool lazy) {
  const auto [place, added] = bodies_.try_emplace(link->digest, Kept{link, 0});
  if (added) place->second.lsn = persist(Body{link}, lazy);
}

void Replica::move_tip(Slot slot, const base::Digest& digest) {
  accepted_ = slot;
  accepted_digest_ = digest;
  const auto body = bodies_.find(digest);
  accepted_time_ = body != bodies_.end() ? body->second.link->block.time : 0;
}

// Of a block that is under way.
void Replica::take_bundles(const Link& link) {
  // One that a restart forgot, or that was proposed again, may wait here though it is ordered.
  const bool ordered = link.block.slot <= committed_;
  for (const auto& digest : link.bundle_digests) {
    if (ordered) {
      pool_.remove(digest);
    } else {
      pool_.set_taken(digest, true);
    }
  }
}

// --- votes ---

void Replica::handle(PeerId from, const Vote& message) {
  const Statement& said = message.statement;
  if (!own_ || !in_epoch(said.epoch) || message.replica >= voters().size()) return;
  if (said.phase == Phase::Checkpoint) {
    if (from != message.replica || said.slot <= stable() ||
        said.slot > applied_ + 4 * options_.checkpoint_interval)
      return;
    if (const Vote* before = checkpoint_votes_[said.slot].add(message))
      on_contradiction(*before, message);
    return count_checkpoint(said.slot);
  }
  if (said.view < view_ && !mutant(Mutant::VotesOfOtherViews)) return;
  if (said.view > view_ || changing_) return keep_early(from, message);
  if (said.slot > applied_ + 2 * options_.window) return;
  if (said.phase != Phase::Prepare && said.phase != Phase::Commit && said.phase != Phase::Hold)
    return;
  if (from != message.replica) {
    // Somebody shows what the primary told him.
    const auto known = entries_.find(said.slot);
    if (known == entries_.end() || !known->second.proposal) return;
    const Vote ours = vote_of_primary(known->second);
    if (contradict(ours, message)) on_contradiction(ours, message);
    return;
  }
  if (said.slot <= committed_ && !entries_.contains(said.slot)) return;
  Entry& entry = entries_[said.slot];
  VoteSet& votes = said.phase == Phase::Prepare  ? entry.prepares
                   : said.phase == Phase::Commit ? entry.commits
                                                 : entry.holds;
  const bool first = votes.find(from) == nullptr;
  if (const Vote* before = votes.add(message)) return on_contradiction(*before, message);
  if (said.phase == Phase::Hold) return count_holds(said.slot);
  if (first && said.phase == Phase::Prepare) show_primary(entry, message);
  // It cannot hold it, as it lacks a certificate of this view.
  if (is_primary() && entry.fast && said.phase == Phase::Prepare) leave_fast_path();
  count(said.slot, said.phase);
}

Vote Replica::vote_of_primary(const Entry& entry) const {
  const Link& link = *entry.proposal;
  return {{Phase::Prepare, epoch_.voters.epoch, view_, link.block.slot, link.digest},
          voters().primary(view_),
          entry.primary_signature};
}

// Whoever prepares another block was told something else, and can prove the lie with this.
void Replica::show_primary(const Entry& entry, const Vote& prepare) {
  if (!entry.proposal || prepare.statement.digest == entry.proposal->digest ||
      prepare.replica == voters().primary(view_) || prepare.replica == *own_)
    return;
  send(prepare.replica, vote_of_primary(entry));
}

// Of one replica, not both checked yet.
void Replica::on_contradiction(const Vote& first, const Vote& second) {
  if (accused_.contains(first.replica)) return;
  handle(first.replica, Evidence{first, second});
}

void Replica::count(Slot slot, Phase phase) {
  const auto found = entries_.find(slot);
  if (found == entries_.end()) return;
  Entry& entry = found->second;
  const bool done = phase == Phase::Prepare ? entry.prepared.has_value() : entry.committed;
  if (done) return;
  VoteSet& votes = phase == Phase::Prepare ? entry.prepares : entry.commits;
  const std::size_t quorum = voters().quorum();
  if (const auto agreed = votes.agreed(quorum)) {
    if (phase == Phase::Commit) {
      entry.committed = true;
      if (entry.proposed != MonotonicTime())
        commit_time_ += (now_ - entry.proposed - commit_time_) / 8;
      (void)commit_through(votes.certificate(*agreed, quorum));
      return propose_more();
    }
    if (entry.state != Entry::State::Accepted) return;
    if (entry.proposal->digest == *agreed) on_prepared(entry, votes.certificate(*agreed, quorum));
    return;
  }
  const auto chosen = votes.to_check(quorum);
  if (chosen.empty()) return;
  check(items_of(chosen), [this, slot, phase, chosen, epoch = epoch_.voters.epoch,
                           view = view_](const std::vector<bool>& good) {
    if (in_epoch(epoch) && view == view_ && !changing_) on_votes_checked(slot, phase, chosen, good);
  });
}

void Replica::on_votes_checked(Slot slot, Phase phase, const std::vector<Vote>& votes,
                               const std::vector<bool>& good) {
  const auto found = entries_.find(slot);
  if (found == entries_.end()) return;
  VoteSet& held = phase == Phase::Prepare ? found->second.prepares : found->second.commits;
  for (std::size_t i = 0; i < votes.size(); ++i)
    held.set(votes[i].replica, good[i] ? VoteSet::State::Good : VoteSet::State::Bad);
  count(slot, phase);
}

void Replica::on_prepared(Entry& entry, Certificate certificate) {
  const Statement& said = certificate.statement;
  entry.prepared = certificate;
  Lsn lsn = persist(Certified{certificate});
  if (mutant(Mutant::CommitBeforeDurable)) lsn = 0;
  keep_higher(prepared_, certificate);
  const Vote vote = sign({Phase::Commit, said.epoch, said.view, said.slot, said.digest});
  send(std::nullopt, vote, lsn);
  count_when_durable(vote, lsn);
}

// A certificate with a vote of ours convinces others whatever becomes of us: what the vote promises
// is durable before it counts.
void Replica::count_when_durable(const Vote& vote, Lsn lsn) {
  if (lsn <= durable_ || mutant(Mutant::CountedBeforeDurable)) return count_own(vote);
  own_votes_.emplace_back(lsn, vote);
}

void Replica::count_durable() {
  while (!own_votes_.empty() && own_votes_.front().first <= durable_) {
    const Vote vote = own_votes_.front().second;
    own_votes_.pop_front();
    count_own(vote);
  }
}

void Replica::count_own(const Vote& vote) {
  const Statement& said = vote.statement;
  if (!in_epoch(said.epoch)) return;
  if (said.phase == Phase::Checkpoint) {
    if (said.slot <= stable()) return;
    checkpoint_votes_[said.slot].add(vote, VoteSet::State::Good);
    return count_checkpoint(said.slot);
  }
  const auto found = entries_.find(said.slot);
  if (said.view != view_ || changing_ || found == entries_.end()) return;
  found->second.commits.add(vote, VoteSet::State::Good);
  count(said.slot, Phase::Commit);
}

// --- execution ---

// The blocks from above `above` to `tip`, which is in `slot`; none if one is not here.
std::optional<std::vector<LinkPtr>> Replica::chain_to(const base::Digest& tip, Slot slot,
                                                      Slot above) const {
  std::vector<LinkPtr> links;
  base::Digest digest = tip;
  for (; slot > above; --slot) {
    const auto body = bodies_.find(digest);
    if (body == bodies_.end() || body->second.link->block.slot != slot) return std::nullopt;
    links.push_back(body->second.link);
    digest = body->second.link->block.parent;
  }
  std::ranges::reverse(links);
  return links;
}

// `certificate` is checked. It commits its block and all before it.
bool Replica::commit_through(const Certificate& certificate) {
  const Statement& said = certificate.statement;
  if (said.slot <= committed_) return true;
  const auto links = chain_to(said.digest, said.slot, committed_);
  if (!links) {
    if (!blocked_commit_ || blocked_commit_->statement.slot < said.slot) {
      blocked_commit_ = certificate;
      fetch_missing();
    }
    return false;
  }
  BASE_ASSERT(links->front()->block.parent == committed_digest_,
              "two quorums committed different blocks: more than f replicas lie");
  // It promises nothing: it can be had from others, or be made again.
  persist(Certified{certificate}, true);
  if (in_epoch(said.epoch)) keep_higher(prepared_, certificate);
  for (const auto& link : *links) {
    chain_[link->block.slot] = link->digest;
    for (const auto& digest : link->bundle_digests) pool_.remove(digest);
  }
  commits_.emplace(said.slot, certificate);
  committed_ = said.slot;
  committed_digest_ = said.digest;
  progress_ = now_;
  if (said.view == view_ && !changing_) failed_views_ = 0;
  // A quorum of this view or of one before went further than we voted: see docs/design/0009.
  if (!changing_ && base_there_ && said.view <= view_ && accepted_ < committed_)
    move_tip(committed_, committed_digest_);
  if (blocked_commit_ && blocked_commit_->statement.slot <= committed_) blocked_commit_.reset();
  while (!entries_.empty() && entries_.begin()->first + options_.window < committed_)
    entries_.erase(entries_.begin());
  push_to_followers();
  apply_more();
  accept_ready();
  return true;
}

// Each follower has one voter that sends it what is committed; if that one does not, its statuses
// find others.
void Replica::push_to_followers() {
  for (auto& [peer, known] : peers_) {
    if (peer < kFirstFollower || !own_ || peer % voters().size() != *own_) continue;
    if (!in_epoch(known.status.epoch) || known.status.committed >= committed_) continue;
    help(peer);
    known.status.committed = committed_;
  }
}

void Replica::apply_more() {
  if (lost_) return;
  while (applying_ < committed_ && applying_ < applied_ + options_.window) {
    const Slot slot = ++applying_;
    // Whose state is older than our epoch executes the last slots of earlier ones again.
    const bool checkpoint = slot % options_.checkpoint_interval == 0 || is_last(slot) ||
                            (slot <= epoch_.start && epochs_.is_end(slot));
    out_->list.emplace_back(Apply{bodies_.at(chain_.at(slot)).link, checkpoint});
  }
}

}  // namespace hypermesh::consensus::pbft
