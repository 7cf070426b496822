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
  if (nodes_[accused]->honest())
    fail(fmt::format("evidence against the honest replica {}", accused));
  if (!proven_.insert(accused).second || !plan_.isolates) return;
  Evidence proof = evidence;
  for (Vote* const vote : {&proof.first, &proof.second})
    vote->signature = keys_.sign_real(liar, signed_bytes(cluster_, vote->statement));
  send_bundle(*clients_[plan_.clients], encode(OnCluster<Evidence>{0, proof}),
              OpenBundle{.begun = timeline_.now()});
}

}  // namespace sim
