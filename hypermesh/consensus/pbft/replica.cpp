#include "consensus/pbft/replica.hpp"

#include <algorithm>

// Inputs, timers, epochs: what holds the other files together.

namespace hypermesh::consensus::pbft {

namespace {

constexpr std::size_t kEarlyPerPeerMax = 256;  // Messages for a view that has not begun here.
constexpr std::size_t kShownBytesMax = 16 * 1024;

}  // namespace

Replica::Replica(const Options& options, Signer& signer, std::optional<base::PublicKey> own,
                 Restored restored, const Position& position, MonotonicTime now)
    : options_(options),
      signer_(signer),
      own_key_(restored.silenced ? std::nullopt : own),
      now_(now),
      silenced_(restored.silenced),
      epoch_(restored.epoch),
      next_(position.next),
      view_(restored.view),
      changing_(restored.changing),
      claim_(restored.claim),
      held_(restored.held),
      base_(restored.base),
      proof_(restored.proof),
      accepted_(epoch_.start),
      accepted_digest_(epoch_.start_digest),
      prepared_(restored.prepared),
      committed_(position.slot),
      committed_digest_(position.digest),
      applying_(position.slot),
      applied_(position.slot),
      stable_(restored.stable),
      epochs_(restored.genesis.voters, restored.ended),
      pool_(options.pool),
      last_lsn_(restored.last_lsn),
      durable_(restored.last_lsn),
      heard_primary_(now),
      view_wanted_by_quorum_(MonotonicTime::max()),
      progress_(now),
      restored_(std::move(restored)),
      position_(position) {
  if (own_key_) own_ = voters().find(*own_key_);
  for (const auto& [digest, body] : restored_->bodies)
    bodies_.emplace(digest, Kept{body.first, body.second});
  find_voted(*restored_);
}

void Replica::step(const Input& input, MonotonicTime now, std::uint64_t wall, Outputs& out) {
  now_ = now;
  wall_ = wall;
  out_ = &out;
  if (restored_) start();
  if (const auto* received = std::get_if<Received>(&input)) {
    if (received->from < voters().size()) heard_[received->from] = now_;
    receive(received->from, *received->message);
  } else if (const auto* unreadable = std::get_if<Unreadable>(&input)) {
    on_unreadable(*unreadable);
  } else if (const auto* persisted = std::get_if<Persisted>(&input)) {
    durable_ = std::max(durable_, persisted->lsn);
    ask_for_state();
    count_durable();
    hold_own();
    propose_more();
  } else if (const auto* checked = std::get_if<Checked>(&input)) {
    const auto found = tickets_.find(checked->ticket);
    if (found != tickets_.end()) {
      const auto then = std::move(found->second);
      tickets_.erase(found);
      then(mutant(Mutant::VotesUnchecked) ? std::vector<bool>(checked->good.size(), true)
                                          : checked->good);
    }
  } else if (const auto* applied = std::get_if<Applied>(&input)) {
    on_applied(*applied);
  } else if (const auto* installed = std::get_if<Installed>(&input)) {
    on_installed(*installed);
  } else if (std::holds_alternative<Lost>(input)) {
    on_lost();
  } else if (const auto* read = std::get_if<Read>(&input)) {
    reads_.want(read->ticket);
  } else if (const auto* over = std::get_if<Over>(&input)) {
    pool_.remove(over->bundle);
  } else if (const auto* conditions = std::get_if<Conditions>(&input)) {
    conditions_ = *conditions;
  }
  run_timers();
  out.wake_at = next_wake();
  out_ = nullptr;
}

void Replica::start() {
  const Restored restored = *std::move(restored_);
  restored_.reset();
  begin_listening();
  find_chain();
  if (silenced_) persist(Silenced{});
  if (changing_ && own_) {
    // Said again as it was said before.
    const Wish wish{*own_, claim_, held_,
                    sign(statement_of(epoch_.voters.epoch, view_, claim_, held_)).signature};
    wanted_[*own_] = {view_, wish, restored.claim_proof};
  }
  for (const auto& [slot, certificate] : restored.commits) {
    if (slot <= committed_) {
      commits_.emplace(slot, certificate);
    } else {
      (void)commit_through(certificate);
    }
  }
  for (const auto& [slot, checkpoint] : restored.own_checkpoints) {
    const bool current = in_epoch(checkpoint.certificate.statement.epoch);
    signed_end_ = signed_end_ || (current && checkpoint.next);
    if (mutant(Mutant::CheckpointVotesForgotten) || !current || slot <= stable()) continue;
    if (slot <= applied_) {
      vote_checkpoint(checkpoint, 0);
    } else {
      said_.emplace(slot, checkpoint);
    }
  }
  // The state was removed, and the blocks up to the checkpoint are not in the log any more.
  if (committed_ < stable()) on_lost();
  // A crash may have come between a checkpoint and what it leads to.
  const bool voted = own_checkpoints_.contains(position_.slot);
  if (position_.root && position_.slot > std::max(stable(), epoch_.start) && !voted &&
      !mutant(Mutant::CheckpointVotesForgotten))
    make_checkpoint(position_.slot, *position_.root, position_.digest);
  if (end_epoch()) return;
  if (changing_) return;
  if (!mutant(Mutant::PromisesForgotten)) promised_ = restored.accepted;
  stand_on_base();
  if (mutant(Mutant::PromisesForgotten)) return;
  for (const auto& [slot, digest] : restored.accepted) {
    if (slot <= accepted_) continue;
    const auto body = bodies_.find(digest);
    if (!base_there_ || slot != accepted_ + 1 || body == bodies_.end()) break;
    Entry& entry = entries_[slot];
    entry.proposal = body->second.link;
    entry.state = Entry::State::Accepted;
    move_tip(slot, digest);
    if (own_) {
      entry.prepares.add(sign({Phase::Prepare, epoch_.voters.epoch, view_, slot, digest}),
                         VoteSet::State::Good);
    }
    if (prepared_ && own_ && prepared_->statement.phase == Phase::Prepare &&
        prepared_->statement.view == view_ && prepared_->statement.slot == slot) {
      entry.prepared = prepared_;
      entry.commits.add(sign({Phase::Commit, epoch_.voters.epoch, view_, slot, digest}),
                        VoteSet::State::Good);
    }
  }
  // It may have proposed what it does not remember, and must not propose anything else there.
  if (restored.was_primary && is_primary() && !mutant(Mutant::PrimacyKeptOverRestart))
    want_view(view_ + 1);
}

// What is executed, and still in the log: others may lack it, and who loses his state executes it
// again.
void Replica::find_chain() {
  base::Digest digest = committed_digest_;
  for (Slot slot = committed_; slot > 0; --slot) {
    const auto body = bodies_.find(digest);
    if (body == bodies_.end() || body->second.link->block.slot != slot) return;
    chain_.emplace(slot, digest);
    digest = body->second.link->block.parent;
  }
}

void Replica::receive(PeerId from, const Message& message) {
  std::visit([&](const auto& m) { handle(from, m); }, message);
}

void Replica::handle(PeerId from, const Submit& message) {
  if (!own_) return;
  const BundlePtr& bundle = message.bundle;
  const auto digest = digest_of(*bundle);
  if (pool_.contains(digest) || pool_.ordered(digest)) return;
  if (!pool_.may_add(*bundle)) return;
  // Our own gateway's. What others say that we signed is looked at.
  if (from == *own_ && bundle->client == own_key_) {
    if (pool_.add(bundle, digest, now_) == BundlePool::Added::Yes) propose_more();
    return;
  }
  check({{bundle->client, signed_bytes(options_.cluster, *bundle), bundle->signature}},
        [this, bundle, digest](const std::vector<bool>& good) {
          if (!good[0]) return;
          if (pool_.add(bundle, digest, now_) == BundlePool::Added::Yes) propose_more();
        });
}

void Replica::handle(PeerId, const Evidence& message) {
  const auto& [first, second] = message;
  if (!contradict(first, second) || !in_epoch(first.statement.epoch)) return;
  if (first.replica >= voters().size() || accused_.contains(first.replica)) return;
  check(items_of({first, second}), [this, message](const std::vector<bool>& good) {
    if ((good[0] && good[1]) || mutant(Mutant::EvidenceUnchecked))
      accuse(message.first, message.second);
  });
}

// Both votes' signatures are known to be good.
void Replica::accuse(const Vote& first, const Vote& second) {
  if (!in_epoch(first.statement.epoch) || !accused_.insert(first.replica).second) return;
  const Evidence evidence{first, second};
  out_->list.emplace_back(evidence);
  send(std::nullopt, evidence);
}

void Replica::send(std::optional<PeerId> to, Message message, Lsn after) {
  const Version version =
      mutant(Mutant::NewestSpoken) ? options_.versions.newest : voters().version;
  out_->list.emplace_back(
      Send{to, std::make_shared<const Message>(std::move(message)), after, version});
}

Lsn Replica::persist(Record record, bool lazy) {
  out_->list.emplace_back(Persist{++last_lsn_, std::move(record), lazy, voters().version});
  return last_lsn_;
}

void Replica::check(std::vector<Check::Item> items,
                    std::function<void(const std::vector<bool>&)> then) {
  if (items.empty()) return then({});
  const Ticket ticket = next_ticket_++;
  tickets_.emplace(ticket, std::move(then));
  out_->list.emplace_back(Check{ticket, std::move(items)});
}

std::vector<Check::Item> Replica::items_of(const std::vector<Vote>& votes) const {
  std::vector<Check::Item> items;
  for (const Vote& vote : votes) {
    items.push_back({voters().keys[vote.replica], signed_bytes(options_.cluster, vote.statement),
                     vote.signature});
  }
  return items;
}

void Replica::append_items(std::vector<Check::Item>& items, const Voters& signers,
                           const Certificate& certificate) const {
  const auto bytes = signed_bytes(options_.cluster, certificate.statement);
  for (const auto& [replica, signature] : certificate.signatures)
    items.push_back({signers.keys[replica], bytes, signature});
}

Vote Replica::sign(const Statement& statement) {
  BASE_ASSERT(own_.has_value(), "only a voter signs");
  return {statement, *own_, signer_.sign(signed_bytes(options_.cluster, statement))};
}

void Replica::run_timers() {
  if (own_ && !changing_) {
    const bool silent = primary_is_silent();
    const bool busy = accepted_ > committed_;
    const bool stuck =
        (busy && now_ >= progress_ + options_.request_timeout) ||
        (pool_.size() > 0 && now_ >= pool_.waiting_since() + options_.request_timeout);
    if (silent || stuck) {
      ++failed_views_;
      want_view(view_ + 1);
    }
  }
  if (own_ && changing_) {
    if (view_wanted_by_quorum_ != MonotonicTime::max() &&
        now_ >= view_wanted_by_quorum_ + patience()) {
      ++failed_views_;
      want_view(view_ + 1);
    } else if (now_ >= told_wish_ + 4 * options_.heartbeat) {
      told_wish_ = now_;
      send(std::nullopt, own_wish(), wish_lsn_);
    }
  }
  if (now_ >= fast_due()) leave_fast_path();
  if (now_ >= tell_due()) tell_decided();
  if ((!changing_ && !base_there_) || blocked_commit_) {
    if (now_ >= fetched_ + 2 * options_.heartbeat) fetch_missing();
  }
  if (now_ >= told_status_ + options_.heartbeat * (is_primary() ? 1 : 4)) {
    told_status_ = now_;
    tell_status(std::nullopt);
    accept_ready();  // What was ahead of our clock may no longer be.
    show_overdue();
  }
  propose_more();
  settle_reads();
}

// The primary is blamed soon for what waits here. So that this replica does not do so alone, all
// others hear of it, and of those that are over it forgets.
void Replica::show_overdue() {
  if (!own_ || changing_ || is_primary()) return;
  auto bundles = pool_.waiting_since(now_ - options_.request_timeout / 2, kShownBytesMax);
  if (bundles.empty()) return;
  for (const auto& bundle : bundles) send(std::nullopt, Submit{bundle});
  out_->list.emplace_back(Overdue{std::move(bundles)});
}

MonotonicTime Replica::next_wake() const {
  MonotonicTime at = told_status_ + options_.heartbeat * (is_primary() ? 1 : 4);
  if (own_ && !changing_) {
    at = std::min(at, suspicion_due());
    if (accepted_ > committed_) at = std::min(at, progress_ + options_.request_timeout);
    if (pool_.size() > 0) at = std::min(at, pool_.waiting_since() + options_.request_timeout);
    if (is_primary() && pool_.free_operations() > 0)
      at = std::min(at, std::max(batch_due(), now_ + options_.batch_wait));
  }
  if (own_ && changing_) {
    at = std::min(at, told_wish_ + 4 * options_.heartbeat);
    if (view_wanted_by_quorum_ != MonotonicTime::max())
      at = std::min(at, view_wanted_by_quorum_ + patience());
  }
  if ((!changing_ && !base_there_) || blocked_commit_)
    at = std::min(at, fetched_ + 2 * options_.heartbeat);
  return std::min({at, reads_.wake_at(), fast_due(), tell_due()});
}

void Replica::keep_early(PeerId from, Message message) {
  auto& kept = early_[from];
  kept.push_back(std::make_shared<const Message>(std::move(message)));
  if (kept.size() > kEarlyPerPeerMax) kept.pop_front();
}

void Replica::replay_early() {
  const auto early = std::exchange(early_, {});
  for (const auto& [from, messages] : early) {
    for (const auto& message : messages) receive(from, *message);
  }
}

}  // namespace hypermesh::consensus::pbft
