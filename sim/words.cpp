#include "sim/words.hpp"

#include <fmt/format.h>

namespace sim {

using namespace hypermesh::consensus;

std::string Words::say(const Statement& statement) {
  const Slot slot = statement.phase == Phase::ViewChange ? 0 : statement.slot;
  const auto [known, first] = said_.emplace(
      std::tuple(statement.epoch, statement.view, slot, statement.phase), statement.digest);
  if (!first && known->second != statement.digest) {
    return fmt::format("{} contradicts itself: {} in view {}, slot {}", speaker_,
                       to_text(statement.phase), statement.view, statement.slot);
  }
  if (statement.phase == Phase::ViewChange) {
    wanted_ = std::max(wanted_, statement.view);
  } else if (statement.phase != Phase::Checkpoint && statement.view < wanted_ && first) {
    // What it said before it wanted a later view may be said again.
    return fmt::format("{} votes in view {} after it wanted {}", speaker_, statement.view, wanted_);
  }
  if (statement.phase == Phase::Commit)
    highest_commit_ = std::max(highest_commit_, std::pair(statement.view, statement.slot));
  return {};
}

std::string Words::say(const Message& message) {
  if (const auto* vote = std::get_if<Vote>(&message))
    return vote->replica == speaker_ ? say(vote->statement) : std::string();
  if (const auto* proposal = std::get_if<Proposal>(&message)) {
    return say({Phase::Prepare, proposal->epoch, proposal->view, proposal->link->block.slot,
                proposal->link->digest});
  }
  if (const auto* wish = std::get_if<ViewChange>(&message)) {
    const Claim& claim = wish->wish.claim;
    if (std::pair(claim.view, claim.slot) < highest_commit_)
      return fmt::format("{} claims less than it sent commits for", speaker_);
    return say(statement_of(wish->epoch, wish->view, claim));
  }
  return {};
}

}  // namespace sim
