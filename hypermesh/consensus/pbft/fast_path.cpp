#include <algorithm>

#include "consensus/pbft/replica.hpp"

// What all voters hold is committed at once: docs/design/0013. Whoever has a certificate of the
// view votes Hold, to the primary alone, which shows all votes to everybody. When one is missing
// for long, the slots are prepared and committed as published PBFT does.

namespace hypermesh::consensus::pbft {

namespace {

constexpr Duration kHeard = std::chrono::seconds(1);  // Each tells its status five times meanwhile.
// A vote may take so many times as long as that which makes a quorum.
constexpr int kWaits = 3;
// For a quorum: of heartbeats.
constexpr int kQuorumWaits = 2;
// A pause lasts so many times as long as what was waited in vain: of a replica that keeps back its
// votes, at most a sixth of the time at first, and a hundredth if it goes on.
constexpr int kPauseMin = 5, kPauseMax = 100;
// What nobody elsewhere waits for is told with a proposal after so long, and alone after so long.
constexpr Duration kTellBeside = std::chrono::milliseconds(2),
                   kTellAlone = std::chrono::milliseconds(5);

}  // namespace

// --- as primary ---

bool Replica::goes_fast() const {
  // Whoever was convicted would be waited for.
  if (!options_.fast_path || !voters().isolated.empty() || now_ < fast_again_) return false;
  if (options_.suspects_alone) return true;
  const auto heard = std::ranges::count_if(
      heard_, [&](const auto& each) { return each.first != own_ && now_ < each.second + kHeard; });
  return static_cast<std::size_t>(heard) + 1 >= voters().size();
}

// Our own votes count when what they promise is durable.
void Replica::hold_own() {
  if (changing_ || !is_primary()) return;
  for (auto next = entries_.upper_bound(committed_); next != entries_.end(); ++next) {
    const Slot slot = next->first;
    Entry& entry = next->second;
    if (!entry.fast || entry.state != Entry::State::Accepted) continue;
    if (entry.lsn > durable_ && !mutant(Mutant::HoldBeforeDurable)) return;
    if (entry.holds.find(*own_) != nullptr) continue;
    entry.holds.add(sign({Phase::Hold, epoch_.voters.epoch, view_, slot, entry.proposal->digest}),
                    VoteSet::State::Good);
    count_holds(slot);
  }
}

void Replica::count_holds(Slot slot) {
  const auto found = entries_.find(slot);
  if (!is_primary() || slot <= committed_ || found == entries_.end()) return;
  Entry& entry = found->second;
  if (entry.state != Entry::State::Accepted) return;
  if (entry.by_quorum == MonotonicTime() && entry.holds.size() >= voters().quorum())
    entry.by_quorum = now_;
  const std::size_t needed = voters().needed(Phase::Hold);
  if (const auto agreed = entry.holds.agreed(needed)) {
    if (*agreed != entry.proposal->digest) return;
    commit_time_ += (now_ - entry.proposed - commit_time_) / 8;
    entry.committed = true;
    const Slot before = committed_;
    (void)commit_through(entry.holds.certificate(*agreed, needed));
    untold_since_ = std::min(untold_since_, now_);
    if (others_wait(before)) tell_decided();
    return propose_more();
  }
  // All are needed, so each is checked while the others are on their way.
  const auto chosen = entry.holds.to_check(entry.proposal->digest);
  if (chosen.empty()) return;
  check(items_of(chosen), [this, slot, chosen, epoch = epoch_.voters.epoch,
                           view = view_](const std::vector<bool>& good) {
    if (!in_epoch(epoch) || view != view_ || changing_) return;
    const auto held = entries_.find(slot);
    if (held == entries_.end()) return;
    for (std::size_t i = 0; i < chosen.size(); ++i)
      held->second.holds.set(chosen[i].replica,
                             good[i] ? VoteSet::State::Good : VoteSet::State::Bad);
    count_holds(slot);
  });
}

// Whether somebody else has clients that wait for what was committed after `before`.
bool Replica::others_wait(Slot before) const {
  for (Slot slot = committed_; slot > before; --slot) {
    const auto& bundles = bodies_.at(chain_.at(slot)).link->block.bundles;
    if (std::ranges::any_of(bundles, [&](const auto& each) { return each->client != own_key_; }))
      return true;
  }
  return false;
}

// The last certificate commits all before it: told less often, fewer signatures are checked.
void Replica::tell_decided() {
  const auto last = commits_.find(committed_);
  if (std::exchange(untold_since_, MonotonicTime::max()) != MonotonicTime::max() &&
      last != commits_.end())
    send(std::nullopt, Decided{last->second});
}

void Replica::tell_beside_proposal() {
  if (now_ - kTellBeside >= untold_since_) tell_decided();
}

MonotonicTime Replica::tell_due() const {
  return untold_since_ == MonotonicTime::max() ? untold_since_ : untold_since_ + kTellAlone;
}

// When the first slot under way has waited long enough for its last vote.
MonotonicTime Replica::fast_due() const {
  if (changing_ || !is_primary()) return MonotonicTime::max();
  for (auto next = entries_.upper_bound(committed_); next != entries_.end(); ++next) {
    const Entry& entry = next->second;
    if (!entry.fast) continue;
    if (entry.by_quorum == MonotonicTime())
      return entry.proposed + kQuorumWaits * options_.heartbeat;
    return entry.proposed +
           std::max(options_.fast_wait_min, kWaits * (entry.by_quorum - entry.proposed));
  }
  return MonotonicTime::max();
}

void Replica::leave_fast_path() {
  send(std::nullopt, VoteOpenly{epoch_.voters.epoch, view_, accepted_});
  Duration waited = options_.fast_wait_min;
  std::vector<Slot> slots;
  for (auto next = entries_.upper_bound(committed_); next != entries_.end(); ++next) {
    if (!std::exchange(next->second.fast, false)) continue;
    waited = std::max(waited, now_ - next->second.proposed);
    slots.push_back(next->first);
  }
  const bool again = now_ < fast_again_ + kPauseMax * waited;
  fast_pause_ =
      std::clamp(again ? 2 * fast_pause_ : Duration(), kPauseMin * waited, kPauseMax * waited);
  fast_again_ = now_ + fast_pause_;
  for (const Slot slot : slots) count(slot, Phase::Prepare);
}

// --- as replica ---

// Whether we have a certificate of this view, and all that leads from its block to the last one
// that we voted for: then a wish of ours shows that we hold it.
bool Replica::is_rooted() {
  if (mutant(Mutant::HoldWithoutCertificate)) return true;
  const Claim claim = own_claim();
  if (claim.view != view_ || claim.slot > accepted_) return false;
  const bool goes_on = rooted_ != 0 && (rooted_ == accepted_ || rooted_ + 1 == accepted_);
  if (!goes_on && !chain_behind(claim, accepted_, accepted_digest_)) return false;
  rooted_ = accepted_;
  return true;
}

void Replica::handle(PeerId, const Decided& message) {
  check_commit(message.certificate,
               [this, certificate = message.certificate] { (void)commit_through(certificate); });
}

void Replica::handle(PeerId from, const VoteOpenly& message) {
  if (!own_ || !in_epoch(message.epoch) || message.view != view_ || changing_ ||
      from != voters().primary(view_))
    return;
  vote_openly_up_to(message.slot);
}

void Replica::vote_openly_up_to(Slot up_to) {
  if (!own_ || changing_ || is_primary()) return;
  std::vector<Slot> slots;
  for (auto next = entries_.upper_bound(committed_); next != entries_.end() && next->first <= up_to;
       ++next) {
    Entry& entry = next->second;
    if (!std::exchange(entry.fast, false) || entry.state != Entry::State::Accepted) continue;
    vote_openly(entry);
    slots.push_back(next->first);
  }
  for (const Slot slot : slots) count(slot, Phase::Prepare);
}

}  // namespace hypermesh::consensus::pbft
