#include <fmt/format.h>

#include <algorithm>

#include "consensus/pbft/replica.hpp"

// How a primary is replaced. A replica that wants a view says so with the highest block that it
// holds a Prepare certificate for; a quorum of wishes begins the view with the highest of theirs.

namespace hypermesh::consensus::pbft {

using base::Errc;
using base::Result;

void Replica::want_view(View view) {
  if (!own_) return;
  view_ = view;
  changing_ = true;
  proof_.reset();
  claim_ = {0, epoch_.start, epoch_.start_digest};
  if (prepared_ && !mutant(Mutant::LockIgnored)) {
    const Statement& said = prepared_->statement;
    claim_ = {said.view, said.slot, said.digest};
  }
  wish_lsn_ = persist(ViewWanted{epoch_.voters.epoch, view_, claim_});
  const Vote vote = sign(statement_of(epoch_.voters.epoch, view_, claim_));
  wanted_[*own_] = {view_, {*own_, claim_, vote.signature}, prepared_};
  if (mutant(Mutant::WishBeforeDurable)) wish_lsn_ = 0;
  entries_.clear();
  view_wanted_by_quorum_ = MonotonicTime::max();
  told_wish_ = now_;
  pool_.restart_waiting(now_);
  send(std::nullopt, own_wish(), wish_lsn_);
  on_wish();
}

Message Replica::own_wish() const {
  const Wanted& own = wanted_.at(*own_);
  return ViewChange{epoch_.voters.epoch, own.view, own.wish, own.prepared};
}

void Replica::handle(PeerId from, const ViewChange& message) {
  const Wish& wish = message.wish;
  if (!own_ || !in_epoch(message.epoch) || from != wish.replica ||
      wish.replica >= voters().size() || message.view < view_ || wish.replica == *own_)
    return;
  if (message.view == view_ && !changing_) return;  // It began; their status asks for it.
  const Statement statement = statement_of(message.epoch, message.view, wish.claim);
  const Vote vote{statement, wish.replica, wish.signature};
  const auto known = wanted_.find(wish.replica);
  if (known != wanted_.end() && known->second.view >= message.view) {
    const Wanted& before = known->second;
    if (before.view == message.view && before.wish.claim != wish.claim) {
      on_contradiction({statement_of(message.epoch, before.view, before.wish.claim), wish.replica,
                        before.wish.signature},
                       vote);
    }
    return;
  }
  View& checking = checking_wish_[wish.replica];
  if (checking >= message.view) return;

  const bool from_start = wish.claim == Claim{0, epoch_.start, epoch_.start_digest};
  std::vector<Check::Item> items{
      {voters().keys[wish.replica], signed_bytes(options_.cluster, statement), wish.signature}};
  if (!from_start) {
    const Statement prepared{Phase::Prepare, message.epoch, wish.claim.view, wish.claim.slot,
                             wish.claim.digest};
    if (!message.prepared || message.prepared->statement != prepared ||
        wish.claim.view >= message.view || !check_signers(voters(), *message.prepared))
      return;
    if (message.prepared != prepared_) append_items(items, voters(), *message.prepared);
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
    wanted = {message.view, message.wish, from_start ? std::nullopt : message.prepared};
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
  const Claim base = message.base();
  for (const auto& wish : message.wishes) {
    if (wish.claim == base) {
      message.prepared = wanted_.at(wish.replica).prepared;
      break;
    }
  }
  send(std::nullopt, message, wish_lsn_);
  begin_view(view_, base, std::move(message));
}

Result<> Replica::check_form(const NewView& message) const {
  if (message.wishes.size() < voters().quorum()) {
    return base::fail(Errc::NotVerified,
                      fmt::format("view {} is wanted by {}; a quorum has {}", message.view,
                                  message.wishes.size(), voters().quorum()));
  }
  const Claim& base = message.base();
  for (std::size_t i = 0; i < message.wishes.size(); ++i) {
    const Wish& wish = message.wishes[i];
    if (wish.replica >= voters().size() ||
        (i > 0 && wish.replica <= message.wishes[i - 1].replica &&
         !mutant(Mutant::WishesCountedTwice)))
      return base::fail(Errc::NotVerified, "a view that an unknown replica wants, or one twice");
    if (wish.claim.view == base.view && wish.claim.slot == base.slot && wish.claim != base)
      return base::fail(Errc::NotVerified, "a view that is to begin with two blocks");
  }
  if (base == Claim{0, epoch_.start, epoch_.start_digest}) return {};
  const Statement prepared{Phase::Prepare, message.epoch, base.view, base.slot, base.digest};
  if (mutant(Mutant::NewViewUnproven)) return {};
  if (!message.prepared || message.prepared->statement != prepared || base.view >= message.view)
    return base::fail(Errc::NotVerified, "a view whose first block is not proven");
  return check_signers(voters(), *message.prepared);
}

void Replica::handle(PeerId, const NewView& message) {
  if (!in_epoch(message.epoch) || message.view < view_ || message.view == 0 ||
      (message.view == view_ && !changing_) || !check_form(message))
    return;
  std::vector<Check::Item> items;
  for (const Wish& wish : message.wishes) {
    const auto statement = statement_of(message.epoch, message.view, wish.claim);
    items.push_back(
        {voters().keys[wish.replica], signed_bytes(options_.cluster, statement), wish.signature});
  }
  const bool from_start = message.base() == Claim{0, epoch_.start, epoch_.start_digest};
  if (!from_start && message.prepared != prepared_ && !mutant(Mutant::NewViewUnproven))
    append_items(items, voters(), *message.prepared);
  check(std::move(items), [this, message](const std::vector<bool>& good) {
    if (std::ranges::find(good, false) != good.end() && !mutant(Mutant::WishesUnchecked)) return;
    if (!in_epoch(message.epoch) || message.view < view_ || (message.view == view_ && !changing_))
      return;
    begin_view(message.view, message.base(), message);
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
