#include "sim/scenario_table.hpp"

// Who is behind, and how he comes back.

namespace sim {

using namespace hypermesh::consensus;

namespace {

// The others order 13 slots without 3, in views 0 and 1, and drop the first. Whether it is told to
// fetch the state after slot 12.
bool leaves_3_behind(Table& table) {
  Lab& lab = table.lab();
  lab.separate({0, 0, 0, 1});
  table.order(9);
  lab.give_up({0, 1, 2});
  lab.pass(200ms);
  table.order(4);
  lab.heal();
  lab.pass(600ms);
  return lab[3].needed.has_value();
}

// Everything that is known of view 1 is said while 3 is behind; with the state it enters the view.
std::string who_fetched_state_enters_the_view() {
  Table table(4);
  Lab& lab = table.lab();
  const bool needs = leaves_3_behind(table);
  if (needs) lab.install(3);
  lab.pass(1s);
  table.order(4);
  return table.judge(needs && lab.replica(3).view() == 1 && !lab.replica(3).changing() &&
                         lab.replica(3).applied() == lab.replica(0).applied() &&
                         lab.replica(0).applied() == 17,
                     "after fetching state a replica does not enter the view of the others");
}

std::string a_checkpoint_does_not_move_execution_back() {
  Table table(2);
  Lab& lab = table.lab();
  // Checkpoint votes arrive late: slot 2 becomes stable when 4 is executed.
  lab.lost = [](std::size_t, std::size_t to, const Message& message) {
    const auto* vote = std::get_if<Vote>(&message);
    return to == 3 && vote != nullptr && vote->statement.phase == Phase::Checkpoint &&
           vote->statement.slot > 2;
  };
  table.order(4);
  lab.lost = nullptr;
  lab.pass(1s);
  table.order(4);
  return table.judge(
      table.executed({0, 1, 2, 3}, 8) && !lab[3].needed && lab.replica(3).stable() == 8,
      "an old checkpoint moves execution back");
}

// 65 slots and more are committed by others while 3 hears nothing but commits.
std::string what_is_beyond_the_window_is_not_lost() {
  Table table;
  Lab& lab = table.lab();
  lab.lost = [](std::size_t, std::size_t to, const Message& message) {
    return to == 3 &&
           (std::holds_alternative<Proposal>(message) ||
            std::holds_alternative<Committed>(message) || std::holds_alternative<Fetched>(message));
  };
  table.order(150);
  const bool behind = lab.replica(3).applied() == 0;
  lab.lost = nullptr;
  lab.pass(2s);
  return table.judge(behind && table.executed({0, 1, 2, 3}, 150),
                     "what others committed beyond the window never arrives");
}

// Steps, not only an end: nobody floods who returns.
std::string who_returns_catches_up() {
  Table table;
  Lab& lab = table.lab();
  lab.separate({0, 0, 0, 1});
  table.order(300);
  lab.heal();
  const auto before = lab.steps();
  lab.pass(2s);
  return table.judge(table.executed({0, 1, 2, 3}, 300) && lab.steps() - before < 2000,
                     "who returns is flooded, or does not catch up");
}

// Blocks that come before 3 has the state must not be lost, nor meet a state that they do not
// belong to.
std::string blocks_wait_for_the_state_that_is_fetched() {
  Table table(4);
  Lab& lab = table.lab();
  const bool needs = leaves_3_behind(table);
  table.order(2);
  const bool waits = lab.replica(3).applied() == 0;
  if (needs) lab.install(3);
  table.order(1);
  lab.pass(1s);
  return table.judge(
      needs && waits && lab.replica(3).applied() == 16 && lab[3].root() == lab[0].root(),
      "blocks that come while a state is fetched are lost or change it");
}

// 3 learns what is committed and not the block; two of those whom it could ask never answer.
std::string who_does_not_answer_is_replaced() {
  Table table;
  Lab& lab = table.lab();
  lab.lost = [](std::size_t from, std::size_t to, const Message& message) {
    if (from == 3 && to != 2 && std::holds_alternative<Fetch>(message)) return true;
    return to == 3 && (std::holds_alternative<Proposal>(message) ||
                       std::holds_alternative<Committed>(message));
  };
  table.order(3);
  lab.pass(1s);
  return table.judge(table.executed({0, 1, 2, 3}, 3), "blocks are fetched from nobody else");
}

// The primary sends nothing to 3, and the others do without it. A read there may not be told at
// once how far the others are, but what was ordered before it arrives while writes go on.
std::string who_is_starved_reads() {
  Table table;
  Lab& lab = table.lab();
  lab.lost = [](std::size_t from, std::size_t to, const Message&) { return from == 0 && to == 3; };
  table.order(5);
  lab.step(3, pbft::Read{1});
  for (int i = 0; i < 20; ++i) {
    table.order(1);
    lab.pass(50ms);
  }
  const auto& answers = lab[3].readable;
  return table.judge(answers.size() == 1 && lab.replica(3).applied() >= 6,
                     "a replica that the primary starves cannot read");
}

std::string a_damaged_state_is_noticed() {
  Table table(4);
  Lab& lab = table.lab();
  lab[3].wrong_roots = true;
  table.order(4);
  lab.pass(1s);
  return table.judge(lab[3].damaged && !lab[2].damaged && lab.replica(2).stable() == 4,
                     "a state that differs from a quorum's is not noticed");
}

std::string one_vote_makes_no_checkpoint() {
  Table table(2);
  Lab& lab = table.lab();
  lab.lost = [](std::size_t, std::size_t, const Message& message) {
    const auto* vote = std::get_if<Vote>(&message);
    return vote != nullptr && vote->statement.phase == Phase::Checkpoint;
  };
  table.order(2);
  return table.judge(table.executed({0, 1, 2, 3}, 2) && lab.replica(0).stable() == 0,
                     "a checkpoint is stable that no quorum signed");
}

std::string a_laggard_is_helped_with_the_last_blocks() {
  Table table;
  Lab& lab = table.lab();
  lab.separate({0, 0, 0, 1});
  table.order(2);
  lab.heal();
  lab.pass(2s);
  return table.judge(table.executed({0, 1, 2, 3}, 2), "nobody tells a laggard of the last blocks");
}

}  // namespace

std::vector<Scenario> checkpoint_scenarios() {
  return {
      {"WhoFetchedStateEntersTheView", "concord-bft #1177, hyperledger fabric #1120",
       who_fetched_state_enters_the_view},
      {"ACheckpointDoesNotMoveExecutionBack", "hyperledger fabric #1174",
       a_checkpoint_does_not_move_execution_back},
      {"WhatIsBeyondTheWindowIsNotLost", "hyperledger fabric #1857",
       what_is_beyond_the_window_is_not_lost},
      {"WhoReturnsCatchesUp", "bft-smart #27", who_returns_catches_up},
      {"BlocksWaitForTheStateThatIsFetched", "concord-bft #2863",
       blocks_wait_for_the_state_that_is_fetched},
      {"WhoDoesNotAnswerIsReplaced", "concord-bft #1742", who_does_not_answer_is_replaced},
      {"WhoIsStarvedReads", "Berger, Reiser, Bessani 2021, the read-only optimisation of PBFT",
       who_is_starved_reads},
      {"ADamagedStateIsNoticed", "bft-smart #73", a_damaged_state_is_noticed},
      {"OneVoteMakesNoCheckpoint", "claims of others", one_vote_makes_no_checkpoint},
      {"ALaggardIsHelpedWithTheLastBlocks", "tendermint #3199",
       a_laggard_is_helped_with_the_last_blocks},
  };
}

}  // namespace sim
