#include "sim/scenario_table.hpp"

// Changes of views, and votes that come at the wrong time.

namespace sim {

using namespace hypermesh::consensus;

namespace {

bool is_commit(const Message& message) {
  const auto* vote = std::get_if<Vote>(&message);
  return vote != nullptr && vote->statement.phase == Phase::Commit;
}

// Only some are prepared, so claims differ, and the view begins with the highest of all.
std::string claims_differ() {
  Table table;
  Lab& lab = table.lab();
  lab.lost = [](std::size_t, std::size_t to, const Message& message) {
    const auto* vote = std::get_if<Vote>(&message);
    return is_commit(message) ||
           (vote != nullptr && vote->statement.phase == Phase::Prepare && to > 1);
  };
  table.order(1);
  lab.lost = nullptr;
  lab.give_up({1, 2, 3});
  lab.pass(100ms);
  return table.judge(table.executed({0, 1, 2, 3}, 1) && lab.replica(2).view() == 1,
                     "view 1 does not begin, or not with what is prepared");
}

std::string bundles_survive() {
  Table table;
  Lab& lab = table.lab();
  lab.separate({1, 0, 0, 0});
  table.order(3);
  lab.pass(2s);
  return table.judge(table.executed({1, 2, 3}, 1) || table.executed({1, 2, 3}, 3),
                     "what clients sent to a primary that is gone is not ordered");
}

// What q commits were sent for in view 0 is what view 1 begins with, though nobody committed.
std::string prepared_is_carried_over() {
  Table table;
  Lab& lab = table.lab();
  base::Digest before{};
  lab.lost = [&](std::size_t, std::size_t, const Message& message) {
    if (is_commit(message)) before = std::get<Vote>(message).statement.digest;
    return is_commit(message);
  };
  table.order(1);
  lab.lost = nullptr;
  lab.separate({1, 0, 0, 0});
  lab.give_up({1, 2, 3});
  lab.pass(100ms);
  return table.judge(table.executed({1, 2, 3}, 1) && lab[2].executed.at(1) == before,
                     "a block that is prepared is not carried over to the next view");
}

std::string different_wishes_are_no_quorum() {
  Table table;
  Lab& lab = table.lab();
  lab.separate({0, 1, 2, 3});
  for (const View view : {1, 5, 9}) {
    const auto liar = static_cast<ReplicaId>(view == 1 ? 0 : view == 5 ? 2 : 3);
    lab.tell(1, liar,
             ViewChange{1, view, table.cluster.wish(liar, view, table.cluster.nothing()), {}});
  }
  const bool waits = lab.replica(1).changing();
  // Wishes for other views prove nothing for this one.
  NewView begun{1, 5, {}, {}};
  for (const ReplicaId who : {0, 1, 2})
    begun.wishes.push_back(table.cluster.wish(who, who == 1 ? 5 : 4, table.cluster.nothing()));
  lab.tell(3, 1, begun);
  return table.judge(waits && lab.replica(3).view() == 0,
                     "a view begins though no quorum wants the same");
}

std::string one_who_is_cut_off_stops_nobody() {
  Table table;
  Lab& lab = table.lab();
  lab.separate({0, 1, 0, 0});  // The next primary.
  table.order(3);
  lab.give_up({1});
  lab.pass(3s);
  table.order(3);
  const bool went_on = table.executed({0, 2, 3}, 6) && lab.replica(0).view() == 0;
  lab.heal();
  table.order(1);
  lab.pass(3s);
  return table.judge(went_on && table.executed({0, 1, 2, 3}, 7),
                     "one who is cut off, or who returns, stops the others");
}

std::string who_waits_alone_does_not_run_ahead() {
  Table table;
  Lab& lab = table.lab();
  lab.separate({0, 0, 0, 1});
  lab.pass(60s);
  return table.judge(lab.replica(3).view() <= 1, "one who is alone wants ever later views");
}

std::string wishes_end() {
  Table table;
  Lab& lab = table.lab();
  lab.separate({1, 0, 0, 0});
  std::size_t wishes = 0;
  lab.lost = [&](std::size_t, std::size_t, const Message& message) {
    wishes += std::holds_alternative<ViewChange>(message) ? 1 : 0;
    return false;
  };
  lab.give_up({1, 2, 3});
  lab.pass(1s);
  const bool begun = !lab.replica(2).changing();
  const std::size_t at_first = wishes;
  // One that is said again by whom it began without is not answered with wishes.
  const Message again = ViewChange{1, 1, table.cluster.wish(0, 1, table.cluster.nothing()), {}};
  for (int i = 0; i < 100; ++i) lab.tell(2, 0, again);
  lab.pass(1s);
  return table.judge(begun && at_first <= 12 && wishes == at_first,
                     "wishes are repeated when nobody needs them");
}

std::string votes_before_the_proposal_count() {
  Table table;
  Lab& lab = table.lab();
  const auto link = table.block(1, table.cluster.id(), 1);
  lab.separate({0, 1, 2, 3});
  for (const Phase phase : {Phase::Prepare, Phase::Commit}) {
    for (const ReplicaId voter : {0, 1})
      lab.tell(2, voter, table.cluster.vote(voter, table.statement(phase, 0, link)));
  }
  lab.tell(2, 0, table.cluster.proposal(0, link));
  return table.judge(table.executed({2}, 1),
                     "a quorum was there before it counted, and is forgotten");
}

std::string a_view_begins_with_what_is_proven() {
  Table table;
  Lab& lab = table.lab();
  table.order(1);
  lab.separate({0, 1, 0, 0});  // 1 lies; two others want the view.
  const auto other = table.block(2, base::sha256("another slot 1"), 2);
  const Claim invented{0, 2, other->digest};
  const Statement first{Phase::Prepare, 1, 0, 1, lab[2].executed.at(1)};
  NewView begun{1, 1, {}, {}};
  begun.wishes = {table.cluster.wish(1, 1, invented),
                  table.cluster.wish(2, 1, {0, 1, first.digest}),
                  table.cluster.wish(3, 1, {0, 1, first.digest})};
  for (const std::size_t seat : {0, 2, 3}) lab.tell(seat, 1, begun);
  const bool refused = lab.replica(2).view() == 0;
  return table.judge(refused, "a view begins with a block that nobody prepared", {0, 2, 3});
}

std::string a_block_from_the_future_waits() {
  Table table;
  Lab& lab = table.lab();
  lab.separate({0, 1, 1, 1});
  const auto link = table.block(1, table.cluster.id(), 1, 1h);
  for (const std::size_t seat : {1, 2, 3}) lab.tell(seat, 0, table.cluster.proposal(0, link));
  return table.judge(table.executed({1, 2, 3}, 0) && lab.replica(1).accepted() == 0,
                     "a block whose time is an hour ahead is accepted", {1, 2, 3});
}

// Its vote comes before the proposal that contradicts it, or behind, or the proposal comes when
// what is proposed was committed long ago.
std::string a_primary_that_says_two_things_is_convicted() {
  enum class Order { VoteFirst, ProposalFirst, CommittedBetween };
  for (const Order order : {Order::VoteFirst, Order::ProposalFirst, Order::CommittedBetween}) {
    Table table;
    Lab& lab = table.lab();
    lab.separate({0, 1, 2, 3});
    const auto one = table.block(1, table.cluster.id(), 1),
               other = table.block(1, table.cluster.id(), 2);
    const Message vote = table.cluster.vote(0, table.statement(Phase::Prepare, 0, one)),
                  proposal = table.cluster.proposal(0, other);
    const Committed committed{
        table.cluster.certificate(table.statement(Phase::Commit, 0, other), {0, 1, 3}), {other}};
    lab.tell(2, 0, order == Order::ProposalFirst ? proposal : vote);
    if (order == Order::CommittedBetween) lab.tell(2, 1, committed);
    lab.tell(2, 0, order == Order::ProposalFirst ? vote : proposal);
    auto failure = table.judge(lab[2].evidence.size() == 1 && lab[2].evidence[0].first.replica == 0,
                               "a primary that contradicts itself is not convicted", {1, 2, 3});
    if (!failure.empty()) return failure;
  }
  return {};
}

std::string forged_evidence_convicts_nobody() {
  Table table;
  Lab& lab = table.lab();
  const Vote one{{Phase::Prepare, 1, 0, 1, base::sha256("one")}, 2, {}};
  Vote two = one;
  two.statement.digest = base::sha256("two");
  lab.tell(1, 3, Evidence{one, two});
  // Nor do votes of which only one is its own.
  lab.tell(1, 3, Evidence{table.cluster.vote(2, one.statement), two});
  return table.judge(true, {});
}

std::string a_forged_certificate_commits_nothing() {
  Table table;
  Lab& lab = table.lab();
  const auto link = table.block(1, table.cluster.id(), 1);
  Committed invented{{table.statement(Phase::Commit, 0, link), {}}, {link}};
  for (const ReplicaId who : {0, 1, 2})
    invented.certificate.signatures.emplace_back(who, base::Signature{});
  lab.tell(3, 0, invented);
  // One signature is not three.
  invented.certificate =
      table.cluster.certificate(table.statement(Phase::Commit, 0, link), {0, 0, 0});
  lab.tell(3, 0, invented);
  return table.judge(table.executed({3}, 0), "a block is committed that no quorum signed");
}

// What a primary orders in its own name is signed with the block; nobody else's is.
std::string only_what_clients_signed_is_ordered() {
  Table table;
  Lab& lab = table.lab();
  const auto propose = [&](std::size_t seat, const base::PublicKey& client) {
    Bundle forged = *table.cluster.bundle(1);
    forged.client = client;
    forged.signature = {};
    Block block = table.block(1, table.cluster.id(), 1)->block;
    block.bundles = {std::make_shared<const Bundle>(forged)};
    lab.tell(seat, 0, table.cluster.proposal(0, make_link(table.cluster.id(), block)));
  };
  propose(1, table.cluster.bundle(1)->client);
  propose(2, table.cluster.voters().keys[1]);
  propose(3, table.cluster.voters().keys[0]);
  const bool refused = lab.replica(1).accepted() == 0 && lab.replica(2).accepted() == 0;
  return table.judge(refused && lab.replica(3).accepted() == 1,
                     "a block is accepted whose client did not sign", {1, 2, 3});
}

// What a primary alone does not know of, one of the others shows it in time.
std::string a_bundle_that_one_heard_of_is_ordered() {
  Table table;
  Lab& lab = table.lab();
  lab.tell(3, pbft::kFirstFollower, Submit{table.cluster.bundle(1)});
  lab.pass(10s);
  return table.judge(
      table.executed({0, 1, 2, 3}, 1) && !lab.replica(3).changing() && lab.replica(3).view() == 0,
      "who alone hears of a bundle gives the view up");
}

// 3 fetches a state in which bundles are executed that wait there. Nobody orders them again.
std::string nobody_waits_for_what_is_over() {
  Table table(4);
  table.cluster.options.window = 4;
  table.sit_down();
  Lab& lab = table.lab();
  lab.separate({0, 0, 0, 1});
  table.order(14);
  lab.heal();
  lab.pass(1s);
  const bool fetched = lab[3].needed.has_value();
  if (fetched) lab.install(3);
  std::size_t over = 0;
  for (int i = 0; i < 100; ++i) {
    lab.pass(100ms);
    for (const auto& bundle : std::exchange(lab[3].overdue, {})) {
      lab.step(3, pbft::Over{digest_of(*bundle)});
      ++over;
    }
  }
  return table.judge(fetched && over > 0 && lab.replica(3).pool().size() == 0 &&
                         !lab.replica(3).changing() && lab.replica(3).view() == 0,
                     "who skipped a bundle waits for it for ever");
}

}  // namespace

std::vector<Scenario> view_scenarios() {
  return {
      {"AViewBeginsThoughClaimsDiffer", "hyperledger fabric #1111", claims_differ},
      {"BundlesSurviveAChangeOfViews", "hyperledger fabric #1877", bundles_survive},
      {"WhatIsPreparedIsCarriedOver", "neo-modules #792", prepared_is_carried_over},
      {"DifferentWishesAreNoQuorum", "bft-smart #62", different_wishes_are_no_quorum},
      {"OneWhoIsCutOffStopsNobody", "bft-smart #19", one_who_is_cut_off_stops_nobody},
      {"WhoWaitsAloneDoesNotRunAhead", "Delphi-BFT #37", who_waits_alone_does_not_run_ahead},
      {"WishesEnd", "hyperledger fabric #2060, #2416", wishes_end},
      {"VotesBeforeTheProposalCount", "tendermint #3199, semux #12, relab/hotstuff #24",
       votes_before_the_proposal_count},
      {"AViewBeginsWithWhatIsProven", "Abraham et al. 2017, Revisiting Fast Practical BFT",
       a_view_begins_with_what_is_proven},
      {"ABlockFromTheFutureWaits", "clocks of replicas", a_block_from_the_future_waits},
      {"APrimaryThatSaysTwoThingsIsConvicted", "a proposal that is a vote",
       a_primary_that_says_two_things_is_convicted},
      {"ForgedEvidenceConvictsNobody", "claims of others", forged_evidence_convicts_nobody},
      {"AForgedCertificateCommitsNothing", "claims of others",
       a_forged_certificate_commits_nothing},
      {"OnlyWhatClientsSignedIsOrdered", "claims of others", only_what_clients_signed_is_ordered},
      {"ABundleThatOneHeardOfIsOrdered",
       "Castro and Liskov 1999, section 4.1: backups relay requests",
       a_bundle_that_one_heard_of_is_ordered},
      {"NobodyWaitsForWhatIsOver", "bundles in slots that are skipped",
       nobody_waits_for_what_is_over},
  };
}

}  // namespace sim
