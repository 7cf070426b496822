#include <fmt/format.h>

#include "consensus/execution/command.hpp"
#include "sim/client.hpp"
#include "sim/node.hpp"

// What must hold of what replicas say, while they say it.

namespace sim {

using namespace hypermesh::consensus;

// An honest replica says one thing only of each slot, however often it crashes, and nothing more
// under a key whose promises were lost with its disk.
void World::check_own_votes(Node& node, const Message& message) {
  const auto epoch = epoch_of_word(message);
  if (!epoch) return;
  const auto own = epochs_.at(*epoch).find(node.key);
  const auto* const vote = std::get_if<Vote>(&message);
  // Who proves what a liar told him shows that one's words.
  if (vote != nullptr && vote->replica != own) return;
  if (!own) return fail(fmt::format("{} speaks in epoch {}, and is no voter", node.index, *epoch));
  if (node.forgot) return fail(fmt::format("{} votes after its disk was lost", node.index));
  if (node.forgets) return;
  node.words.certified(*epoch, node.replica->stable());
  const auto wrong = node.words.say(message, *own);
  if (!wrong.empty()) fail(fmt::format("node {}: {}", node.index, wrong));
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
  if (nodes_[accused]->honest() && !nodes_[accused]->forgets)
    fail(fmt::format("evidence against the honest replica {}", accused));
  bool good = contradict(evidence.first, evidence.second);
  for (const Vote& vote : {evidence.first, evidence.second})
    good = good && keys_.good({liar, signed_bytes(cluster_, vote.statement), vote.signature});
  if (!good) fail(fmt::format("evidence against {} convinces nobody else", accused));
  if (!proven_.insert(accused).second || !plan_.isolates) return;
  Evidence proof = evidence;
  for (Vote* const vote : {&proof.first, &proof.second})
    vote->signature = keys_.sign_real(liar, signed_bytes(cluster_, vote->statement));
  send_bundle(*clients_[plan_.clients], encode(OnCluster<Evidence>{0, proof}),
              OpenBundle{.begun = timeline_.now()});
}

// Only what its replica can hold against the liar: signed, of its view, and of a slot that is not
// over.
void World::hear_liar(Node& node, std::size_t from, const Message& message) {
  const pbft::Replica& replica = *node.replica;
  const pbft::PeerId id = *node.peers[from];
  if (!replica.own() || id >= pbft::kFirstFollower || proven_.contains(from)) return;
  Vote vote;
  if (const auto* said = std::get_if<Vote>(&message)) {
    vote = *said;
  } else if (const auto* proposal = std::get_if<Proposal>(&message)) {
    if (replica.voters().primary(proposal->view) != id) return;
    const Link& link = *proposal->link;
    vote = {{Phase::Prepare, proposal->epoch, proposal->view, link.block.slot, link.digest},
            static_cast<ReplicaId>(id),
            proposal->signature};
  } else {
    return;
  }
  const Statement& said = vote.statement;
  if (vote.replica != id || said.epoch != replica.voters().epoch) return;
  const bool checkpoint = said.phase == Phase::Checkpoint;
  if (!checkpoint && (said.view != replica.view() || replica.changing())) return;
  if (said.slot > replica.applied() + plan_.checkpoint_interval) return;
  if (!keys_.good({nodes_[from]->key, signed_bytes(cluster_, said), vote.signature})) return;
  const std::tuple place(Node::Place{said.epoch, said.view, said.slot, said.phase}, from);
  const auto known = node.heard.find(place);
  if (known != node.heard.end()) {
    if (known->second != said.digest && done_.size() > 0)
      node.caught.emplace(from, done_.rbegin()->first);
    return;
  }
  const Slot over =
      checkpoint ? replica.stable() : std::max(replica.committed(), replica.accepted());
  if (said.slot > over) node.heard.emplace(place, said.digest);
}

// Whoever contradicts himself to one honest replica is convicted two checkpoints later.
void World::check_lies_are_proven(Slot slot) {
  for (const auto& node : nodes_) {
    for (const auto& [liar, since] : node->caught) {
      if (slot > since + 2 * plan_.checkpoint_interval && !proven_.contains(liar))
        fail(fmt::format("{} contradicted itself to {} after slot {}, and nobody proves it", liar,
                         node->index, since));
    }
    std::erase_if(node->caught, [&](const auto& each) { return proven_.contains(each.first); });
  }
}

}  // namespace sim
