#include "sim/scenarios.hpp"
#include "sim/world.hpp"

// Programs of two versions, in whole clusters.

namespace sim {

using namespace std::chrono_literals;

namespace {

constexpr Nodes kLast = 8;

Fault program(Nodes node, Duration at, std::uint64_t version) {
  return {FaultKind::Program, at, 200ms, node, version};
}
Fault order_version(Duration at) {
  return {FaultKind::Version, at, {}, 0, 0};
}
// Four nodes, of which these get the later program one after the other, from half a second on.
Plan upgraded(Nodes nodes) {
  Plan plan;
  plan.seed = 14;
  plan.faults_until = 9s;
  Duration at = 500ms;
  for (Nodes node = 1; node <= nodes; node <<= 1) {
    if ((nodes & node) == 0) continue;
    plan.faults.push_back(program(node, at, 2));
    at += 400ms;
  }
  return plan;
}

std::string judge(const Plan& plan, hypermesh::consensus::Version version, bool left_behind) {
  World world(plan);
  if (auto failure = world.run(); !failure.empty()) return failure;
  if (world.ordered_version() != version) return "the cluster goes by another version";
  const bool somebody = world.left_behind() > 0;
  if (somebody != left_behind) return somebody ? "a node is left behind" : "no node is left behind";
  return {};
}

std::string node_by_node() {
  Plan plan = upgraded(15);
  plan.faults.push_back(order_version(3s));
  return judge(plan, 2, false);
}

std::string back_again() {
  Plan plan = upgraded(15);
  for (const Nodes node : {1, 2, 8}) plan.faults.push_back(program(node, 3s + node * 100ms, 1));
  return judge(plan, 1, false);
}

std::string waits_for_the_last() {
  Plan plan = upgraded(7);
  plan.faults.push_back(order_version(2s));
  plan.faults.push_back(program(kLast, 6s, 2));
  return judge(plan, 2, false);
}

std::string older_than_its_log() {
  Plan plan = upgraded(15);
  plan.faults.push_back(order_version(3s));
  plan.faults.push_back(program(kLast, 6s, 1));
  plan.faults.push_back(program(kLast, 7s, 2));
  return judge(plan, 2, true);
}

// Its log and state are of the version before.
std::string missed_the_change() {
  Plan plan = upgraded(15);
  plan.faults.push_back({FaultKind::Cut, 2900ms, 3s, kLast, 0});
  plan.faults.push_back(order_version(3s));
  plan.faults.push_back(program(kLast, 4s, 1));
  plan.faults.push_back(program(kLast, 7s, 2));
  return judge(plan, 2, true);
}

std::string ahead_of_all() {
  Plan plan = upgraded(6);
  plan.liars = {"ahead"};
  return judge(plan, 1, false);
}

}  // namespace

std::vector<Scenario> version_scenarios() {
  return {
      {"ProgramsOfTwoVersionsWorkTogetherUntilTheLaterIsOrdered", "docs/design/0014", node_by_node},
      {"AProgramCanGoBackUntilTheLaterVersionIsOrdered", "etcd #11716, kubernetes #59221",
       back_again},
      {"NoVersionIsOrderedThatAVotersProgramCannot", "docs/design/0014", waits_for_the_last},
      {"AnOlderProgramLeavesALaterLogAsItIs", "docs/design/0014", older_than_its_log},
      {"WhoMissedTheLaterVersionStopsAndGoesOnWithAnotherProgram", "docs/design/0014",
       missed_the_change},
      {"OneWhoSpeaksALaterVersionIsNotBelieved", "docs/design/0014", ahead_of_all},
  };
}

}  // namespace sim
