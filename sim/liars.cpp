#include "sim/node.hpp"

// What replicas do that do not keep to the protocol. Inside, each runs an honest one and changes
// what leaves it.

namespace sim {

using namespace hypermesh::consensus;

Vote World::signed_vote(const Node& node, const Statement& statement) const {
  return {statement, node.replica->own().value_or(0),
          keys_.sign(node.key, signed_bytes(cluster_, statement))};
}

base::Digest World::digest_before(Slot slot) const {
  const auto before = done_.find(slot - 1);
  return before == done_.end() ? cluster_ : before->second.digest;
}

// `block` in the place of the one that it proposes.
Message World::propose_other(Node& node, const Proposal& proposal, Block block) {
  const auto link = make_link(cluster_, std::move(block));
  node.other_blocks[{proposal.view, link->block.slot}] = link->digest;
  const Statement statement{Phase::Prepare, proposal.epoch, proposal.view, link->block.slot,
                            link->digest};
  return Proposal{proposal.epoch, proposal.view, signed_vote(node, statement).signature,
                  proposal.fast, link};
}

// Null: it gets what an honest replica would send.
PacketPtr World::changed(Node& node, const Message& message, std::size_t to) {
  if (!node.replica->own()) return nullptr;
  if (node.lie == "garbage") {
    if (node.lies.below(5) > 0) return nullptr;
    auto bytes = encode(message);
    bytes[node.lies.below(bytes.size())] ^= static_cast<std::uint8_t>(1 + node.lies.below(255));
    return pack(bytes);
  }
  if (node.lie == "ahead") {
    auto bytes = encode(message);
    bytes[0] = node.lies.below(2) == 0 ? kNewestVersion : 200;
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
    const bool ordering = said.phase == Phase::Prepare || commits(said.phase);
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
    const auto& configuration = node.executor->configuration();
    hidden.wish.claim = {0, configuration.start, configuration.start_digest};
    hidden.wish.held.clear();
    hidden.wish.signature =
        signed_vote(node, statement_of(wish->epoch, wish->view, hidden.wish.claim, {})).signature;
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
    block.parent = digest_before(block.slot - 1);
  } else {
    return std::nullopt;
  }
  return propose_other(node, proposal, std::move(block));
}

// Its own wish claims what was never prepared: another block where one is executed already.
std::optional<Message> World::inflated(Node& node, const NewView& begun) {
  const Slot slot = node.applied();
  if (slot == 0) return std::nullopt;
  auto& base = node.invented_bases[begun.view];
  if (!base) {
    base =
        make_link(cluster_, {slot, digest_before(slot), wall(node.skew), *node.replica->own(), {}});
    node.other_blocks[{begun.view, slot}] = base->digest;
  }
  NewView made = begun;
  for (Wish& wish : made.wishes) {
    if (wish.replica != node.replica->own()) continue;
    wish.claim = {begun.view - 1, base->block.slot, base->digest};
    wish.held.clear();
    wish.signature =
        signed_vote(node, statement_of(begun.epoch, begun.view, wish.claim, {})).signature;
  }
  return made;
}

// What nobody said, with signatures that are not what they claim to be.
std::vector<Message> World::inventions(Node& node, const Status& status) {
  std::vector<Message> made;
  const Voters& voters = node.replica->voters();
  const auto own = node.replica->own();
  if (!own || voters.size() < 2) return made;
  const auto bogus = [&] {
    base::Signature signature{};
    node.lies.fill(signature);
    return signature;
  };
  const Epoch epoch = status.epoch;
  const Slot next = status.committed + 1;
  if (node.lie == "frame") {
    const auto victim =
        static_cast<ReplicaId>((*own + 1 + node.lies.below(voters.size() - 1)) % voters.size());
    Vote one{{Phase::Prepare, epoch, status.view, next, cluster_}, victim, bogus()};
    Vote two = one;
    two.statement.digest[0] ^= 1;
    made.emplace_back(Evidence{one, two});
    one.statement.digest[1] ^= 1;
    one.replica = *own;
    made.emplace_back(one);
  }
  if (node.lie == "forge" && !voters.is_isolated(*own)) {
    const auto link = make_link(cluster_, {next, digest_before(next), wall(node.skew), *own, {}});
    Committed committed{{{Phase::Commit, epoch, status.view, next, link->digest}, {}}, {link}};
    NewView wanted{epoch, status.view + 1, {}, std::nullopt};
    NewView alone = wanted;
    while (voters.primary(alone.view) != *own) ++alone.view;
    const auto& configuration = node.executor->configuration();
    const Claim start{0, configuration.start, configuration.start_digest};
    for (std::size_t i = 0; i < voters.quorum(); ++i) {
      const auto id = static_cast<ReplicaId>(i);
      committed.certificate.signatures.emplace_back(id, bogus());
      wanted.wishes.push_back({id, start, {}, bogus()});
      alone.wishes.push_back(
          {*own,
           start,
           {},
           keys_.sign(node.key,
                      signed_bytes(cluster_, statement_of(epoch, alone.view, start, {})))});
    }
    made.emplace_back(committed);
    made.emplace_back(wanted);
    made.emplace_back(alone);
  }
  return made;
}

}  // namespace sim
