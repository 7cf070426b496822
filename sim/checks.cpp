#include <fmt/format.h>

#include "consensus/execution/command.hpp"
#include "sim/client.hpp"
#include "sim/node.hpp"

// What must hold of what replicas say, while they say it.

namespace sim {

using namespace hypermesh::consensus;

// An honest replica says one thing only of each slot, however often it crashes.
void World::check_own_votes(Node& node, const Message& message) {
  const auto said = [&](const Statement& statement) {
    const Slot slot = statement.phase == Phase::ViewChange ? 0 : statement.slot;
    const auto [known, first] = node.said.emplace(
        Node::Place{statement.epoch, statement.view, slot, statement.phase}, statement.digest);
    if (!first && known->second != statement.digest) {
      fail(fmt::format("{} contradicts itself: {} in view {}, slot {}", node.index,
                       to_text(statement.phase), statement.view, statement.slot));
    }
    const Node::InEpoch view{statement.epoch, statement.view};
    if (statement.phase == Phase::ViewChange) {
      node.wanted = std::max(node.wanted, view);
    } else if (statement.phase != Phase::Checkpoint && view < node.wanted && first) {
      // What it said before it wanted a later view may be said again.
      fail(fmt::format("{} votes in view {} after it wanted {}", node.index, statement.view,
                       node.wanted.second));
    }
    if (statement.phase == Phase::Commit) {
      node.highest_commit = std::max(node.highest_commit,
                                     std::tuple(statement.epoch, statement.view, statement.slot));
    }
  };
  if (const auto* vote = std::get_if<Vote>(&message)) {
    if (vote->replica == node.replica->own()) said(vote->statement);
  } else if (const auto* proposal = std::get_if<Proposal>(&message)) {
    said({Phase::Prepare, proposal->epoch, proposal->view, proposal->link->block.slot,
          proposal->link->digest});
  } else if (const auto* wish = std::get_if<ViewChange>(&message)) {
    const Claim& claim = wish->wish.claim;
    if (std::tuple(wish->epoch, claim.view, claim.slot) < node.highest_commit)
      fail(fmt::format("{} claims less than it sent commits for", node.index));
    said(statement_of(wish->epoch, wish->view, claim));
  }
}

// Nobody is accused who is honest. What proves a lie is ordered, so that all isolate the liar.
void World::on_evidence(Node& node, const Evidence& evidence) {
  const Epoch epoch = evidence.first.statement.epoch;
  const auto& liar = epochs_.at(epoch).keys.at(evidence.first.replica);
  const std::size_t accused = node_of_.at(liar);
  if (trace_) {
    note(fmt::format("{} proves that {} lies ({})", node.index, accused,
                     to_text(evidence.first.statement.phase)));
  }
  if (nodes_[accused]->honest())
    fail(fmt::format("evidence against the honest replica {}", accused));
  if (!proven_.insert(accused).second || !plan_.isolates) return;
  Evidence proof = evidence;
  for (Vote* const vote : {&proof.first, &proof.second})
    vote->signature = keys_.sign_real(liar, signed_bytes(cluster_, vote->statement));
  send_bundle(*clients_.back(), encode(OnCluster<Evidence>{0, proof}),
              OpenBundle{.begun = timeline_.now()});
}

}  // namespace sim
