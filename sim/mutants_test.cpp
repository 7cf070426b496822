// Every bug that can be switched on is found within a few hundred seeds; without one none fails.
// sim_mutants_test [NAME]

#include "consensus/mutants.hpp"

#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>

#include "sim/world.hpp"

using hypermesh::consensus::Mutant;

namespace {

constexpr std::uint64_t kFirstSeed = 1, kSeedsMax = 400;

// In a process of its own, since a bug may end it.
bool found() {
  std::fflush(stdout);
  const pid_t child = fork();
  if (child == 0) {
    for (std::uint64_t seed = kFirstSeed; seed < kFirstSeed + kSeedsMax; ++seed) {
      sim::World world(sim::draw_plan(seed));
      const auto failure = world.run();
      if (failure.empty()) continue;
      fmt::print("seed {}: {}\n", seed, failure);
      std::fflush(stdout);
      _exit(1);
    }
    _exit(0);
  }
  int status = 0;
  if (child < 0 || waitpid(child, &status, 0) != child) std::abort();
  return status != 0;
}

}  // namespace

int main(int argc, char** argv) {
  int alive = 0;
  for (int i = 1; i < static_cast<int>(Mutant::Count); ++i) {
    hypermesh::consensus::active_mutant = static_cast<Mutant>(i);
    const auto name = to_text(static_cast<Mutant>(i));
    if (argc > 1 && name != argv[1]) continue;
    fmt::print("{:28} ", name);
    if (found()) continue;
    fmt::print("NOT FOUND\n");
    ++alive;
  }
  return alive == 0 ? 0 : 1;
}
