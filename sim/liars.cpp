#include "sim/node.hpp"

// What replicas do that do not keep to the protocol. Inside, each runs an honest one and changes
// what leaves it.

namespace sim {

using namespace hypermesh::consensus;

Vote World::signed_vote(const Node& node, const Statement& statement) const {
  return {statement, static_cast<ReplicaId>(node.index),
          keys_.sign(node.key, signed_bytes(cluster_, statement))};
}

// `block` in the place of the one that it proposes.
Message World::propose_other(Node& node, const Proposal& proposal, Block block) {
  const auto link = make_link(cluster_, std::move(block));
  node.other_blocks[{proposal.view, link->block.slot}] = link->digest;
  const Statement statement{Phase::Propose, proposal.epoch, proposal.view, link->block.slot,
                            link->digest};
  return Proposal{proposal.epoch, proposal.view, signed_vote(node, statement).signature, link};
}

// Null: it gets what an honest replica would send.
PacketPtr World::changed(Node& node, const Message& message, std::size_t to) {
  if (node.lie == "garbage") {
    if (node.lies.below(5) > 0) return nullptr;
    auto bytes = encode(message);
    bytes[node.lies.below(bytes.size())] ^= static_cast<std::uint8_t>(1 + node.lies.below(255));
    return pack(bytes);
  }
  const auto lie = changed_message(node, message, to % 2 == 1);
  return lie ? pack(*lie) : nullptr;
}

std::optional<Message> World::changed_message(Node& node, const Message& message, bool other_half) {
  const std::string& lie = node.lie;
  if (const auto* proposal = std::get_if<Proposal>(&message)) {
    return changed_proposal(node, *proposal, other_half);
  }
  if (const auto* begun = std::get_if<NewView>(&message); begun != nullptr && lie == "inflate")
    return inflated(node, *begun);
  if (const auto* vote = std::get_if<Vote>(&message)) {
    Statement said = vote->statement;
    const bool ordering = said.phase == Phase::Prepare || said.phase == Phase::Commit;
    const auto other = node.other_blocks.find({said.view, said.slot});
    const bool to_some = lie == "equivocate" || lie == "fork" || lie == "past";
    const bool to_all = lie == "rebase" || lie == "inflate";
    if (ordering && other != node.other_blocks.end() && (to_all || (to_some && other_half)))
      said.digest = other->second;
    if (lie == "vote twice" && other_half && ordering) said.digest[0] ^= 1;
    if (lie == "wrong root" && said.phase == Phase::Checkpoint) said.digest[0] ^= 1;
    if (said == vote->statement) return std::nullopt;
    return signed_vote(node, said);
  }
  if (const auto* wish = std::get_if<ViewChange>(&message); wish != nullptr && lie == "hide") {
    ViewChange hidden{wish->epoch, wish->view, wish->wish, std::nullopt};
    hidden.wish.claim = {0, genesis_.start, genesis_.start_digest};
    hidden.wish.signature =
        signed_vote(node, statement_of(wish->epoch, wish->view, hidden.wish.claim)).signature;
    return hidden;
  }
  return std::nullopt;
}

std::optional<Message> World::changed_proposal(Node& node, const Proposal& proposal,
                                               bool other_half) {
  const std::string& lie = node.lie;
  Block block = proposal.link->block;
  if (lie == "inflate") {
    const auto invented = node.invented_bases.find(proposal.view);
    if (invented == node.invented_bases.end()) return std::nullopt;
    return propose_other(node, proposal, invented->second->block);
  }
  const bool first =
      node.first_of_view.emplace(proposal.view, block.slot).first->second == block.slot;
  if ((lie == "equivocate" && other_half) || (lie == "waver" && node.lies.below(2) == 0) ||
      // The first block of a view is another than the view was begun with.
      (lie == "rebase" && first)) {
    block.time += 1;
  } else if (lie == "past" && other_half) {
    block.time = 1;
  } else if (lie == "fork" && other_half) {
    const auto before = order_.find(block.slot - 2);
    block.parent = before == order_.end() ? cluster_ : before->second;
  } else {
    return std::nullopt;
  }
  return propose_other(node, proposal, std::move(block));
}

// Its own wish claims what was never prepared: another block where one is executed already.
std::optional<Message> World::inflated(Node& node, const NewView& begun) {
  const Slot slot = node.ledger.applied();
  if (slot == 0) return std::nullopt;
  auto& base = node.invented_bases[begun.view];
  if (!base) {
    const auto parent = order_.find(slot - 1);
    base = make_link(cluster_, {slot,
                                parent == order_.end() ? cluster_ : parent->second,
                                wall(node),
                                static_cast<ReplicaId>(node.index),
                                {}});
    node.other_blocks[{begun.view, slot}] = base->digest;
  }
  NewView made = begun;
  for (Wish& wish : made.wishes) {
    if (wish.replica != node.index) continue;
    wish.claim = {begun.view - 1, base->block.slot, base->digest};
    wish.signature = signed_vote(node, statement_of(begun.epoch, begun.view, wish.claim)).signature;
  }
  return made;
}

// What nobody said, with signatures that are not what they claim to be.
std::vector<Message> World::inventions(Node& node, const Status& status) {
  std::vector<Message> made;
  const std::size_t victim = (node.index + 1 + node.lies.below(nodes_.size() - 1)) % nodes_.size();
  const std::size_t quorum = genesis_.voters.quorum();
  const auto bogus = [&] {
    base::Signature signature{};
    node.lies.fill(signature);
    return signature;
  };
  const Slot next = status.committed + 1;
  const auto parent = order_.find(status.committed);
  if (node.lie == "frame") {
    const auto id = static_cast<ReplicaId>(victim);
    Vote one{{Phase::Prepare, 1, status.view, next, cluster_}, id, bogus()};
    Vote two = one;
    two.statement.digest[0] ^= 1;
    made.emplace_back(Evidence{one, two});
    one.statement.digest[1] ^= 1;
    one.replica = static_cast<ReplicaId>(node.index);
    made.emplace_back(one);
  }
  if (node.lie == "forge") {
    const auto link = make_link(
        cluster_, {next, parent == order_.end() ? cluster_ : parent->second, wall(node), 0, {}});
    Committed committed{{{Phase::Commit, 1, status.view, next, link->digest}, {}}, {link}};
    NewView wanted{1, status.view + 1, {}, std::nullopt};
    NewView alone{1, status.view + 1, {}, std::nullopt};
    while (genesis_.voters.primary(alone.view) != node.index) ++alone.view;
    const Claim start{0, genesis_.start, genesis_.start_digest};
    for (std::size_t i = 0; i < quorum; ++i) {
      const auto id = static_cast<ReplicaId>(i);
      committed.certificate.signatures.emplace_back(id, bogus());
      wanted.wishes.push_back({id, start, bogus()});
      alone.wishes.push_back(
          {static_cast<ReplicaId>(node.index), start,
           keys_.sign(node.key, signed_bytes(cluster_, statement_of(1, alone.view, start)))});
    }
    made.emplace_back(committed);
    made.emplace_back(wanted);
    made.emplace_back(alone);
  }
  return made;
}

}  // namespace sim
