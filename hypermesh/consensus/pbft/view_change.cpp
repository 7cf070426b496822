#include <algorithm>

#include "consensus/pbft/replica.hpp"

// How a primary is replaced. A replica that wants a view says so with the highest block that it has
// a certificate for, and those that it voted for behind it; a quorum of wishes begins the view.

namespace hypermesh::consensus::pbft {

void Replica::want_view(View view) {
  if (!own_) return;
  view_ = view;
  changing_ = true;
  proof_.reset();
  claim_ = mutant(Mutant::LockIgnored) ? start_claim() : own_claim();
  held_ = held_behind(claim_);
  wish_lsn_ = persist(ViewWanted{epoch_.voters.epoch, view_, claim_, held_});
  const Vote vote = sign(statement_of(epoch_.voters.epoch, view_, claim_, held_));
  wanted_[*own_] = {view_, {*own_, claim_, held_, vote.signature}, prepared_};
  if (mutant(Mutant::WishBeforeDurable)) wish_lsn_ = 0;
  entries_.clear();
  view_wanted_by_quorum_ = MonotonicTime::max();
  told_wish_ = now_;
  pool_.restart_waiting(now_);
  send(std::nullopt, own_wish(), wish_lsn_);
  on_wish();
}

Claim Replica::own_claim() const {
  return prepared_ ? claim_of(*prepared_) : start_claim();
}

// The blocks behind that of `claim` to this one; nothing if they do not go on from it, or not all
// are here.
std::optional<std::vector<LinkPtr>> Replica::chain_behind(const Claim& claim, Slot slot,
                                                          const base::Digest& digest) const {
  auto links = chain_to(digest, slot, claim.slot);
  if (!links) return std::nullopt;
  if (claim.digest != (links->empty() ? digest : links->front()->block.parent)) return std::nullopt;
  return links;
}

// To the one that we voted for last.
std::vector<base::Digest> Replica::held_behind(const Claim& claim) const {
  const auto links = chain_behind(claim, voted_.slot, voted_.digest);
  if (!links || links->size() > kHeldMax) return {};
  std::vector<base::Digest> held;
  for (const auto& link : *links) held.push_back(link->digest);
  return held;
}

// The last vote from before a restart. Of records that nobody waited for, some in between may be
// gone.
void Replica::find_voted(const Restored& restored) {
  voted_ = start_claim();
  const Claim claim = own_claim();
  for (const auto& [slot, digest] : restored.voted) {
    const Claim vote{restored.voted_view, slot, digest};
    const Claim before = std::exchange(voted_, vote);
    if (slot > claim.slot && held_behind(claim).empty()) voted_ = before;
  }
}

Message Replica::own_wish() const {
  const Wanted& own = wanted_.at(*own_);
  return ViewChange{epoch_.voters.epoch, own.view, own.wish, own.proof};
}

void Replica::handle(PeerId from, const ViewChange& message) {
  const Wish& wish = message.wish;
  if (!own_ || !in_epoch(message.epoch) || from != wish.replica ||
      wish.replica >= voters().size() || message.view < view_ || wish.replica == *own_)
    return;
  if (message.view == view_ && !changing_) return;  // It began; their status asks for it.
  const Statement statement = statement_of(message.epoch, message.view, wish.claim, wish.held);
  const Vote vote{statement, wish.replica, wish.signature};
  const auto known = wanted_.find(wish.replica);
  if (known != wanted_.end() && known->second.view >= message.view) {
    const Wanted& before = known->second;
    const Vote said{statement_of(message.epoch, before.view, before.wish.claim, before.wish.held),
                    wish.replica, before.wish.signature};
    if (contradict(said, vote)) on_contradiction(said, vote);
    return;
  }
  View& checking = checking_wish_[wish.replica];
  if (checking >= message.view) return;

  const bool from_start = wish.claim == start_claim();
  std::vector<Check::Item> items{
      {voters().keys[wish.replica], signed_bytes(options_.cluster, statement), wish.signature}};
  if (!from_start) {
    if (!message.proof || !is_of(*message.proof, message.epoch, wish.claim) ||
        wish.claim.view >= message.view || !check_signers(voters(), *message.proof))
      return;
    if (message.proof != prepared_) append_items(items, voters(), *message.proof);
  }
  checking = message.view;
  check(std::move(items), [this, message, from_start](const std::vector<bool>& good) {
    if (!in_epoch(message.epoch)) return;
    const ReplicaId replica = message.wish.replica;
    if (std::ranges::find(good, false) != good.end()) {
      checking_wish_[replica] = 0;
      return;
    }
    Wanted& wanted = wanted_[replica];
    if (message.view <= wanted.view) return;
    wanted = {message.view, message.wish, from_start ? std::nullopt : message.proof};
    on_wish();
  });
}

void Replica::on_wish() {
  // One of f + 1 is honest: whoever hears so many joins the lowest view that they want.
  std::vector<View> views;
  for (const auto& [replica, wanted] : wanted_) {
    if (replica != *own_ && wanted.view > view_) views.push_back(wanted.view);
  }
  std::ranges::sort(views, std::greater());
  if (views.size() >= voters().weak_quorum()) return want_view(views[voters().weak_quorum() - 1]);
  if (!changing_) return;
  std::size_t count = 0;
  for (const auto& [replica, wanted] : wanted_) count += wanted.view >= view_ ? 1 : 0;
  // Only now: whoever waits alone must not run ahead of the others.
  if ((count >= voters().quorum() || mutant(Mutant::TimersRunAlone)) &&
      view_wanted_by_quorum_ == MonotonicTime::max())
    view_wanted_by_quorum_ = now_;
  maybe_begin_view();
}

void Replica::maybe_begin_view() {
  if (!changing_ || voters().primary(view_) != *own_) return;
  NewView message{epoch_.voters.epoch, view_, {}, std::nullopt};
  for (const auto& [replica, wanted] : wanted_) {
    if (wanted.view == view_) message.wishes.push_back(wanted.wish);
  }
  if (message.wishes.size() < voters().quorum()) return;
  const Claim highest = highest_claim(message.wishes);
  for (const auto& wish : message.wishes) {
    if (wish.claim == highest) {
      message.proof = wanted_.at(wish.replica).proof;
      break;
    }
  }
  send(std::nullopt, message, wish_lsn_);
  const Claim base = base_of(voters(), message.wishes);
  begin_view(view_, base, std::move(message));
}

void Replica::handle(PeerId, const NewView& message) {
  if (!in_epoch(message.epoch) || message.view < view_ || message.view == 0 ||
      (message.view == view_ && !changing_) || !check_form(voters(), start_claim(), message))
    return;
  std::vector<Check::Item> items;
  for (const Wish& wish : message.wishes) {
    const auto statement = statement_of(message.epoch, message.view, wish.claim, wish.held);
    items.push_back(
        {voters().keys[wish.replica], signed_bytes(options_.cluster, statement), wish.signature});
  }
  const bool from_start = highest_claim(message.wishes) == start_claim();
  if (!from_start && message.proof != prepared_ && !mutant(Mutant::NewViewUnproven))
    append_items(items, voters(), *message.proof);
  check(std::move(items), [this, message](const std::vector<bool>& good) {
    if (std::ranges::find(good, false) != good.end() && !mutant(Mutant::WishesUnchecked)) return;
    if (!in_epoch(message.epoch) || message.view < view_ || (message.view == view_ && !changing_))
      return;
    begin_view(message.view, base_of(voters(), message.wishes), message);
  });
}

void Replica::begin_view(View view, const Claim& base, std::optional<NewView> proof) {
  view_ = view;
  changing_ = false;
  base_ = base;
  if (mutant(Mutant::BaseNotCarriedOn)) base_ = {0, committed_, committed_digest_};
  proof_ = std::move(proof);
  begun_lsn_ = persist(ViewBegun{epoch_.voters.epoch, view_, base_, proof_});
  entries_.clear();
  promised_.clear();
  reserved_ = reserved_ready_ = 0;
  reserved_lsn_ = 0;
  rooted_ = 0;
  std::erase_if(wanted_, [&](const auto& each) { return each.second.view <= view_; });
  view_wanted_by_quorum_ = MonotonicTime::max();
  heard_primary_ = progress_ = now_;
  pool_.release_all();
  pool_.restart_waiting(now_);
  stand_on_base();
  propose_more();
  replay_early();
}

// Voting in a view goes on from its base, once that and what leads to it are here.
void Replica::stand_on_base() {
  base_there_ = true;
  if (base_.slot == epoch_.start) {
    move_tip(base_.slot, base_.digest);
  } else {
    const auto links = chain_to(base_.digest, base_.slot, std::min(committed_, base_.slot - 1));
    if (!links) {
      base_there_ = false;
      return fetch_missing();
    }
    move_tip(base_.slot - 1, links->back()->block.parent);
    for (const auto& link : *links) take_bundles(*link);
  }
  // Already committed here, by a quorum of a view before this one.
  if (base_.slot < committed_) move_tip(committed_, committed_digest_);
  accept_ready();
}

}  // namespace hypermesh::consensus::pbft
