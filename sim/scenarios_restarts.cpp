#include "sim/scenario_table.hpp"

// What a crash must not make a replica forget.

namespace sim {

using namespace hypermesh::consensus;

namespace {

void restart_all(Lab& lab) {
  for (std::size_t seat = 0; seat < lab.size(); ++seat) lab.crash(seat);
  for (std::size_t seat = 0; seat < lab.size(); ++seat) lab.start(seat);
}

// It voted for one block of slot 1, and is shown another by a primary that lies.
std::string own_votes_outlive_a_crash() {
  Table table;
  Lab& lab = table.lab();
  lab.separate({0, 1, 2, 3});
  const auto one = table.block(1, table.cluster.id(), 1),
             other = table.block(1, table.cluster.id(), 2);
  lab.tell(2, 0, table.cluster.proposal(0, one));
  const bool voted = lab.replica(2).accepted() == 1;
  lab.crash(2);
  lab.start(2);
  lab.tell(2, 0, table.cluster.proposal(0, other));
  return table.judge(voted, "a good proposal is not accepted", {1, 2, 3});
}

// All are prepared and none has committed when all restart: what they say afterwards is enough.
std::string a_proposal_is_made_again() {
  Table table;
  Lab& lab = table.lab();
  lab.lost = [](std::size_t, std::size_t, const Message& message) {
    const auto* vote = std::get_if<Vote>(&message);
    return vote != nullptr && vote->statement.phase == Phase::Commit;
  };
  table.order(1);
  lab.lost = nullptr;
  restart_all(lab);
  lab.pass(5s);
  return table.judge(table.executed({0, 1, 2, 3}, 1),
                     "a block that all prepared before a restart is stuck");
}

std::string a_primary_that_restarts_proposes_nothing_else() {
  Table table;
  Lab& lab = table.lab();
  lab.submit(table.cluster.bundle(1));
  lab.pass(50ms);
  // What it proposes now reaches nobody and is not on its disk.
  lab.separate({1, 0, 0, 0});
  lab[0].stop_disk();
  lab.tell(0, pbft::kFirstFollower, Submit{table.cluster.bundle(2)});
  lab.crash(0);
  lab.start(0);
  lab.tell(0, pbft::kFirstFollower, Submit{table.cluster.bundle(3)});
  lab.pass(50ms);
  return table.judge(true, {});
}

// It begins view 1 with what 2 has prepared, crashes before that is on its disk, and begins it
// again without 2.
std::string a_base_waits_for_the_disk() {
  Table table;
  Lab& lab = table.lab();
  lab.lost = [](std::size_t, std::size_t to, const Message& message) {
    const auto* vote = std::get_if<Vote>(&message);
    return (vote != nullptr && (vote->statement.phase == Phase::Commit || to != 2)) ||
           (std::holds_alternative<Proposal>(message) && to == 1);
  };
  table.order(1);
  lab.lost = nullptr;
  lab.separate({0, 1, 2, 3});
  lab.give_up({0, 1, 2, 3});
  lab[1].stop_disk();
  lab.separate({1, 0, 0, 0});
  lab.lost = [](std::size_t from, std::size_t, const Message& message) {
    return from == 1 && !std::holds_alternative<Fetch>(message);
  };
  lab.pass(300ms);
  const bool begun = !lab.replica(1).changing() && lab.replica(1).accepted() == 1;
  lab.crash(1);
  lab.start(1);
  // Now 0 hides what it voted for.
  lab.lost = [](std::size_t from, std::size_t, const Message& message) {
    return from == 0 && std::holds_alternative<ViewChange>(message);
  };
  lab.separate({0, 0, 1, 0});
  lab.tell(1, 0, ViewChange{1, 1, table.cluster.wish(0, 1, table.cluster.nothing()), {}});
  lab.pass(300ms);
  const bool again = !lab.replica(1).changing() && lab.replica(1).view() == 1;
  lab.tell(1, pbft::kFirstFollower, Submit{table.cluster.bundle(2)});
  lab.pass(100ms);
  return table.judge(begun && again, "the view does not begin");
}

std::string a_vote_waits_for_the_disk() {
  Table table;
  Lab& lab = table.lab();
  std::size_t heard = 0;
  lab.lost = [&](std::size_t from, std::size_t, const Message& message) {
    heard += from == 3 && std::holds_alternative<Vote>(message) ? 1 : 0;
    return false;
  };
  lab[3].stop_disk();
  table.order(1);
  const bool silent = heard == 0 && table.executed({0, 1, 2}, 1);
  std::vector<pbft::Send> sent;
  lab[3].resume_disk(lab.now(), sent);
  return table.judge(silent && !sent.empty(), "a vote leaves before it is on disk");
}

// 2 is away, so that nothing is committed without 3, which has prepared when its disk stops. A
// certificate with its commit would convince the others, and it would not remember.
std::string a_vote_counts_when_it_is_on_disk() {
  Table table;
  Lab& lab = table.lab();
  lab.separate({0, 0, 1, 0});
  lab.lost = [](std::size_t, std::size_t to, const Message& message) {
    const auto* vote = std::get_if<Vote>(&message);
    return to == 3 && vote != nullptr && vote->statement.phase == Phase::Prepare;
  };
  table.order(1);
  const bool waits = lab.replica(3).accepted() == 1 && lab.replica(0).committed() == 0;
  lab[3].stop_disk();
  lab.lost = nullptr;
  lab.pass(1s);
  const bool silent = lab.replica(3).committed() == 0;
  std::vector<pbft::Send> sent;
  lab[3].resume_disk(lab.now(), sent);
  return table.judge(waits && silent && lab.replica(3).committed() == 1,
                     "a vote counts before it is on disk");
}

// 3 wants view 1 alone, and hears then of more that is committed: that is not what its wish claims.
std::string a_wish_keeps_its_proof() {
  Table table;
  Lab& lab = table.lab();
  table.order(1);
  lab.separate({0, 0, 0, 1});
  table.order(2);
  lab.give_up({3});
  lab.lost = [](std::size_t, std::size_t, const Message& message) {
    return std::holds_alternative<ViewChange>(message);
  };
  lab.heal();
  lab.pass(1s);
  lab.lost = nullptr;
  const bool wants = lab.replica(3).changing() && lab.replica(3).committed() == 3;
  lab.crash(3);
  lab.start(3);
  lab.separate({1, 0, 0, 0});
  lab.give_up({1, 2});
  lab.pass(400ms);
  const bool begun = lab.replica(1).view() == 1 && !lab.replica(1).changing();
  table.order(1);
  return table.judge(wants && begun && table.executed({1, 2, 3}, 4),
                     "nobody believes a wish that is said again after a restart");
}

std::string checkpoint_votes_outlive_a_crash() {
  Table table(2);
  Lab& lab = table.lab();
  lab.lost = [](std::size_t, std::size_t, const Message& message) {
    const auto* vote = std::get_if<Vote>(&message);
    return vote != nullptr && vote->statement.phase == Phase::Checkpoint;
  };
  table.order(4);
  const bool closed = lab.replica(0).stable() == 0;
  lab.lost = nullptr;
  restart_all(lab);
  lab.pass(5s);
  table.order(3);
  lab.pass(5s);
  return table.judge(closed && lab.replica(1).stable() >= 4 && table.executed({0, 1, 2, 3}, 7),
                     "checkpoints that were signed before a restart are never stable");
}

// The last block before a restart is the base of the next view; its bundles wait for nobody.
std::string what_is_ordered_does_not_wait() {
  Table table(2);
  Lab& lab = table.lab();
  table.order(4);
  restart_all(lab);
  lab.pass(2s);
  const View view = lab.replica(1).view();
  lab.pass(20s);
  return table.judge(view == 1 && lab.replica(1).view() == 1 && table.executed({0, 1, 2, 3}, 4),
                     "a view is given up, or a block made, for what is ordered already");
}

// What says that it was primary is written again when checkpoint 2 is stable. It proposed slot 3,
// and its disk has not what is written again.
std::string old_records_wait_for_what_replaces_them() {
  Table table(2);
  Lab& lab = table.lab();
  table.order(1);
  lab[0].stop_disk();
  table.order(2);
  lab.pass(20ms);
  const bool collected = lab.replica(0).stable() == 2 && table.executed({1, 2, 3}, 3);
  lab.separate({1, 0, 0, 0});
  lab.crash(0);
  lab.start(0);
  // Another one than it put there.
  lab.tell(0, pbft::kFirstFollower, Submit{table.cluster.bundle(100)});
  lab.pass(50ms);
  return table.judge(collected, "no checkpoint is stable");
}

}  // namespace

std::vector<Scenario> restart_scenarios() {
  return {
      {"OwnVotesOutliveACrash", "nebula #3415, camunda #1068", own_votes_outlive_a_crash},
      {"AProposalIsMadeAgainAfterARestart", "malachite #850", a_proposal_is_made_again},
      {"APrimaryThatRestartsProposesNothingElse", "seed 18 of the simulator",
       a_primary_that_restarts_proposes_nothing_else},
      {"AVoteWaitsForTheDisk", "nebula #3415, camunda #1068", a_vote_waits_for_the_disk},
      {"AVoteCountsWhenItIsOnDisk", "seed 17953481761078 of the simulator",
       a_vote_counts_when_it_is_on_disk},
      {"AWishKeepsItsProof", "seed 17953494420519 of the simulator", a_wish_keeps_its_proof},
      {"ABaseWaitsForTheDisk", "seed 1565 of the simulator", a_base_waits_for_the_disk},
      {"CheckpointVotesOutliveACrash", "a window that closed for good in the simulator",
       checkpoint_votes_outlive_a_crash},
      {"WhatIsOrderedDoesNotWait", "a view that ended for nothing in the script before",
       what_is_ordered_does_not_wait},
      {"OldRecordsWaitForWhatReplacesThem", "seed 264 of the simulator",
       old_records_wait_for_what_replaces_them},
  };
}

}  // namespace sim
