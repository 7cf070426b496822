#include "sim/plan.hpp"

#include <algorithm>
#include <base/random.hpp>
#include <bit>
#include <iterator>

namespace sim {

namespace {

constexpr std::string_view kLies[] = {
    "silent",      "equivocate", "vote twice", "delay",       "garbage", "wrong root", "hide",
    "mute to one", "frame",      "forge",      "fork",        "past",    "waver",      "rebase",
    "inflate",     "replay",     "censor",     "false state", "ahead"};
constexpr unsigned kSendsMax = 3000;  // Among which a crash is drawn, of one node.

struct Drawer {
  base::SeededRng rng;
  Plan plan;

  bool maybe(unsigned percent) { return rng.below(100) < percent; }
  unsigned between(std::uint64_t low, std::uint64_t high) {
    return static_cast<unsigned>(low + rng.below(high - low));
  }
  Duration micros(std::uint64_t low, std::uint64_t high) {
    return std::chrono::microseconds(low + rng.below(high - low));
  }
  Duration when() {
    return micros(0, static_cast<std::uint64_t>(plan.faults_until.count() / 1000));
  }
  Nodes all() const { return (Nodes{1} << plan.replicas) - 1; }

  // From the beginning to the end, or now and then.
  void weather(FaultKind kind, unsigned percent, std::uint64_t amount_max) {
    if (!maybe(percent)) return;
    if (maybe(50)) {
      plan.faults.push_back(
          {kind, Duration(0), plan.faults_until, all(), 1 + rng.below(amount_max)});
      return;
    }
    for (std::uint64_t left = 1 + rng.below(6); left > 0; --left) {
      const Nodes some = maybe(50) ? all() : 1 + rng.below(all());
      plan.faults.push_back(
          {kind, when(), micros(10'000, 5'000'000), some, 1 + rng.below(2 * amount_max)});
    }
  }

  void crashes() {
    if (maybe(50)) {
      for (std::uint64_t left = 1 + rng.below(8); left > 0; --left) {
        plan.faults.push_back({FaultKind::Crash, when(), micros(1000, 4'000'000),
                               Nodes{1} << rng.below(plan.replicas), 0});
      }
    }
    // All at once. Liars stay up: they remember what the others forget.
    if (maybe(20)) {
      for (std::uint64_t left = 1 + rng.below(12); left > 0; --left) {
        const Duration at = when();
        const std::uint64_t down_max = maybe(50) ? 50'000 : 2'000'000;
        for (std::size_t i = plan.liars.size(); i < plan.replicas; ++i) {
          plan.faults.push_back(
              {FaultKind::Crash, at, micros(1000, 1000 + down_max), Nodes{1} << i, 0});
        }
      }
    }
    if (maybe(50)) {
      const std::uint64_t crashes_max = 1 + rng.below(8);
      for (std::size_t i = 0; i < plan.replicas; ++i) {
        for (std::uint64_t left = rng.below(crashes_max + 1); left > 0; --left) {
          plan.faults.push_back({FaultKind::CrashAtSend, Duration(0), micros(1000, 900'000),
                                 Nodes{1} << i, 1 + rng.below(kSendsMax)});
        }
      }
    }
  }

  Plan draw() {
    const std::size_t sizes[] = {4, 4, 4, 4, 5, 6, 7, 10};
    plan.replicas = sizes[rng.below(std::size(sizes))];
    plan.faults_until = std::chrono::milliseconds(between(2'000, 22'000));
    if (maybe(30)) plan.delay_max = between(2000, 62'000);
    if (maybe(30)) plan.sync_max = between(2000, 102'000);
    if (maybe(30)) plan.skew_max = between(1, 900'000);
    const std::size_t liars = maybe(60) ? 1 + rng.below((plan.replicas - 1) / 3) : 0;
    for (std::size_t i = 0; i < liars; ++i)
      plan.liars.emplace_back(kLies[rng.below(std::size(kLies))]);
    weather(FaultKind::Loss, 40, 200);
    weather(FaultKind::Duplication, 30, 200);
    weather(FaultKind::SlowLinks, 20, 50);
    weather(FaultKind::SlowDisk, 20, 20);
    crashes();
    if (maybe(40)) {
      for (std::uint64_t left = 1 + rng.below(6); left > 0; --left) {
        plan.faults.push_back({maybe(33) ? FaultKind::CutOneWay : FaultKind::Cut, when(),
                               micros(10'000, 6'000'000), 1 + rng.below(all() - 1), 0});
      }
    }
    if (maybe(15)) {
      for (std::uint64_t left = 1 + rng.below(3); left > 0; --left) {
        plan.faults.push_back({FaultKind::DiskFull, when(), micros(10'000, 4'000'000),
                               Nodes{1} << rng.below(plan.replicas), rng.below(100'000)});
      }
    }
    // Nodes that vote no more are among the f that may fail.
    for (std::size_t left = (plan.replicas - 1) / 3 - liars; left > 0 && maybe(25); --left) {
      plan.faults.push_back({maybe(70) ? FaultKind::BitRot : FaultKind::Lost, when(),
                             micros(1000, 3'000'000), Nodes{1} << (plan.replicas - left),
                             rng.below(1'000'000)});
    }
    plan.real_signatures = maybe(1);
    std::ranges::stable_sort(plan.faults, {}, &Fault::at);
    plan.clients = between(1, 5);
    plan.pause_max = maybe(20) ? between(5'000, 25'000) : between(20'000, 620'000);
    plan.checkpoint_interval = between(5, 65);
    return std::move(plan);
  }
};

}  // namespace

Nodes spoilt(const Plan& plan) {
  Nodes nodes = 0;
  for (std::size_t i = 0; i < plan.liars.size(); ++i) {
    if (!plan.liars[i].empty()) nodes |= Nodes{1} << i;
  }
  for (const Fault& fault : plan.faults) {
    if (fault.kind == FaultKind::BitRot || fault.kind == FaultKind::Lost ||
        fault.kind == FaultKind::DiskLost || fault.kind == FaultKind::StateLost)
      nodes |= fault.nodes;
  }
  return nodes;
}

// Each seed has its own mix, so that rare faults meet each other (swarm testing, Groce et al.
// 2012).
Plan draw_plan(std::uint64_t seed) {
  Drawer drawer{base::SeededRng(seed ^ 0x9c0ffee), {}};
  drawer.plan.seed = seed;
  return drawer.draw();
}

Plan draw_life(std::uint64_t seed) {
  Plan plan = draw_plan(seed);
  base::SeededRng rng(seed ^ 0x11fe);
  plan.isolates = rng.below(4) == 0;
  if (rng.below(4) == 0) draw_changes(plan);
  if (rng.below(4) == 0) draw_versions(plan);
  if (rng.below(8) == 0) draw_lost_states(plan);
  return plan;
}

void draw_versions(Plan& plan) {
  Drawer drawer{base::SeededRng(plan.seed ^ 0x5e7510), std::move(plan)};
  auto& faults = drawer.plan.faults;
  const auto newcomers = std::ranges::count(faults, FaultKind::Join, &Fault::kind);
  const std::size_t nodes = drawer.plan.replicas + static_cast<std::size_t>(newcomers);
  const auto install = [&](std::size_t node, Duration at, std::uint64_t version) {
    faults.push_back(
        {FaultKind::Program, at, drawer.micros(1000, 2'000'000), Nodes{1} << node, version});
  };
  const unsigned upgraded = drawer.maybe(60) ? 100 : 60;
  for (std::size_t node = 0; node < nodes; ++node) {
    if (drawer.maybe(upgraded))
      install(node, drawer.maybe(20) ? Duration(0) : drawer.when() / 3, 2);
  }
  // Back before or after that, and perhaps on again.
  if (drawer.maybe(60)) {
    for (std::uint64_t left = 1 + drawer.rng.below(4); left > 0; --left) {
      const Duration at =
          drawer.maybe(50) ? drawer.when() : drawer.plan.faults_until - drawer.when() / 3;
      install(drawer.rng.below(nodes), at, drawer.maybe(70) ? 1 : 2);
    }
  }
  if (drawer.maybe(70))
    faults.push_back({FaultKind::Version, drawer.when() / 2, Duration(0), 0, 0});
  std::ranges::stable_sort(faults, {}, &Fault::at);
  plan = std::move(drawer.plan);
}

void draw_changes(Plan& plan) {
  Drawer drawer{base::SeededRng(plan.seed ^ 0xc4a9e), std::move(plan)};
  auto& faults = drawer.plan.faults;
  const std::size_t liars = drawer.plan.liars.size(), replicas = drawer.plan.replicas;
  Nodes spoilt = sim::spoilt(drawer.plan);
  // A node without its promises votes no more: it is among the f that may fail.
  const auto failing = static_cast<std::size_t>(std::popcount(spoilt));
  if (failing < (replicas - 1) / 3 && drawer.maybe(60)) {
    std::size_t victim = liars;
    while ((spoilt >> victim & 1) != 0) ++victim;
    faults.push_back({FaultKind::DiskLost, drawer.when(), drawer.micros(1000, 2'000'000),
                      Nodes{1} << victim, 0});
    spoilt |= Nodes{1} << victim;
  }
  std::size_t nodes = replicas;
  const auto any_of = [&](Nodes some) {
    std::size_t node = drawer.rng.below(nodes);
    while ((some >> node & 1) == 0) node = (node + 1) % nodes;
    return Nodes{1} << node;
  };
  for (std::uint64_t left = 1 + drawer.rng.below(4); left > 0; --left) {
    Fault join{FaultKind::Join, drawer.when(), Duration(0), 0, drawer.maybe(50) ? 1u : 0u};
    if (drawer.maybe(70)) {
      const Nodes all = (Nodes{1} << nodes) - 1;
      join.nodes = any_of(spoilt != 0 && drawer.maybe(60) ? spoilt : all);
    }
    faults.push_back(join);
    if (drawer.maybe(40)) {
      faults.push_back(
          {FaultKind::Crash, drawer.when(), drawer.micros(1000, 4'000'000), Nodes{1} << nodes, 0});
    }
    ++nodes;
  }
  if (drawer.maybe(30)) {
    faults.push_back({FaultKind::Leave, drawer.when(), Duration(0), any_of((Nodes{1} << nodes) - 1),
                      drawer.maybe(50) ? 1u : 0u});
  }
  if (drawer.maybe(50)) {
    for (std::uint64_t left = 1 + drawer.rng.below(4); left > 0; --left) {
      faults.push_back({FaultKind::Unsafe, drawer.when(), Duration(0), 0, drawer.rng.below(1000)});
    }
  }
  // Long enough that it misses more than one epoch.
  if (drawer.maybe(40)) {
    faults.push_back({FaultKind::Crash, drawer.when(), drawer.micros(3'000'000, 15'000'000),
                      Nodes{1} << drawer.rng.below(nodes), 0});
  }
  std::ranges::stable_sort(faults, {}, &Fault::at);
  plan = std::move(drawer.plan);
}

void draw_lost_states(Plan& plan) {
  Drawer drawer{base::SeededRng(plan.seed ^ 0x105757a7e), std::move(plan)};
  auto& faults = drawer.plan.faults;
  // What is certified then is kept by one honest replica more, at least.
  const Nodes spoilt = sim::spoilt(drawer.plan);
  if (static_cast<std::size_t>(std::popcount(spoilt)) < (drawer.plan.replicas - 1) / 3) {
    std::size_t victim = drawer.plan.replicas - 1;
    while ((spoilt >> victim & 1) != 0) --victim;
    for (std::uint64_t left = 1 + drawer.rng.below(3); left > 0; --left) {
      faults.push_back({FaultKind::StateLost, drawer.when(), drawer.micros(1000, 2'000'000),
                        Nodes{1} << victim, drawer.rng.below(2)});
    }
  }
  std::ranges::stable_sort(faults, {}, &Fault::at);
  plan = std::move(drawer.plan);
}

std::vector<std::string_view> all_lies() {
  return {std::begin(kLies), std::end(kLies)};
}

}  // namespace sim
