#include <fmt/format.h>
#include <fmt/ranges.h>

#include "sim/world.hpp"

namespace sim {

namespace {

constexpr const char* kLies[] = {"silent",     "equivocate", "vote twice",  "delay",  "garbage",
                                 "wrong root", "hide",       "mute to one", "frame",  "forge",
                                 "fork",       "past",       "waver",       "rebase", "inflate"};

}  // namespace

// Each seed has its own mix, so that rare faults meet each other (swarm testing, Groce et al.
// 2012).
Plan draw_plan(std::uint64_t seed) {
  base::SeededRng rng(seed ^ 0x9c0ffee);
  const auto maybe = [&](unsigned percent) { return rng.below(100) < percent; };
  Plan plan;
  const std::size_t sizes[] = {4, 4, 4, 4, 5, 6, 7, 10};
  plan.replicas = sizes[rng.below(std::size(sizes))];
  if (maybe(40)) plan.loss = static_cast<unsigned>(1 + rng.below(200));
  if (maybe(30)) plan.duplication = static_cast<unsigned>(1 + rng.below(200));
  if (maybe(30)) plan.delay_max = static_cast<unsigned>(2000 + rng.below(60'000));
  if (maybe(20)) plan.slow_share = static_cast<unsigned>(1 + rng.below(50));
  if (maybe(30)) plan.sync_max = static_cast<unsigned>(2000 + rng.below(100'000));
  if (maybe(20)) plan.slow_sync_share = static_cast<unsigned>(1 + rng.below(20));
  if (maybe(50)) plan.crashes = static_cast<unsigned>(1 + rng.below(8));
  if (maybe(20)) plan.blackouts = static_cast<unsigned>(1 + rng.below(12));
  if (maybe(50)) plan.crash_after_send = static_cast<unsigned>(1 + rng.below(300));
  if (maybe(40)) plan.partitions = static_cast<unsigned>(1 + rng.below(6));
  if (maybe(30)) plan.skew_max = static_cast<unsigned>(1 + rng.below(900'000));
  const std::size_t liars = maybe(60) ? 1 + rng.below((plan.replicas - 1) / 3) : 0;
  for (std::size_t i = 0; i < liars; ++i)
    plan.liars.emplace_back(kLies[rng.below(std::size(kLies))]);
  plan.clients = static_cast<unsigned>(1 + rng.below(4));
  plan.pause_max =
      static_cast<unsigned>(maybe(20) ? 5'000 + rng.below(20'000) : 20'000 + rng.below(600'000));
  plan.faults_until = std::chrono::milliseconds(2'000 + rng.below(20'000));
  plan.checkpoint_interval = 5 + rng.below(60);
  return plan;
}

std::string Plan::describe() const {
  return fmt::format(
      "{} replicas, loss {}/1000, duplication {}/1000, delay {} to {} us, slow {}/1000, sync {} to "
      "{} us, slow {}/1000, {} crashes, {} partitions, {} blackouts, "
      "{}/100000 sends before a crash, clocks within {} us, liars [{}], {} clients "
      "with pauses up to {} us, checkpoints every {}, faults for {} ms",
      replicas, loss, duplication, delay_min, delay_max, slow_share, sync_min, sync_max,
      slow_sync_share, crashes, partitions, blackouts, crash_after_send, skew_max,
      fmt::join(liars, ", "), clients, pause_max, checkpoint_interval,
      faults_until.count() / 1'000'000);
}

}  // namespace sim
