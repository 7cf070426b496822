// hypermesh-sim: lives of whole clusters, each from one seed, and searches through what few
// replicas can do. Whatever fails prints how to see it again.

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <chrono>

#include "sim/twins.hpp"
#include "sim/world.hpp"

namespace {

class Stopwatch {
 public:
  double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count();
  }

 private:
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

int run_seed(std::uint64_t seed) {
  const auto plan = sim::draw_plan(seed);
  fmt::print("seed {}: {}\n", seed, plan.describe());
  sim::World world(seed, plan, true);
  const auto failure = world.run();
  fmt::print("seed {}: {} after {} events, {}\n", seed, failure.empty() ? "good" : failure,
             world.steps(), base::to_hex(world.trace_digest()).substr(0, 16));
  return failure.empty() ? 0 : 1;
}

int run_seeds(std::uint64_t first, std::uint64_t count) {
  const Stopwatch watch;
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
  const double seconds = std::chrono::duration<double>(simulated).count(), real = watch.seconds();
  fmt::print("{} seeds, {} failed; {:.0f} simulated seconds in {:.1f}, {:.0f} to one; {} events\n",
             count, failed, seconds, real, seconds / real, steps);
  return failed == 0 ? 0 : 1;
}

int run_twins(unsigned rounds, std::uint64_t first, std::uint64_t count) {
  const sim::Twins twins(rounds);
  const Stopwatch watch;
  std::uint64_t run = 0, failed = 0, steps = 0, proven = 0, views = 0;
  for (std::uint64_t place = first; place < first + count && place < twins.total(); ++place) {
    const auto number = twins.number_at(place);
    if (twins.repeats_another(number)) continue;
    ++run;
    const auto outcome = twins.run(number);
    steps += outcome.steps;
    views += outcome.views;
    proven += outcome.proven ? 1 : 0;
    if (outcome.failure.empty()) continue;
    ++failed;
    fmt::print("twins {}: {}\n  {}\n  again: ./dev sim twins --rounds {} --only {}\n", number,
               outcome.failure, twins.describe(number), rounds, number);
  }
  fmt::print(
      "{} scenarios of {} rounds, {} failed; {:.0f} a second, {} steps, {} changes of views, "
      "evidence in {}; of {} numbers in all about half repeat another\n",
      run, rounds, failed, static_cast<double>(run) / watch.seconds(), steps, views, proven,
      twins.total());
  return failed == 0 ? 0 : 1;
}

int run_one_twins(unsigned rounds, std::uint64_t number) {
  const sim::Twins twins(rounds);
  fmt::print("twins {}: {}\n", number, twins.describe(number));
  const auto outcome = twins.run(number);
  const bool good = outcome.failure.empty();
  fmt::print("twins {}: {} after {} steps\n", number, good ? "good" : outcome.failure,
             outcome.steps);
  return good ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Simulated clusters, one for each seed, in virtual time");
  std::uint64_t first = 1, count = 100, seed = 0;
  app.add_option("--seeds", count, "How many seeds to run");
  app.add_option("--first", first, "The first of them");
  auto* const one = app.add_option("--seed", seed, "Run this one, with a trace of its events");

  auto* const twins = app.add_subcommand("twins", "One replica runs twice, in all divisions");
  unsigned rounds = 4;
  std::uint64_t twins_first = 0, twins_count = 5000, number = 0;
  twins->add_option("--rounds", rounds, "How often all are divided anew, 1 to 6");
  twins->add_option("--count", twins_count, "How many places of the order to go through");
  twins->add_option("--first", twins_first, "The first of them");
  auto* const only = twins->add_option("--only", number, "Run the scenario with this number");
  CLI11_PARSE(app, argc, argv);

  if (twins->parsed()) {
    return only->count() > 0 ? run_one_twins(rounds, number)
                             : run_twins(rounds, twins_first, twins_count);
  }
  return one->count() > 0 ? run_seed(seed) : run_seeds(first, count);
}
