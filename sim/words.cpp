#include "sim/words.hpp"

#include <fmt/format.h>

namespace sim {

using namespace hypermesh::consensus;

std::string Words::say(const Statement& statement, ReplicaId own) {
  const Slot slot = statement.phase == Phase::ViewChange ? 0 : statement.slot;
  const auto [known, first] = said_.emplace(
      Place{statement.epoch, statement.view, slot, statement.phase}, statement.digest);
  if (!first && known->second != statement.digest) {
    return fmt::format("{} contradicts itself: {} in epoch {}, view {}, slot {}", own,
                       to_text(statement.phase), statement.epoch, statement.view, statement.slot);
  }
  const std::pair view(statement.epoch, statement.view);
  if (statement.phase == Phase::ViewChange) {
    wanted_ = std::max(wanted_, view);
  } else if (statement.phase != Phase::Checkpoint && view < wanted_ && first) {
    // What it said before it wanted a later view may be said again.
    return fmt::format("{} votes in view {} of epoch {} after it wanted {} of {}", own,
                       statement.view, statement.epoch, wanted_.second, wanted_.first);
  }
  const bool voted = statement.phase == Phase::Prepare || statement.phase == Phase::Hold;
  if (voted && hold_ && std::pair(hold_->epoch, hold_->view) < view) hold_.reset();
  if (statement.phase == Phase::Hold && (!hold_ || hold_->slot < statement.slot)) hold_ = statement;
  if (statement.phase == Phase::Commit) {
    highest_commit_ =
        std::max(highest_commit_, std::tuple(statement.epoch, statement.view, statement.slot));
  }
  return {};
}

// What it holds is of the chain of a liar, and the claim of that which others committed.
bool Words::voted_otherwise(const Statement& hold, const Claim& claim) const {
  for (const Phase phase : {Phase::Prepare, Phase::Hold}) {
    const auto said = said_.find(Place{hold.epoch, hold.view, claim.slot, phase});
    if (said != said_.end() && said->second != claim.digest) return true;
  }
  return false;
}

std::string Words::say(const Message& message, ReplicaId own) {
  if (const auto* vote = std::get_if<Vote>(&message))
    return vote->replica == own ? say(vote->statement, own) : std::string();
  if (const auto* proposal = std::get_if<Proposal>(&message)) {
    return say({Phase::Prepare, proposal->epoch, proposal->view, proposal->link->block.slot,
                proposal->link->digest},
               own);
  }
  if (const auto* wish = std::get_if<ViewChange>(&message)) {
    const Claim& claim = wish->wish.claim;
    if (std::tuple(wish->epoch, claim.view, claim.slot) < highest_commit_)
      return fmt::format("{} claims less than it sent commits for", own);
    // Behind a view in which it may have voted for something else, unheard, that may be gone.
    const bool next = hold_ && hold_->epoch == wish->epoch && hold_->view + 1 == wish->view;
    if (next && claim.slot < hold_->slot && !voted_otherwise(*hold_, claim)) {
      const auto& held = wish->wish.held;
      const std::size_t place = hold_->slot - claim.slot - 1;
      if (place >= held.size() || held[place] != hold_->digest)
        return fmt::format("{} hides what it holds in slot {}", own, hold_->slot);
    }
    return say(statement_of(wish->epoch, wish->view, claim, wish->wish.held), own);
  }
  return {};
}

std::optional<Epoch> epoch_of_word(const Message& message) {
  if (const auto* vote = std::get_if<Vote>(&message)) return vote->statement.epoch;
  if (const auto* proposal = std::get_if<Proposal>(&message)) return proposal->epoch;
  if (const auto* wish = std::get_if<ViewChange>(&message)) return wish->epoch;
  return std::nullopt;
}

}  // namespace sim
