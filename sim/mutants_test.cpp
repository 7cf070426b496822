// Every bug that can be switched on is found within a few hundred seeds; without one none fails.
// sim_mutants_test [NAME]

#include "consensus/mutants.hpp"

#include <fmt/format.h>

#include <cstring>

#include "sim/world.hpp"

using hypermesh::consensus::Mutant;

namespace {

constexpr std::uint64_t kFirstSeed = 1, kSeedsMax = 400;

// The seed that fails, and why; 0: none.
std::pair<std::uint64_t, std::string> hunt() {
  for (std::uint64_t seed = kFirstSeed; seed < kFirstSeed + kSeedsMax; ++seed) {
    sim::World world(seed, sim::draw_plan(seed));
    if (auto failure = world.run(); !failure.empty()) return {seed, std::move(failure)};
  }
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  int alive = 0;
  for (int i = 1; i < static_cast<int>(Mutant::Count); ++i) {
    hypermesh::consensus::active_mutant = static_cast<Mutant>(i);
    const auto name = to_text(static_cast<Mutant>(i));
    if (argc > 1 && name != argv[1]) continue;
    const auto [seed, failure] = hunt();
    alive += seed == 0 ? 1 : 0;
    fmt::print("{:28} {}\n", name,
               seed == 0 ? "NOT FOUND" : fmt::format("seed {}: {}", seed, failure));
    std::fflush(stdout);
  }
  return alive == 0 ? 0 : 1;
}
