#include <fmt/format.h>

#include "sim/node.hpp"

// What replicas do that do not keep to the protocol. Inside, each runs an honest one and changes
// what leaves it.

namespace sim {

using namespace hypermesh::consensus;

std::vector<std::pair<std::size_t, base::Bytes>> World::mutate(Node& node, const pbft::Send& send) {
  std::vector<std::pair<std::size_t, base::Bytes>> out;
  const auto bytes = encode(*send.message);
  const auto signed_vote = [&](Statement statement) {
    return Vote{statement, static_cast<ReplicaId>(node.index),
                sign_as(node.index, signed_bytes(cluster_, statement))};
  };
  for (std::size_t to = 0; to < nodes_.size(); ++to) {
    if (send.to ? *send.to != to : to == node.index) continue;
    const bool other_half = to % 2 == 1;
    if (node.lie.empty() || node.lie == "delay") {
      out.emplace_back(to, bytes);
    } else if (node.lie == "silent") {
      continue;
    } else if (node.lie == "mute to one") {
      if (to != nodes_.size() - 1) out.emplace_back(to, bytes);
    } else if (node.lie == "garbage") {
      base::Bytes changed = bytes;
      if (rng_.below(5) == 0)
        changed[rng_.below(changed.size())] ^= static_cast<std::uint8_t>(1 + rng_.below(255));
      out.emplace_back(to, std::move(changed));
    } else if (const auto* proposal = std::get_if<Proposal>(&*send.message);
               node.lie == "equivocate" && proposal != nullptr && other_half) {
      Block block = proposal->link->block;
      block.time += 1;
      const auto link = make_link(cluster_, block);
      node.other_blocks[{proposal->view, block.slot}] = link->digest;
      const Statement statement{Phase::Propose, proposal->epoch, proposal->view, block.slot,
                                link->digest};
      out.emplace_back(to, encode(Message(Proposal{proposal->epoch, proposal->view,
                                                   signed_vote(statement).signature, link})));
    } else if (const auto* begun = std::get_if<NewView>(&*send.message);
               node.lie == "inflate" && begun != nullptr && node.ledger.applied() > 0) {
      // Its own wish claims what was never prepared: another block where one is executed already.
      const Slot slot = node.ledger.applied();
      auto& base = node.invented_bases[begun->view];
      if (!base) {
        const auto parent = order_.find(slot - 1);
        base = make_link(cluster_, {slot,
                                    parent == order_.end() ? cluster_ : parent->second,
                                    wall(node),
                                    static_cast<ReplicaId>(node.index),
                                    {}});
        node.other_blocks[{begun->view, slot}] = base->digest;
      }
      NewView inflated = *begun;
      for (Wish& wish : inflated.wishes) {
        if (wish.replica != node.index) continue;
        wish.claim = {begun->view - 1, base->block.slot, base->digest};
        wish.signature = signed_vote(statement_of(begun->epoch, begun->view, wish.claim)).signature;
      }
      out.emplace_back(to, encode(Message(inflated)));
    } else if (proposal != nullptr && node.lie == "inflate" &&
               node.invented_bases.contains(proposal->view)) {
      const auto& base = node.invented_bases.at(proposal->view);
      const Statement statement{Phase::Propose, proposal->epoch, proposal->view, base->block.slot,
                                base->digest};
      out.emplace_back(to, encode(Message(Proposal{proposal->epoch, proposal->view,
                                                   signed_vote(statement).signature, base})));
    } else if (proposal != nullptr && node.lie == "rebase" &&
               node.first_of_view.emplace(proposal->view, proposal->link->block.slot)
                       .first->second == proposal->link->block.slot) {
      // The first block of a view is another than the view was begun with.
      Block block = proposal->link->block;
      block.time += 1;
      const auto link = make_link(cluster_, block);
      const Statement statement{Phase::Propose, proposal->epoch, proposal->view, block.slot,
                                link->digest};
      node.other_blocks[{proposal->view, block.slot}] = link->digest;
      out.emplace_back(to, encode(Message(Proposal{proposal->epoch, proposal->view,
                                                   signed_vote(statement).signature, link})));
    } else if (proposal != nullptr &&
               ((node.lie == "waver" && rng_.below(2) == 0) ||
                (other_half && (node.lie == "fork" || node.lie == "past")))) {
      Block block = proposal->link->block;
      if (node.lie == "past") {
        block.time = 1;
      } else if (node.lie == "fork") {
        const auto before = order_.find(block.slot - 2);
        block.parent = before == order_.end() ? cluster_ : before->second;
      }
      if (node.lie == "waver") block.time += 1;
      const auto link = make_link(cluster_, block);
      const Statement statement{Phase::Propose, proposal->epoch, proposal->view, block.slot,
                                link->digest};
      node.other_blocks[{proposal->view, block.slot}] = link->digest;
      out.emplace_back(to, encode(Message(Proposal{proposal->epoch, proposal->view,
                                                   signed_vote(statement).signature, link})));
    } else if (const auto* vote = std::get_if<Vote>(&*send.message); vote != nullptr) {
      Statement statement = vote->statement;
      const bool ordering = statement.phase == Phase::Prepare || statement.phase == Phase::Commit;
      const auto other = node.other_blocks.find({statement.view, statement.slot});
      if ((node.lie == "rebase" || node.lie == "inflate") && ordering &&
          other != node.other_blocks.end())
        statement.digest = other->second;
      const bool two_faced = node.lie == "equivocate" || node.lie == "fork" || node.lie == "past";
      if (two_faced && other_half && ordering && other != node.other_blocks.end())
        statement.digest = other->second;
      if (node.lie == "vote twice" && other_half && ordering)
        statement.digest[0] = static_cast<std::uint8_t>(statement.digest[0] ^ 1);
      if (node.lie == "wrong root" && statement.phase == Phase::Checkpoint)
        statement.digest[0] = static_cast<std::uint8_t>(statement.digest[0] ^ 1);
      out.emplace_back(to, encode(Message(signed_vote(statement))));
    } else if (const auto* wish = std::get_if<ViewChange>(&*send.message);
               node.lie == "hide" && wish != nullptr) {
      ViewChange hidden{wish->epoch, wish->view, wish->wish, std::nullopt};
      hidden.wish.claim = {0, genesis_.start, genesis_.start_digest};
      hidden.wish.signature =
          signed_vote(statement_of(wish->epoch, wish->view, hidden.wish.claim)).signature;
      out.emplace_back(to, encode(Message(hidden)));
    } else {
      out.emplace_back(to, bytes);
    }
  }
  const auto* status = std::get_if<Status>(&*send.message);
  if (status != nullptr && rng_.below(4) == 0) {
    for (const Message& message : inventions(node, *status)) {
      for (std::size_t to = 0; to < nodes_.size(); ++to) {
        if (to != node.index) out.emplace_back(to, encode(message));
      }
    }
  }
  return out;
}

// What nobody said, with signatures that are not what they claim to be.
std::vector<Message> World::inventions(Node& node, const Status& status) {
  std::vector<Message> made;
  const std::size_t victim = (node.index + 1 + rng_.below(nodes_.size() - 1)) % nodes_.size();
  const std::size_t quorum = genesis_.voters.quorum();
  const auto bogus = [&] {
    base::Signature signature{};
    rng_.fill(signature);
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
           sign_as(node.index, signed_bytes(cluster_, statement_of(1, alone.view, start)))});
    }
    made.emplace_back(committed);
    made.emplace_back(wanted);
    made.emplace_back(alone);
  }
  return made;
}

std::string describe(const Message& message) {
  struct Describe {
    std::string operator()(const Proposal& m) const {
      return fmt::format("proposal view {} slot {} {}", m.view, m.link->block.slot,
                         base::to_hex(m.link->digest).substr(0, 8));
    }
    std::string operator()(const Vote& m) const {
      return fmt::format("{} view {} slot {} {}", to_text(m.statement.phase), m.statement.view,
                         m.statement.slot, base::to_hex(m.statement.digest).substr(0, 8));
    }
    std::string operator()(const ViewChange& m) const {
      return fmt::format("wish for view {}, has view {} slot {}", m.view, m.wish.claim.view,
                         m.wish.claim.slot);
    }
    std::string operator()(const NewView& m) const {
      return fmt::format("new view {} from view {} slot {}", m.view, m.base().view, m.base().slot);
    }
    std::string operator()(const Status& m) const {
      return fmt::format("status view {}{} committed {} accepted {} stable {}", m.view,
                         m.changing ? " (wanted)" : "", m.committed, m.accepted, m.stable);
    }
    std::string operator()(const Committed& m) const {
      return fmt::format("{} committed blocks up to {}", m.links.size(),
                         m.certificate.statement.slot);
    }
    std::string operator()(const StableCheckpoint& m) const {
      return fmt::format("checkpoint {}", m.certificate.statement.slot);
    }
    std::string operator()(const Fetch& m) const {
      return fmt::format("fetch {} to {}", m.above + 1, m.slot);
    }
    std::string operator()(const Fetched& m) const {
      return fmt::format("{} fetched blocks", m.links.size());
    }
    std::string operator()(const Submit& m) const {
      return fmt::format("bundle {}", m.bundle->sequence);
    }
    std::string operator()(const Evidence& m) const {
      return fmt::format("evidence against {}", m.first.replica);
    }
  };
  return std::visit(Describe(), message);
}

}  // namespace sim
