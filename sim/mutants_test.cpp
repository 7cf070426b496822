// Every bug that can be switched on is found by some part of the tests; without one nothing fails.
// Each is looked for where it would be found soonest, then, within bounds, everywhere.
//
// sim_mutants_test [NAME]

#include "consensus/mutants.hpp"

#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <map>
#include <vector>

#include "sim/explore.hpp"
#include "sim/run_apart.hpp"
#include "sim/scenarios.hpp"
#include "sim/twins.hpp"

using hypermesh::consensus::Mutant;

namespace {

constexpr std::size_t kChildrenMax = 2;
constexpr int kUnexpected = 3;
constexpr unsigned kSecondsMax = 120;  // Of one search.
static_assert(static_cast<int>(Mutant::Count) > 20);

std::string in_seeds(std::uint64_t first, std::uint64_t count) {
  for (std::uint64_t seed = first; seed < first + count; ++seed) {
    const auto failure = sim::run_plan(sim::draw_plan(seed)).failure;
    if (!failure.empty()) return fmt::format("seed {}: {}", seed, failure);
  }
  return {};
}

std::string in_twins(std::uint64_t first, std::uint64_t count) {
  const sim::Twins twins(4);
  for (std::uint64_t place = first; place < first + count; ++place) {
    const auto number = twins.number_at(place);
    if (twins.repeats_another(number)) continue;
    const auto failure = twins.run(number).failure;
    if (!failure.empty()) return fmt::format("twins {}: {}", number, failure);
  }
  return {};
}

std::string in_exploration(hypermesh::consensus::ReplicaId liar, unsigned crashes,
                           std::uint64_t states_max) {
  const auto found = sim::explore({liar, 1, crashes, states_max});
  if (found.failure.empty()) return {};
  return fmt::format("explored with liar {} and {} crashes: {}", liar, crashes, found.failure);
}

std::string in_scenarios() {
  for (const auto& all :
       {sim::view_scenarios(), sim::restart_scenarios(), sim::checkpoint_scenarios(),
        sim::epoch_scenarios(), sim::fast_path_scenarios(), sim::version_scenarios()}) {
    for (const auto& scenario : all) {
      const auto failure = scenario.run();
      if (!failure.empty()) return fmt::format("{}: {}", scenario.name, failure);
    }
  }
  return {};
}

// What is in the state machine and not in the engine.
bool needs_clusters(Mutant mutant) {
  return mutant == Mutant::WindowsOutsideState || mutant == Mutant::ExecutedTwice;
}

std::string search(Mutant mutant) {
  const bool none = mutant == Mutant::None;
  const std::uint64_t states = none ? 50'000 : 200'000, places = none ? 2'000 : 20'000,
                      seeds = none ? 5 : 1000;
  if (needs_clusters(mutant)) return in_seeds(1, seeds);
  if (auto failure = in_scenarios(); !failure.empty()) return failure;
  for (const unsigned crashes : {0U, 1U}) {
    for (const hypermesh::consensus::ReplicaId liar : {2, 1, 0}) {
      if (auto failure = in_exploration(liar, crashes, states); !failure.empty()) return failure;
    }
  }
  if (auto failure = in_twins(0, places); !failure.empty()) return failure;
  return in_seeds(1, seeds);
}

// In a process of its own, since a bug may end it, or keep it for ever: that is not found.
pid_t begin(Mutant mutant) {
  std::fflush(stdout);
  const pid_t parent = getpid(), child = fork();
  if (child < 0) std::abort();
  if (child > 0) return child;
  sim::end_with(parent);
  alarm(kSecondsMax);
  hypermesh::consensus::active_mutant = mutant;
  const auto failure = search(mutant);
  if (!failure.empty()) fmt::print("{:28} {}\n", to_text(mutant), failure);
  std::fflush(stdout);
  const bool expected = failure.empty() == (mutant == Mutant::None);
  _exit(expected ? 0 : kUnexpected);
}

}  // namespace

int main(int argc, char** argv) {
  std::map<pid_t, Mutant> running;
  int wrong = 0;
  const auto wait_for_one = [&] {
    int status = 0;
    const pid_t child = wait(&status);
    const auto ended = running.extract(child);
    if (ended.empty()) std::abort();
    const bool bug = ended.mapped() != Mutant::None;
    const bool too_long = WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM;
    if (WIFSIGNALED(status) && bug && !too_long) {
      fmt::print("{:28} ends the program\n", to_text(ended.mapped()));
    } else if (status != 0) {
      fmt::print("{:28} {}{}\n", to_text(ended.mapped()), bug ? "NOT FOUND" : "FAILS",
                 too_long ? fmt::format(" in {} s", kSecondsMax) : "");
      ++wrong;
    }
  };
  // None first: what finds bugs where none is finds nothing.
  for (int i = 0; i < static_cast<int>(Mutant::Count); ++i) {
    const auto mutant = static_cast<Mutant>(i);
    if (argc > 1 && to_text(mutant) != argv[1]) continue;
    if (running.size() == kChildrenMax) wait_for_one();
    running.emplace(begin(mutant), mutant);
  }
  while (!running.empty()) wait_for_one();
  return wrong == 0 ? 0 : 1;
}
