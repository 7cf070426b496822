// hypermesh-sim: lives of whole clusters, each from one seed, and searches through what few
// replicas can do. Whatever fails prints how to see it again.

#include <fmt/format.h>
#include <malloc.h>
#include <poll.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <fstream>
#include <sstream>
#include <thread>

#include "sim/explore.hpp"
#include "sim/minimise.hpp"
#include "sim/run_apart.hpp"
#include "sim/twins.hpp"

namespace {

class Stopwatch {
 public:
  double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count();
  }

 private:
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

using sim::Ended;
using sim::Plan;

int show(const Plan& plan) {
  fmt::print("{}", to_text(plan));
  const Ended ended = sim::run_plan(plan, true);
  fmt::print("seed {}: {} after {} events, {:016x}\n", plan.seed,
             ended.failure.empty() ? "good" : ended.failure, ended.steps, ended.mark);
  return ended.failure.empty() ? 0 : 1;
}

int show_file(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  const auto plan = sim::parse_plan(text.str());
  if (file && plan) return show(*plan);
  fmt::print(stderr, "{}: {}\n", path, file ? plan.error().describe() : "cannot be read");
  return 2;
}

struct Wanted {
  bool isolates = false, changes = false, versions = false;
};

// What the seed draws, and what is wanted of every life.
Plan draw(std::uint64_t seed, Wanted wanted) {
  if (!wanted.isolates && !wanted.changes && !wanted.versions) return sim::draw_life(seed);
  Plan plan = sim::draw_plan(seed);
  plan.isolates = wanted.isolates;
  if (wanted.changes) draw_changes(plan);
  if (wanted.versions) draw_versions(plan);
  return plan;
}

int minimise(std::uint64_t seed, Wanted wanted) {
  const Plan plan = draw(seed, wanted);
  const Ended ended = sim::run_apart(plan);
  if (ended.failure.empty()) {
    fmt::print("seed {} is good: there is nothing to look for\n", seed);
    return 2;
  }
  const auto minimal = sim::minimise(plan, ended.failure,
                                     [](const Plan& each) { return sim::run_apart(each).failure; });
  fmt::print("# {}\n# after {} trials; again: hypermesh-sim --plan FILE\n{}", minimal.failure,
             minimal.trials, to_text(minimal.plan));
  return 1;
}

struct Request {
  std::uint64_t first = 1, count = 100;
  unsigned jobs = 1;
  bool twice = false;
};

struct Totals {
  std::uint64_t failed = 0, steps = 0;
  base::Duration simulated{};

  void add(std::uint64_t seed, Wanted wanted, const Ended& ended) {
    simulated += ended.elapsed;
    steps += ended.steps;
    if (ended.failure.empty()) return;
    ++failed;
    const auto flags =
        fmt::format("{}{}{}", wanted.isolates ? " --isolate" : "",
                    wanted.changes ? " --changes" : "", wanted.versions ? " --versions" : "");
    fmt::print(
        "seed {}: {}\n  again: ./dev sim{} --seed {}\n  less of it: ./dev sim{} --minimise {}\n",
        seed, ended.failure, flags, seed, flags, seed);
    std::fflush(stdout);
  }
};

// As many at once as there are jobs, each in a process of its own.
int run_seeds(const Request& request, Wanted wanted) {
  const Stopwatch watch;
  Totals totals;
  const std::uint64_t end = request.first + request.count;
  fmt::print("seeds {} to {}, {} at once\n", request.first, end - 1, request.jobs);
  std::fflush(stdout);
  std::vector<std::pair<std::uint64_t, sim::Apart>> running;
  for (std::uint64_t next = request.first; next < end || !running.empty();) {
    while (next < end && running.size() < request.jobs) {
      running.emplace_back(next, sim::Apart(draw(next, wanted), request.twice));
      ++next;
    }
    std::vector<pollfd> ends;
    for (const auto& [seed, life] : running) ends.push_back({life.end(), POLLIN, 0});
    (void)poll(ends.data(), ends.size(), -1);
    std::vector<std::pair<std::uint64_t, sim::Apart>> others;
    for (std::size_t i = 0; i < running.size(); ++i) {
      if (ends[i].revents == 0) {
        others.push_back(std::move(running[i]));
      } else {
        totals.add(running[i].first, wanted, running[i].second.wait());
      }
    }
    running.swap(others);
  }
  const double seconds = std::chrono::duration<double>(totals.simulated).count();
  const double real = watch.seconds();
  fmt::print(
      "{} seeds, {} failed; {:.0f} simulated seconds in {:.1f}, {:.0f} to one with {} at once; {} "
      "events\n",
      request.count, totals.failed, seconds, real, seconds / real, request.jobs, totals.steps);
  return totals.failed == 0 ? 0 : 1;
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

int run_exploration(const std::vector<sim::Bounds>& all) {
  bool good = true;
  for (const auto& bounds : all) {
    const Stopwatch watch;
    const auto found = sim::explore(bounds);
    fmt::print(
        "replica {} lies, {} slots, {} crashes{}: {}; {} states by {} moves in {:.1f} s, {} "
        "states of single replicas, {} soups\n",
        bounds.liar, bounds.slots, bounds.crashes, bounds.fast ? ", fast" : "",
        !found.failure.empty() ? found.failure
        : found.complete       ? "all states are good"
                               : "NOT ALL STATES WERE SEEN, the seen ones are good",
        found.states, found.moves, watch.seconds(), found.replica_states, found.soups);
    for (const auto& step : found.path) fmt::print("  {}\n", step);
    good = good && found.failure.empty() && found.complete;
  }
  return good ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  // What one life lets go of, the next events take again.
  mallopt(M_TRIM_THRESHOLD, 1 << 30);
  mallopt(M_MMAP_THRESHOLD, 1 << 30);
  mallopt(M_TOP_PAD, 16 << 20);
  CLI::App app("Simulated clusters, one for each seed, in virtual time");
  Request request;
  request.jobs = std::max(1U, std::thread::hardware_concurrency());
  app.add_option("--seeds", request.count, "How many seeds to run");
  app.add_option("--first", request.first, "The first of them");
  app.add_option("--jobs", request.jobs, "How many at once; one for each core if not said")
      ->check(CLI::Range(1, 1024));
  app.add_flag("--twice", request.twice, "Run each again, and compare what happened");
  std::uint64_t seed = 0;
  std::string file;
  Wanted wanted;
  app.add_flag("--isolate", wanted.isolates, "In all, liars that are proven are isolated");
  app.add_flag("--changes", wanted.changes, "In all, nodes join and leave and are replaced");
  app.add_flag("--versions", wanted.versions, "In all, programs of two versions run");
  auto* const less = app.add_option("--minimise", seed, "Leave out what its failure does not need");
  auto* const given = app.add_option("--plan", file, "Run what a file says, with a trace");
  auto* const one = app.add_option("--seed", seed, "Run this one, with a trace of its events");

  auto* const twins = app.add_subcommand("twins", "One replica runs twice, in all divisions");
  unsigned rounds = 4;
  std::uint64_t twins_first = 0, twins_count = 5000, number = 0;
  twins->add_option("--rounds", rounds, "How often all are divided anew, 1 to 6");
  twins->add_option("--count", twins_count, "How many places of the order to go through");
  twins->add_option("--first", twins_first, "The first of them");
  auto* const only = twins->add_option("--only", number, "Run the scenario with this number");

  auto* const explore = app.add_subcommand("explore", "All that can happen to four replicas");
  std::vector<hypermesh::consensus::ReplicaId> liars{0, 1, 2};
  sim::Bounds bounds;
  explore->add_option("--liar", liars, "Who lies: 0 and 1 are the primaries of the two views");
  explore->add_option("--slots", bounds.slots, "1 or 2")->check(CLI::Range(1, 2));
  explore->add_option("--crashes", bounds.crashes, "How many there may be")
      ->check(CLI::Range(0, 3));
  explore->add_flag("--fast", bounds.fast, "Primaries can commit what all voters hold");
  explore->add_option("--states-max", bounds.states_max, "Give up when there are more");
  CLI11_PARSE(app, argc, argv);

  if (twins->parsed()) {
    return only->count() > 0 ? run_one_twins(rounds, number)
                             : run_twins(rounds, twins_first, twins_count);
  }
  if (explore->parsed()) {
    std::vector<sim::Bounds> all;
    for (const auto liar : liars) {
      all.push_back(bounds);
      all.back().liar = liar;
    }
    return run_exploration(all);
  }
  if (less->count() > 0) return minimise(seed, wanted);
  if (given->count() > 0) return show_file(file);
  return one->count() > 0 ? show(draw(seed, wanted)) : run_seeds(request, wanted);
}
