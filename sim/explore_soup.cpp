#include "sim/explore_soup.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace sim {

using namespace hypermesh::consensus;

namespace {

std::string short_name(const base::Digest& digest) {
  return base::to_hex(digest).substr(0, 4);
}

Statement statement_of(const Proposal& proposal) {
  return {Phase::Prepare, proposal.epoch, proposal.view, proposal.link->block.slot,
          proposal.link->digest};
}

// What decides how it is received; not by whom a certificate is signed.
base::Bytes name_of(ReplicaId from, const Message& message) {
  base::ByteWriter out;
  out.u16(from);
  out.u8(static_cast<std::uint8_t>(message.index()));
  const auto add = [&](const Claim& claim) {
    out.u64(claim.view);
    out.u64(claim.slot);
    out.raw(claim.digest);
  };
  const auto add_statement = [&](const Statement& said) {
    out.u64(said.view);
    out.u64(said.slot);
    out.raw(said.digest);
  };
  if (const auto* wish = std::get_if<ViewChange>(&message)) {
    out.u64(wish->view);
    add(wish->wish.claim);
    for (const auto& digest : wish->wish.held) out.raw(digest);
  } else if (const auto* begun = std::get_if<NewView>(&message)) {
    // Which quorum wants it makes no difference, as long as it is one.
    out.u64(begun->view);
    add(highest_claim(begun->wishes));
    add(base_of(Voters{1, std::vector<base::PublicKey>(kExplored), {}, 0}, begun->wishes));
    out.u8(begun->proof ? 1 : 0);
    for (std::size_t i = 1; i < begun->wishes.size(); ++i)
      out.u8(begun->wishes[i].replica == begun->wishes[i - 1].replica ? 1 : 0);
    for (const Wish& wish : begun->wishes) out.u8(wish.signature == base::Signature{} ? 1 : 0);
  } else if (const auto* committed = std::get_if<Committed>(&message)) {
    add_statement(committed->certificate.statement);
    // Whether it is forged.
    out.u8(committed->certificate.signatures.front().second == base::Signature{} ? 1 : 0);
  } else if (const auto* decided = std::get_if<Decided>(&message)) {
    add_statement(decided->certificate.statement);
  } else if (const auto* fetched = std::get_if<Fetched>(&message)) {
    for (const auto& link : fetched->links) out.raw(link->digest);
  } else {
    out.raw(encode(message));
  }
  return std::move(out).take();
}

}  // namespace

Soups::Soups(const Bounds& bounds) : bounds_(bounds), cluster_(kExplored) {
  // Each bundle has a block of its own, at once.
  cluster_.options.batch_operations = cluster_.options.batch_operations_max = 1;
  cluster_.walls_stand_still = true;
  cluster_.options.fast_path = bounds.fast;
  for (std::uint64_t i = 0; i < 2; ++i) bundles_[i] = cluster_.bundle(i + 1);
  soups_.emplace_back();
  soup_by_content_.emplace(Said(), 0);
  lists_.emplace_back();
  list_by_content_.emplace(lists_[0], 0);
  spoken_.emplace_back();
}

// --- what is said ---

SpokenId Soups::intern(ReplicaId from, const MessagePtr& message) {
  const auto [known, added] =
      spoken_by_name_.emplace(name_of(from, *message), static_cast<SpokenId>(spoken_.size()));
  if (added) {
    BASE_ASSERT(spoken_.size() < kSpokenMax, "more is said than kSpokenMax");
    spoken_.push_back({from, message});
    if (const auto* proposal = std::get_if<Proposal>(&*message)) learn(proposal->link);
  }
  return known->second;
}

std::uint32_t Soups::intern(ReplicaId replica, const std::vector<pbft::Send>& sent) {
  std::vector<SpokenId> list;
  for (const auto& send : sent) {
    const Message& message = *send.message;
    const auto* vote = std::get_if<Vote>(&message);
    const bool matters =
        std::holds_alternative<Proposal>(message) || std::holds_alternative<ViewChange>(message) ||
        std::holds_alternative<NewView>(message) || std::holds_alternative<Fetch>(message) ||
        std::holds_alternative<Decided>(message) || std::holds_alternative<VoteOpenly>(message) ||
        (vote != nullptr && vote->replica == replica);
    if (matters) list.push_back(intern(replica, send.message));
  }
  std::ranges::sort(list);
  const auto repeated = std::ranges::unique(list);
  list.erase(repeated.begin(), repeated.end());
  const auto [known, added] =
      list_by_content_.emplace(list, static_cast<std::uint32_t>(lists_.size()));
  if (added) lists_.push_back(std::move(list));
  return known->second;
}

Soups::Added Soups::add(SoupId soup, ReplicaId replica, std::uint32_t list) {
  if (list == 0) return {soup, {}};
  BASE_ASSERT(list < 1U << 24, "a list has a number of 24 bits");
  const auto key = std::uint64_t{soup} << 32 | std::uint64_t{replica} << 24 | list;
  if (const auto known = added_.find(key); known != added_.end()) return known->second;
  Said said = soups_[soup].said;
  Added made;
  for (const SpokenId id : lists_[list]) {
    if (said.has(id)) continue;
    if (made.failure.empty())
      made.failure = check_words(soups_[soup].said, replica, *spoken_[id].message);
    said.put(id);
  }
  const auto [known, added] = soup_by_content_.emplace(said, static_cast<SoupId>(soups_.size()));
  made.soup = known->second;
  if (added) {
    soups_.emplace_back().said = said;
    if (made.failure.empty()) made.failure = check_quorums(said);
  }
  added_.emplace(key, made);
  return made;
}

// --- what must hold of it ---

std::string Soups::check_words(const Said& before, ReplicaId speaker,
                               const Message& message) const {
  std::string failure;
  const auto contradicts = [&](bool does, std::string_view what) {
    if (does) failure = fmt::format("{} contradicts itself: {}", speaker, what);
  };
  const auto not_before = [&](View view) {
    each<ViewChange>(before, [&](ReplicaId from, const ViewChange& wish) {
      if (from == speaker && wish.view > view)
        failure = fmt::format("{} votes in view {} after it wanted {}", speaker, view, wish.view);
    });
  };
  const auto votes = [&](const Vote& vote) {
    not_before(vote.statement.view);
    each<Vote>(before, [&](ReplicaId from, const Vote& other) {
      contradicts(from == speaker && contradict(vote, other), to_text(vote.statement.phase));
    });
    each<Proposal>(before, [&](ReplicaId from, const Proposal& other) {
      contradicts(from == speaker && contradict(vote, {statement_of(other), speaker, {}}),
                  "propose");
    });
  };
  if (const auto* vote = std::get_if<Vote>(&message)) {
    votes(*vote);
  } else if (const auto* proposal = std::get_if<Proposal>(&message)) {
    votes({statement_of(*proposal), speaker, {}});
  } else if (const auto* wish = std::get_if<ViewChange>(&message)) {
    const Claim& claim = wish->wish.claim;
    each<ViewChange>(before, [&](ReplicaId from, const ViewChange& other) {
      contradicts(from == speaker && other.view == wish->view &&
                      (other.wish.claim != claim || other.wish.held != wish->wish.held),
                  "wish");
    });
    each<Vote>(before, [&](ReplicaId from, const Vote& other) {
      const Statement& said = other.statement;
      if (from == speaker && said.phase == Phase::Commit && said.view < wish->view &&
          std::pair(said.view, said.slot) > std::pair(claim.view, claim.slot))
        failure = fmt::format("{} claims less than it sent commits for", speaker);
    });
  }
  return failure;
}

bool Soups::extends(base::Digest digest, Slot slot, const Statement& ancestor) const {
  for (; slot > ancestor.slot; --slot) {
    const auto link = links_.find(digest);
    if (link == links_.end()) return false;
    digest = link->second->block.parent;
  }
  return slot == ancestor.slot && digest == ancestor.digest;
}

// docs/design/0009: of one view and slot there is one certificate, and if a block is committed,
// every later Prepare certificate is of a block that extends it.
std::string Soups::check_quorums(const Said& said) const {
  const Tally votes = tally(said);
  for (const auto& [first, first_by] : votes) {
    if (!certified(first, first_by)) continue;
    for (const auto& [second, second_by] : votes) {
      if (!certified(second, second_by)) continue;
      if (first.phase == second.phase && first.view == second.view && first.slot == second.slot &&
          first.digest != second.digest) {
        return fmt::format("two quorums {} different blocks in view {}, slot {}",
                           to_text(first.phase), first.view, first.slot);
      }
      if (commits(first.phase) && commits(second.phase) && second.slot >= first.slot &&
          !extends(second.digest, second.slot, first)) {
        return fmt::format("what view {} committed in slot {} does not extend slot {} of view {}",
                           second.view, second.slot, first.slot, first.view);
      }
      if (commits(first.phase) && second.phase == Phase::Prepare &&
          std::pair(second.view, second.slot) >= std::pair(first.view, first.slot) &&
          !extends(second.digest, second.slot, first)) {
        return fmt::format(
            "slot {} is committed in view {}; what is prepared in slot {} of view {} "
            "does not extend it",
            first.slot, first.view, second.slot, second.view);
      }
    }
  }
  return {};
}

Soups::Tally Soups::tally(const Said& said) const {
  Tally votes;
  each<Vote>(said,
             [&](ReplicaId from, const Vote& vote) { votes[vote.statement].push_back(from); });
  // A proposal is its primary's vote.
  each<Proposal>(said, [&](ReplicaId from, const Proposal& proposal) {
    votes[statement_of(proposal)].push_back(from);
  });
  // An honest primary says Hold only in what it shows: all others did.
  each<Decided>(said, [&](ReplicaId from, const Decided& decided) {
    votes[decided.certificate.statement].push_back(from);
  });
  for (auto& [statement, by] : votes) {
    std::ranges::sort(by);
    const auto repeated = std::ranges::unique(by);
    by.erase(repeated.begin(), repeated.end());
  }
  return votes;
}

bool Soups::certified(const Statement& statement, const std::vector<ReplicaId>& honest) const {
  // Not needed(), which a bug may have changed.
  const std::size_t needed = statement.phase == Phase::Hold ? kExplored : kExplored - 1;
  return honest.size() + (somebody_lies() ? 1 : 0) >= needed;
}

// --- blocks ---

void Soups::learn(const LinkPtr& link) {
  links_.emplace(link->digest, link);
}

LinkPtr Soups::block(ReplicaId proposer, const LinkPtr& parent, std::size_t bundle,
                     base::Duration ahead) {
  constexpr std::uint64_t kBegin = 1'700'000'000'000'000'000;
  Block made{1,
             cluster_.genesis.start_digest,
             kBegin + static_cast<std::uint64_t>(ahead.count()),
             proposer,
             {bundles_[bundle]}};
  if (parent) {
    made.slot = parent->block.slot + 1;
    made.parent = parent->digest;
  }
  auto link = make_link(cluster_.id(), std::move(made));
  learn(link);
  return links_.at(link->digest);
}

std::vector<LinkPtr> Soups::blocks_of(const Said& said) const {
  std::map<base::Digest, LinkPtr> found;
  each<Proposal>(said, [&](ReplicaId, const Proposal& proposal) {
    found.emplace(proposal.link->digest, proposal.link);
  });
  // What the liar proposed is there when somebody votes for it.
  each<Vote>(said, [&](ReplicaId, const Vote& vote) {
    const auto link = links_.find(vote.statement.digest);
    if (link != links_.end()) found.emplace(link->first, link->second);
  });
  std::vector<LinkPtr> links;
  for (const auto& [digest, link] : found) links.push_back(link);
  return links;
}

std::vector<LinkPtr> Soups::chain(base::Digest tip, Slot above) const {
  std::vector<LinkPtr> links;
  for (auto at = links_.find(tip); at != links_.end() && at->second->block.slot > above;
       at = links_.find(at->second->block.parent))
    links.push_back(at->second);
  std::ranges::reverse(links);
  return links;
}

// --- what can happen ---

MenuId Soups::menu_id(SoupId soup, std::size_t replica) {
  if (!soups_[soup].opened) open(soup);
  return soups_[soup].menus[replica];
}

void Soups::open(SoupId id) {
  const Said said = soups_[id].said;
  for (auto& moves : offers_) moves.clear();
  const Tally votes = tally(said);
  offer_votes(votes);
  offer_fast_path(said, votes);
  offer_blocks(said);
  offer_view(said, votes);
  if (somebody_lies()) offer_lies(said, votes);
  for (std::size_t to = 0; to < kExplored; ++to) {
    offer(to, {Move::Kind::GiveUp, {}, "gives its view up"});
    if (bounds_.crashes > 0) offer(to, {Move::Kind::Crash, {}, "crashes and starts again"});
  }
  std::set<base::Digest> committed;
  for (const auto& [statement, by] : votes) {
    if (!commits(statement.phase)) continue;
    auto voters = by;
    // A primary commits what all others hold when it hears that.
    const ReplicaId primary = cluster_.voters().primary(statement.view);
    if (statement.phase == Phase::Hold && honest(primary) &&
        std::ranges::find(by, primary) == by.end())
      voters.push_back(primary);
    if (!certified(statement, voters)) continue;
    for (const auto& link : chain(statement.digest, 0)) committed.insert(link->digest);
  }
  for (ReplicaId replica = 0; replica < kExplored; ++replica) {
    Said own;
    for (SpokenId spoken = 1; spoken < spoken_.size(); ++spoken) {
      if (said.has(spoken) && spoken_[spoken].from == replica) own.put(spoken);
    }
    const auto [known, added] = menu_by_content_.emplace(
        std::tuple(replica, offers_[replica], own, committed), static_cast<MenuId>(menus_.size()));
    if (added) menus_.push_back({offers_[replica], committed});
    soups_[id].menus[replica] = known->second;
  }
  soups_[id].opened = true;
}

void Soups::offer(std::size_t to, Move move) {
  if (!honest(to)) return;
  base::ByteWriter name;
  name.u8(static_cast<std::uint8_t>(move.kind));
  for (const auto& [from, message] : move.heard) name.sized(name_of(from, *message));
  const auto [known, added] =
      move_by_name_.emplace(name.view(), static_cast<MoveId>(moves_.size()));
  if (added) moves_.push_back(std::move(move));
  offers_[to].push_back(known->second);
}

void Soups::offer_all(ReplicaId from, Message message, std::string text) {
  const auto shared = std::make_shared<const Message>(std::move(message));
  for (std::size_t to = 0; to < kExplored; ++to) {
    if (to != from) offer(to, {Move::Kind::Hear, {{from, shared}}, text});
  }
}

// Who brings what anybody can.
ReplicaId Soups::carrier(std::size_t to) const {
  return somebody_lies() ? bounds_.liar : static_cast<ReplicaId>((to + 1) % kExplored);
}

std::vector<ReplicaId> Soups::with_liar(const std::vector<ReplicaId>& honest) const {
  std::vector<ReplicaId> all;
  if (somebody_lies()) all.push_back(bounds_.liar);
  all.insert(all.end(), honest.begin(), honest.end());
  return all;
}

Certificate Soups::certificate(const Statement& statement,
                               const std::vector<ReplicaId>& honest) const {
  auto signers = with_liar(honest);
  signers.resize(std::min(signers.size(), cluster_.voters().needed(statement.phase)));
  std::ranges::sort(signers);
  return cluster_.certificate(statement, signers);
}

void Soups::offer_votes(const Tally& votes) {
  const std::size_t quorum = cluster_.voters().quorum();
  for (const auto& [statement, by] : votes) {
    if (statement.phase == Phase::Hold) continue;
    const auto name = fmt::format("{} votes of view {}, slot {} for {}", to_text(statement.phase),
                                  statement.view, statement.slot, short_name(statement.digest));
    for (const ReplicaId to : by) {
      Move move{Move::Kind::Hear, {}, "hears " + name};
      for (const ReplicaId voter : with_liar(by)) {
        if (voter == to || move.heard.size() + 1 == quorum) continue;
        move.heard.emplace_back(voter,
                                std::make_shared<const Message>(cluster_.vote(voter, statement)));
      }
      if (move.heard.size() + 1 == quorum) offer(to, std::move(move));
    }
    if (statement.phase == Phase::Commit && certified(statement, by)) {
      const auto proof = std::make_shared<const Message>(
          Committed{certificate(statement, by), chain(statement.digest, 0)});
      const auto text = fmt::format("hears that view {} committed slot {} {}", statement.view,
                                    statement.slot, short_name(statement.digest));
      for (std::size_t to = 0; to < kExplored; ++to)
        offer(to, {Move::Kind::Hear, {{carrier(to), proof}}, text});
    }
  }
}

void Soups::offer_fast_path(const Said& said, const Tally& votes) {
  if (!bounds_.fast) return;
  for (const auto& [statement, by] : votes) {
    if (statement.phase != Phase::Hold) continue;
    const auto name = fmt::format("slot {} {} in view {}", statement.slot,
                                  short_name(statement.digest), statement.view);
    const ReplicaId primary = cluster_.voters().primary(statement.view);
    Move move{Move::Kind::Hear, {}, "hears that all others hold " + name};
    for (const ReplicaId voter : with_liar(by)) {
      if (voter == primary) continue;
      move.heard.emplace_back(voter,
                              std::make_shared<const Message>(cluster_.vote(voter, statement)));
    }
    if (move.heard.size() + 1 == kExplored) offer(primary, std::move(move));
    if (!certified(statement, by)) continue;
    const auto proof = std::make_shared<const Message>(Decided{certificate(statement, by)});
    for (std::size_t to = 0; to < kExplored; ++to)
      offer(to, {Move::Kind::Hear, {{carrier(to), proof}}, "hears that all hold " + name});
  }
  each<VoteOpenly>(said, [&](ReplicaId from, const VoteOpenly& message) {
    offer_all(from, message, fmt::format("is asked to vote openly in view {}", message.view));
  });
  for (const View view : {0, 1}) {
    const ReplicaId primary = cluster_.voters().primary(view);
    offer(primary, {Move::Kind::GoSlow, {}, "waits in vain for all to hold it"});
  }
}

void Soups::offer_blocks(const Said& said) {
  each<Proposal>(said, [&](ReplicaId from, const Proposal& proposal) {
    offer_all(from, proposal,
              fmt::format("hears the proposal of {} in view {}, slot {}: {}", from, proposal.view,
                          proposal.link->block.slot, short_name(proposal.link->digest)));
  });
  each<Fetch>(said, [&](ReplicaId from, const Fetch& fetch) {
    const auto found = chain(fetch.digest, fetch.above);
    if (found.empty() || found.back()->digest != fetch.digest) return;
    offer(from, {Move::Kind::Hear,
                 {{carrier(from), std::make_shared<const Message>(Fetched{found})}},
                 fmt::format("gets {} blocks up to {}", found.size(), short_name(fetch.digest))});
  });
}

}  // namespace sim
