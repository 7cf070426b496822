#include "sim/world.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "sim/node.hpp"

namespace sim {

using namespace std::chrono_literals;

namespace {

constexpr Duration kPatience = 90s;  // For what is left when all faults have ended.

}  // namespace

World::World(Plan plan, bool trace)
    : plan_(std::move(plan)), trace_(trace), keys_(plan_.seed, plan_.real_signatures) {
  cluster_ = base::sha256(fmt::format("cluster of seed {}", plan_.seed));
  genesis_.start_digest = cluster_;
  base::SeededRng clocks(mixed(plan_.seed, 2000));
  for (std::size_t i = 0; i < plan_.replicas; ++i) {
    const auto key = keys_.add(fmt::format("replica {}", i));
    genesis_.voters.keys.push_back(key);
    auto node = std::make_unique<Node>(i, keys_, key, plan_.seed);
    if (i < plan_.liars.size()) node->lie = plan_.liars[i];
    node->flushed_digest = genesis_.start_digest;
    if (plan_.skew_max > 0) {
      node->skew = static_cast<std::int64_t>(clocks.below(2 * plan_.skew_max)) -
                   static_cast<std::int64_t>(plan_.skew_max);
    }
    nodes_.push_back(std::move(node));
  }
  for (std::size_t i = 0; i < plan_.clients; ++i) {
    const auto key = keys_.add(fmt::format("client {}", i));
    clients_.push_back(std::make_unique<Client>(i, key, plan_.seed));
  }
  cuts_.assign(plan_.replicas, std::vector<unsigned>(plan_.replicas, 0));
}

World::~World() = default;

void World::fail(std::string what) {
  if (failure_.empty()) failure_ = fmt::format("{} ms: {}", elapsed().count() / 1'000'000, what);
}

// Only for a reader: what happened is in the mark.
void World::note(const std::string& what) {
  fmt::print("{:>12.3f} ms  {}\n", static_cast<double>(elapsed().count()) / 1e6, what);
}

std::uint64_t World::wall(const Node& node) const {
  constexpr std::int64_t kBegin = 1'700'000'000'000'000'000;
  return static_cast<std::uint64_t>(kBegin + elapsed().count() + node.skew * 1000);
}

std::string World::run() {
  schedule_faults();
  for (const auto& node : nodes_) start(*node);
  for (const auto& client : clients_) {
    make_bundle(*client);
    resubmit(*client);
  }
  const MonotonicTime end = MonotonicTime() + plan_.faults_until + kPatience;
  while (failure_.empty() && timeline_.step(end)) {
    if (healed_ && timeline_.steps() % 256 == 0 && all_answered()) break;
  }
  return failure_.empty() ? check_ends() : failure_;
}

std::string World::check_ends() {
  std::vector<Client::Finished> all;
  for (const auto& client : clients_) {
    client->settle(genesis_.voters.weak_quorum());
    if (!client->failure.empty()) return client->failure;
    if (!client->open.empty()) {
      return fmt::format("{} bundles of client {} are not ordered {} s after all faults ended",
                         client->open.size(), client->index, kPatience.count() / 1'000'000'000);
    }
    if (!client->known_to_all(nodes_)) {
      return fmt::format("not all honest replicas have executed what client {} sent",
                         client->index);
    }
    all.insert(all.end(), client->finished.begin(), client->finished.end());
  }
  // Whatever ended before another began is ordered before it.
  std::ranges::sort(all, {}, &Client::Finished::place);
  MonotonicTime begun{};
  for (const auto& each : all) {
    if (each.ended < begun) return "an operation is ordered behind one that began after it ended";
    begun = std::max(begun, each.begun);
  }
  return {};
}

}  // namespace sim
