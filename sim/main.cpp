// hypermesh-sim: lives of whole clusters, each from one seed. A seed that fails prints itself.

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <chrono>

#include "sim/world.hpp"

int main(int argc, char** argv) {
  CLI::App app("Simulated clusters, one for each seed, in virtual time");
  std::uint64_t first = 1, count = 100, seed = 0;
  app.add_option("--seeds", count, "How many seeds to run");
  app.add_option("--first", first, "The first of them");
  auto* const one = app.add_option("--seed", seed, "Run this one, with a trace of its events");
  CLI11_PARSE(app, argc, argv);

  if (one->count() > 0) {
    const auto plan = sim::draw_plan(seed);
    fmt::print("seed {}: {}\n", seed, plan.describe());
    sim::World world(seed, plan, true);
    const auto failure = world.run();
    fmt::print("seed {}: {} after {} events, {}\n", seed, failure.empty() ? "good" : failure,
               world.steps(), base::to_hex(world.trace_digest()).substr(0, 16));
    return failure.empty() ? 0 : 1;
  }
  const auto begin = std::chrono::steady_clock::now();
  base::Duration simulated{};
  std::uint64_t failed = 0, steps = 0;
  for (std::uint64_t at = first; at < first + count; ++at) {
    sim::World world(at, sim::draw_plan(at));
    const auto failure = world.run();
    simulated += world.elapsed();
    steps += world.steps();
    if (failure.empty()) continue;
    ++failed;
    fmt::print("seed {}: {}\n  {}\n  again: ./dev sim --seed {}\n", at, failure,
               sim::draw_plan(at).describe(), at);
  }
  const std::chrono::duration<double> real = std::chrono::steady_clock::now() - begin;
  const double seconds = std::chrono::duration<double>(simulated).count();
  fmt::print("{} seeds, {} failed; {:.0f} simulated seconds in {:.1f}, {:.0f} to one; {} events\n",
             count, failed, seconds, real.count(), seconds / real.count(), steps);
  return failed == 0 ? 0 : 1;
}
