#include "sim/scenario_table.hpp"

// What all voters hold is committed at once, and stays so: docs/design/0013.

namespace sim {

using namespace hypermesh::consensus;

namespace {

// Replicas that go fast, as the daemons do.
struct FastTable : Table {
  FastTable() {
    cluster.options.fast_path = true;
    sit_down();
    lab().pass(1ms);
  }
};

bool is_vote(const Message& message, Phase phase) {
  const auto* vote = std::get_if<Vote>(&message);
  return vote != nullptr && vote->statement.phase == phase;
}

bool is_decided(std::size_t, std::size_t, const Message& message) {
  return std::holds_alternative<Decided>(message);
}

std::string what_all_hold_needs_no_commits() {
  FastTable table;
  std::size_t votes = 0;
  table.lab().lost = [&](std::size_t, std::size_t, const Message& message) {
    votes += is_vote(message, Phase::Prepare) || is_vote(message, Phase::Commit) ? 1 : 0;
    return false;
  };
  table.order(5);
  return table.judge(table.executed({0, 1, 2, 3}, 5) && votes == 0,
                     "what all hold is not committed by that alone");
}

std::string one_who_is_missing_stops_nobody() {
  FastTable table;
  Lab& lab = table.lab();
  lab.separate({0, 0, 0, 1});
  lab.submit(table.cluster.bundle(1));
  lab.pass(1ms);
  const bool early = !table.executed({0, 1, 2}, 0);
  lab.pass(table.cluster.options.fast_wait_min);
  const bool late = !table.executed({0, 1, 2}, 1);
  if (early) return table.judge(false, "a block that one does not hold is committed at once");
  return table.judge(!late, "nothing is committed while one is missing");
}

// The primary committed and is gone before anybody hears of it. `crash`: so do the others, before
// they want another view.
std::string what_one_alone_knows_is_kept(bool crash, std::string what) {
  FastTable table;
  Lab& lab = table.lab();
  lab.lost = is_decided;
  lab.submit(table.cluster.bundle(1));
  const bool decided = table.executed({0}, 1) && table.executed({1, 2, 3}, 0);
  lab.separate({1, 0, 0, 0});
  for (const std::size_t seat : {1, 2, 3}) {
    if (!crash) break;
    lab.crash(seat);
    lab.start(seat);
  }
  lab.submit(table.cluster.bundle(2));  // Nobody else makes the same block.
  lab.give_up({1, 2, 3});
  lab.pass(100ms);
  lab.heal();
  lab.pass(1s);
  return table.judge(decided && table.executed({0, 1, 2, 3}, 2), std::move(what));
}

std::string what_all_hold_outlives_its_primary() {
  return what_one_alone_knows_is_kept(false, "what all held is not what the next view begins with");
}

std::string what_all_hold_outlives_a_restart() {
  return what_one_alone_knows_is_kept(true, "what all held before a restart is forgotten");
}

std::string holding_waits_for_the_disk() {
  for (const std::size_t slow : {0, 3}) {
    FastTable table;
    Lab& lab = table.lab();
    lab[slow].stop_disk();
    lab.submit(table.cluster.bundle(1));
    lab.pass(5ms);
    const bool waits = table.executed({0, 1, 2, 3}, 0);
    lab.crash(slow);
    lab.start(slow);
    if (!waits) return table.judge(false, "a block counts as held that is on no disk");
  }
  return {};
}

// Replica 3 alone has a certificate, of a block that view 1 does not begin with. What view 1 puts
// in its place must not be lost to it: until its own blocks are certified nobody says Hold in it.
std::string holding_needs_a_certificate_of_the_view() {
  FastTable table;
  Lab& lab = table.lab();
  Cluster& cluster = table.cluster;
  const auto old = table.block(1, cluster.genesis.start_digest, 1);
  const auto from_liar = [&](std::size_t to, Message message) {
    lab.tell(to, 0, std::move(message));
  };
  lab.lost = [](std::size_t from, std::size_t to, const Message& message) {
    const bool wish = std::holds_alternative<ViewChange>(message);
    return from == 0 || (wish && (from == 3 || to == 3)) || is_vote(message, Phase::Commit) ||
           (is_vote(message, Phase::Prepare) && to != 3);
  };
  Proposal proposal = cluster.proposal(0, old);
  proposal.fast = false;
  for (const std::size_t to : {2, 3}) from_liar(to, proposal);
  lab.give_up({1, 2});
  from_liar(1, ViewChange{1, 1, cluster.wish(0, 1, cluster.nothing()), std::nullopt});
  base::Digest proposed{};
  lab.lost = [&](std::size_t from, std::size_t, const Message& message) {
    const auto* proposal = std::get_if<Proposal>(&message);
    if (proposal != nullptr && proposal->view == 1) proposed = proposal->link->digest;
    return from == 0 || std::holds_alternative<Decided>(message);
  };
  lab.submit(cluster.bundle(2));
  lab.pass(5ms);
  // With the vote of the liar all hold it, if the others say so.
  from_liar(1, cluster.vote(0, {Phase::Hold, 1, 1, 1, proposed}));
  lab.separate({1, 1, 0, 0});
  lab.give_up({2, 3});
  from_liar(2, ViewChange{1, 2, cluster.wish(0, 2, cluster.nothing()), std::nullopt});
  for (const Phase phase : {Phase::Prepare, Phase::Commit}) {
    for (const std::size_t to : {2, 3})
      from_liar(to, cluster.vote(0, table.statement(phase, 2, old)));
  }
  lab.pass(100ms);
  return table.judge(lab.replica(1).view() == 1 && lab[1].executed.size() == 1,
                     "view 1 commits nothing", {1, 2, 3});
}

// Whoever reads elsewhere sees what the primary alone knows to be committed.
std::string reads_wait_for_what_all_hold() {
  FastTable table;
  Lab& lab = table.lab();
  lab.lost = is_decided;
  lab.submit(table.cluster.bundle(1));
  lab.separate({1, 0, 0, 0});
  lab.step(2, pbft::Read{1});
  const bool early = !lab[2].readable.empty();
  lab.lost = nullptr;
  lab.heal();
  lab.pass(1s);
  const bool read = !lab[2].readable.empty() && table.executed({2}, 1);
  return table.judge(!early && read, "a read does not see what was acknowledged before it");
}

// What only clients of the primary wait for is told to the others a little later, with one
// certificate, or as soon as one of them asks.
std::string what_nobody_waits_for_is_told_later() {
  FastTable table;
  Lab& lab = table.lab();
  std::size_t told = 0;
  lab.lost = [&](std::size_t from, std::size_t to, const Message& message) {
    told += is_decided(from, to, message) ? 1 : 0;
    return false;
  };
  for (std::uint64_t i = 1; i <= 3; ++i) {
    lab.submit(table.cluster.gateway_bundle(i, 0));
    lab.pass(100us);
  }
  const bool waits = table.executed({0}, 3) && table.executed({1, 2, 3}, 0) && told == 0;
  lab.pass(5ms);
  const bool once = table.executed({1, 2, 3}, 3) && told == 3;
  lab.submit(table.cluster.gateway_bundle(4, 0));
  lab.step(2, pbft::Read{1});
  const bool asked = table.executed({0, 1, 2, 3}, 4) && !lab[2].readable.empty();
  lab.submit(table.cluster.gateway_bundle(1, 3));
  const bool at_once = table.executed({0, 1, 2, 3}, 5);
  if (!waits) return table.judge(false, "what nobody waits for is told at once");
  if (!once) return table.judge(false, "what nobody waits for is told more than once, or never");
  if (!asked) return table.judge(false, "a read waits for what it could be told");
  return table.judge(at_once, "clients elsewhere wait for what is committed");
}

// Who comes late to a view, by a certificate or a state, holds nothing until it is shown the way.
std::string a_late_one_joins_again() {
  FastTable table;
  Lab& lab = table.lab();
  table.order(2);
  lab.crash(3);
  table.order(2);
  lab.pass(2s);
  lab.start(3);
  lab.pass(2s);
  const bool caught_up = table.executed({0, 1, 2, 3}, 4);
  lab.pass(60s);  // Longer than a primary avoids what failed.
  std::size_t commits = 0;
  lab.lost = [&](std::size_t, std::size_t, const Message& message) {
    commits += is_vote(message, Phase::Commit) ? 1 : 0;
    return false;
  };
  table.order(3);
  return table.judge(caught_up && table.executed({0, 1, 2, 3}, 7) && commits == 0,
                     "one that was away keeps all from going fast");
}

}  // namespace

std::vector<Scenario> fast_path_scenarios() {
  constexpr const char* kSource = "Abraham et al., Revisiting Fast Practical BFT (2017)";
  return {
      {"WhatAllHoldNeedsNoCommits", kSource, what_all_hold_needs_no_commits},
      {"OneWhoIsMissingStopsNobody", kSource, one_who_is_missing_stops_nobody},
      {"WhatAllHoldOutlivesItsPrimary", kSource, what_all_hold_outlives_its_primary},
      {"WhatAllHoldOutlivesARestart", kSource, what_all_hold_outlives_a_restart},
      {"HoldingWaitsForTheDisk", "nebula #3415, camunda #1068", holding_waits_for_the_disk},
      {"HoldingNeedsACertificateOfTheView", kSource, holding_needs_a_certificate_of_the_view},
      {"ReadsWaitForWhatAllHold", kSource, reads_wait_for_what_all_hold},
      {"WhatNobodyWaitsForIsToldLater", kSource, what_nobody_waits_for_is_told_later},
      {"ALateOneJoinsAgain", kSource, a_late_one_joins_again},
  };
}

}  // namespace sim
