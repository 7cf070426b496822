#include <fmt/format.h>

#include <algorithm>

#include "sim/explore_soup.hpp"

// The change to view 1, and the menu of the one who lies. What he forges is refused and costs no
// states; a replica that does not check it is found out.

namespace sim {

using namespace hypermesh::consensus;

namespace {

constexpr View kNext = 1;

Vote forged(const Statement& statement, ReplicaId replica) {
  return {statement, replica, {}};
}

std::string short_name(const base::Digest& digest) {
  return base::to_hex(digest).substr(0, 4);
}

std::string from_base(const Voters& voters, const NewView& begun) {
  const Claim base = base_of(voters, begun.wishes);
  return fmt::format(" with slot {} {}", base.slot, short_name(base.digest));
}

}  // namespace

// What the liar can say that it holds behind its claim: nothing, or any chain.
std::vector<std::vector<base::Digest>> Soups::held_chains(const Said& said,
                                                          const Claim& claim) const {
  std::vector<std::vector<base::Digest>> chains{{}};
  if (!bounds_.fast) return chains;
  for (const auto& link : blocks_of(said)) {
    auto& held = chains.emplace_back();
    for (const auto& each : chain(link->digest, claim.slot)) held.push_back(each->digest);
    if (held.empty()) chains.pop_back();
  }
  return chains;
}

void Soups::offer_view(const Said& said, const Tally& votes) {
  const ReplicaId primary = cluster_.voters().primary(kNext);
  each<NewView>(said, [&](ReplicaId from, const NewView& begun) {
    offer_all(from, begun,
              fmt::format("hears that view 1 begins{}", from_base(cluster_.voters(), begun)));
  });
  // The highest of these that he has, or nothing.
  std::vector<std::pair<Claim, std::optional<Certificate>>> claims{{cluster_.nothing(), {}}};
  for (const auto& [statement, by] : votes) {
    if (statement.view < kNext && certified(statement, by)) {
      const Claim claim{statement.view, statement.slot, statement.digest};
      if (std::ranges::find(claims, claim, &std::pair<Claim, std::optional<Certificate>>::first) ==
          claims.end())
        claims.emplace_back(claim, certificate(statement, by));
    }
  }
  std::map<ReplicaId, ViewChange> wishes;
  each<ViewChange>(said, [&](ReplicaId from, const ViewChange& wish) {
    if (wish.view == kNext) wishes.emplace(from, wish);
  });
  const Epoch epoch = cluster_.voters().epoch;
  if (honest(primary)) {
    const auto offer_wish = [&](const ViewChange& wish) {
      offer(primary,
            {Move::Kind::Hear,
             {{wish.wish.replica, std::make_shared<const Message>(wish)}},
             fmt::format("hears the wish of {}, which claims slot {} {} and holds {} behind it",
                         wish.wish.replica, wish.wish.claim.slot,
                         short_name(wish.wish.claim.digest), wish.wish.held.size())});
    };
    for (const auto& [from, wish] : wishes) {
      if (from != primary) offer_wish(wish);
    }
    if (!somebody_lies()) return;
    for (const auto& [claim, proof] : claims) {
      for (const auto& held : held_chains(said, claim))
        offer_wish({epoch, kNext, cluster_.wish(bounds_.liar, kNext, claim, held), proof});
    }
    return;
  }
  // The liar begins it, with a quorum as he likes it.
  const auto begin = [&](std::vector<Wish> chosen, const std::string& how) {
    std::ranges::sort(chosen, {}, &Wish::replica);
    NewView begun{epoch, kNext, std::move(chosen), std::nullopt};
    for (const auto& [claim, proof] : claims) {
      if (claim == highest_claim(begun.wishes)) begun.proof = proof;
    }
    offer_all(
        primary, begun,
        fmt::format("hears that view 1 begins{}{}", from_base(cluster_.voters(), begun), how));
  };
  std::vector<Wish> honest_wishes;
  for (const auto& [from, wish] : wishes) honest_wishes.push_back(wish.wish);
  if (honest_wishes.size() == kExplored - 1) begin(honest_wishes, "");
  for (std::size_t i = 0; i < honest_wishes.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      for (const auto& [claim, proof] : claims) {
        for (const auto& held : held_chains(said, claim))
          begin({honest_wishes[j], honest_wishes[i], cluster_.wish(primary, kNext, claim, held)},
                "");
      }
      // What nobody prepared.
      for (const auto& link : blocks_of(said)) {
        begin({honest_wishes[j], honest_wishes[i],
               cluster_.wish(primary, kNext, {0, link->block.slot, link->digest})},
              ", as it claims");
      }
    }
  }
  const Wish own = cluster_.wish(primary, kNext, cluster_.nothing());
  begin({own, own, own}, ", as it alone wants");
  std::vector<Wish> invented{own};
  for (ReplicaId replica = 0; replica < kExplored; ++replica) {
    if (replica != primary && invented.size() < kExplored - 1)
      invented.push_back({replica, cluster_.nothing(), {}, {}});
  }
  begin(invented, ", with forged wishes");
}

void Soups::offer_lies(const Said& said, const Tally& votes) {
  const ReplicaId liar = bounds_.liar;
  for (const View view : {View{0}, kNext}) {
    if (bounds_.fast && cluster_.voters().primary(view) == liar) {
      offer_all(liar, VoteOpenly{cluster_.voters().epoch, view, bounds_.slots},
                fmt::format("is asked to vote openly in view {}", view));
    }
  }
  const auto propose = [&](View view, const LinkPtr& link) {
    offer_all(liar, cluster_.proposal(view, link),
              fmt::format("hears the liar's proposal in view {}, slot {}: {}", view,
                          link->block.slot, short_name(link->digest)));
  };
  if (cluster_.voters().primary(0) == liar) {
    // Two chains.
    for (const std::size_t first : {0, 1}) {
      const auto link = block(liar, nullptr, first);
      propose(0, link);
      if (bounds_.slots > 1) propose(0, block(liar, link, 1 - first));
    }
  }
  if (cluster_.voters().primary(kNext) == liar) {
    propose(kNext, block(liar, nullptr, 1));
    for (const auto& link : blocks_of(said)) {
      propose(kNext, link);
      if (bounds_.slots > 1 && link->block.slot == 1) propose(kNext, block(liar, link, 0));
    }
  }
  // A certificate that nobody signed, of a block that somebody accepted.
  for (const auto& link : blocks_of(said)) {
    Committed invented{{{Phase::Commit, 1, 0, link->block.slot, link->digest}, {}},
                       chain(link->digest, 0)};
    for (ReplicaId replica = 0; replica < kExplored - 1; ++replica)
      invented.certificate.signatures.emplace_back(replica, base::Signature{});
    offer_all(liar, invented,
              fmt::format("hears a forged certificate for {}", short_name(link->digest)));
  }
  // Votes of others that contradict each other, as nobody signed them.
  for (const auto& [statement, by] : votes) {
    Statement other = statement;
    other.digest[0] ^= 1;
    offer_all(liar, Evidence{forged(statement, by[0]), forged(other, by[0])},
              fmt::format("hears forged evidence against {}", by[0]));
    break;
  }
}

}  // namespace sim
