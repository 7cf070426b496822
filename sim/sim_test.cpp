#include <gtest/gtest.h>

#include <algorithm>

#include "sim/history.hpp"
#include "sim/minimise.hpp"
#include "sim/run_apart.hpp"

// Of the simulator itself. It is built with the bugs that can be switched on.

namespace sim {
namespace {

using hypermesh::consensus::active_mutant;
using hypermesh::consensus::Mutant;

class WithMutant {
 public:
  explicit WithMutant(Mutant mutant) { active_mutant = mutant; }
  ~WithMutant() { active_mutant = Mutant::None; }
};

TEST(Plans, AreReadAsTheyAreWritten) {
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    const Plan plan = draw_plan(seed);
    const auto read = parse_plan(to_text(plan));
    ASSERT_TRUE(read) << read.error().describe();
    EXPECT_EQ(*read, plan) << "seed " << seed;
  }
}

TEST(Plans, RefuseWhatTheyDoNotKnow) {
  for (const char* text : {"replicas 0", "replicas many", "moons 3", "seed", "liar 0 truthful",
                           "fault flood at 1 for 1 nodes 1 amount 1", "fault crash at 1"})
    EXPECT_FALSE(parse_plan(text)) << text;
}

TEST(Seeds, GiveTheSameHistoryAgain) {
  for (std::uint64_t seed = 1; seed <= 4; ++seed) {
    const Ended once = run_plan(draw_plan(seed)), again = run_plan(draw_plan(seed));
    EXPECT_EQ(once.failure, "") << "seed " << seed;
    EXPECT_EQ(once.mark, again.mark) << "seed " << seed;
    EXPECT_EQ(once.steps, again.steps) << "seed " << seed;
  }
}

Call call(Call::Kind kind, int begun, int ended, std::uint64_t revision) {
  const auto at = [](int ms) { return base::MonotonicTime() + std::chrono::milliseconds(ms); };
  return {kind, at(begun), at(ended), revision};
}

TEST(History, AnOrderIsFoundWhereThereIsOne) {
  using enum Call::Kind;
  EXPECT_EQ(check_linearizable({}), "");
  EXPECT_EQ(check_linearizable({call(Put, 0, 10, 3), call(Read, 1, 2, 0), call(Read, 3, 4, 3),
                                call(Put, 5, 20, 4), call(Read, 11, 12, 3), call(Read, 13, 14, 4),
                                call(Delete, 21, 22, 5), call(Read, 23, 24, 0)}),
            "");
  Call refused = call(Refused, 0, 30, 0);
  refused.expected = 3;
  EXPECT_EQ(check_linearizable({call(Put, 0, 10, 3), refused, call(Put, 11, 12, 4)}), "");
}

TEST(History, NoneIsFoundWhereAnAnswerIsOld) {
  using enum Call::Kind;
  EXPECT_NE(check_linearizable({call(Put, 0, 10, 3), call(Read, 11, 12, 0)}), "");
  EXPECT_NE(check_linearizable({call(Read, 1, 2, 3), call(Put, 5, 20, 3)}), "");
  // Two reads see a write that is under way, the later of them no more.
  EXPECT_NE(check_linearizable({call(Put, 0, 10, 3), call(Read, 1, 2, 3), call(Read, 3, 4, 0)}),
            "");
  Call conditional = call(Put, 11, 12, 5);
  conditional.conditional = true;
  EXPECT_NE(check_linearizable({call(Put, 0, 10, 3), conditional}), "");
}

TEST(Minimise, LeavesOnlyWhatTheFailureNeeds) {
  Plan plan = draw_plan(3);
  plan.liars = {"silent", "fork"};
  plan.clients = 3;
  plan.faults.clear();
  for (std::uint64_t i = 0; i < 40; ++i)
    plan.faults.push_back({FaultKind::Crash, std::chrono::milliseconds(i), Duration(1000), 1, i});
  const auto has = [](const Plan& each, std::uint64_t amount) {
    return std::ranges::any_of(each.faults,
                               [&](const Fault& fault) { return fault.amount == amount; });
  };
  const Trial needs_three = [&](const Plan& each) -> std::string {
    if (!has(each, 5) || !has(each, 17) || !has(each, 38)) return {};
    return each.liars[1] == "fork" ? "3 faults and a liar" : "another failure";
  };
  const Minimal minimal = minimise(plan, needs_three(plan), needs_three);
  EXPECT_EQ(minimal.plan.faults.size(), 3u);
  EXPECT_EQ(minimal.plan.liars, (std::vector<std::string>{"", "fork"}));
  EXPECT_EQ(minimal.plan.clients, 1u);
  EXPECT_EQ(needs_three(minimal.plan), minimal.failure);
}

TEST(Minimise, ShrinksTheLifeInWhichABugWasFound) {
  const WithMutant bug(Mutant::VotesOfOtherViews);
  const auto trial = [](const Plan& each) { return run_apart(each).failure; };
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    const Plan plan = draw_plan(seed);
    const auto failure = trial(plan);
    if (failure.empty() || plan.faults.size() < 4) continue;
    const Minimal minimal = minimise(plan, failure, trial, 40);
    EXPECT_LT(minimal.plan.faults.size(), plan.faults.size());
    EXPECT_EQ(kind_of(trial(minimal.plan)), kind_of(failure));
    return;
  }
  FAIL() << "no seed finds the bug";
}

}  // namespace
}  // namespace sim
