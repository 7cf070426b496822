#include "sim/world.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "sim/client.hpp"
#include "sim/node.hpp"
#include "sim/operator.hpp"

namespace sim {

using namespace hypermesh::consensus;
using namespace std::chrono_literals;

namespace {

constexpr Duration kPatience = 90s;  // For what is left when all faults have ended.

}  // namespace

World::World(Plan plan, bool trace)
    : plan_(std::move(plan)), trace_(trace), keys_(plan_.seed, plan_.real_signatures) {
  genesis_.name = fmt::format("seed {}", plan_.seed);
  genesis_.checkpoint_interval = plan_.checkpoint_interval;
  base::SeededRng clocks(mixed(plan_.seed, 2000));
  std::size_t nodes = plan_.replicas;
  for (const Fault& fault : plan_.faults) {
    if (fault.kind == FaultKind::Join) newcomers_.emplace(&fault, nodes++);
  }
  spoilt_ = spoilt(plan_);
  for (std::size_t i = 0; i < std::min(nodes, kNodesMax); ++i) {
    const auto key = keys_.add(fmt::format("replica {}", i));
    if (i < plan_.replicas) {
      genesis_.voters.push_back(key);
      genesis_.members.push_back({key, Role::Node, "[::1]:1"});
    }
    auto node = std::make_unique<Node>(i, keys_, key, plan_.seed);
    node->absent = i >= plan_.replicas;
    if (i < plan_.liars.size()) node->lie = plan_.liars[i];
    if (plan_.skew_max > 0) {
      node->skew = static_cast<std::int64_t>(clocks.below(2 * plan_.skew_max)) -
                   static_cast<std::int64_t>(plan_.skew_max);
    }
    node_of_.emplace(key, i);
    nodes_.push_back(std::move(node));
  }
  // The last but one only tells of lies that were proven, the last is the operator.
  for (std::size_t i = 0; i <= plan_.clients + 1; ++i) {
    const auto key = keys_.add(fmt::format("client {}", i));
    const auto role = i <= plan_.clients ? Role::Client : Role::Operator;
    genesis_.members.push_back({key, role, ""});
    clients_.push_back(std::make_unique<Client>(i, key, plan_.seed));
  }
  cluster_ = cluster_of(genesis_);
  const auto first = first_configuration(genesis_).voters;
  epochs_.emplace(first.epoch, first);
  cuts_.assign(kNodesMax, std::vector<unsigned>(kNodesMax, 0));
}

World::~World() = default;

bool World::has_fault(FaultKind kind) const {
  return std::ranges::find(plan_.faults, kind, &Fault::kind) != plan_.faults.end();
}

void World::fail(std::string what) {
  if (failure_.empty()) failure_ = fmt::format("{} ms: {}", elapsed().count() / 1'000'000, what);
}

// Only for a reader: what happened is in the mark.
void World::note(const std::string& what) {
  fmt::print("{:>12.3f} ms  {}\n", static_cast<double>(elapsed().count()) / 1e6, what);
}

std::uint64_t World::wall(std::int64_t skew) const {
  constexpr std::int64_t kBegin = 1'700'000'000'000'000'000;
  return static_cast<std::uint64_t>(kBegin + elapsed().count() + skew * 1000);
}

std::string World::run() {
  schedule_faults();
  for (const auto& node : nodes_) begin_log(*node);
  for (const auto& node : nodes_) start(*node);
  for (const auto& client : clients_) {
    if (client->index < plan_.clients) act(*client);
    resubmit(*client);
  }
  if (has_fault(FaultKind::Program) || has_fault(FaultKind::Version)) ask_unknown();
  const MonotonicTime end = MonotonicTime() + plan_.faults_until + kPatience;
  while (failure_.empty() && timeline_.step(end)) {
    if (healed_ && timeline_.steps() % 256 == 0 && quiet()) break;
  }
  return failure_.empty() ? check_ends() : failure_;
}

// Everything is answered, executed by all, and the newest checkpoint is signed.
bool World::quiet() {
  const Slot last = done_.empty() ? 0 : done_.rbegin()->first;
  const bool settled = std::ranges::all_of(nodes_, [&](const auto& node) {
    if (!node->honest() || node->gone || node->absent) return true;
    if (!node->replica || node->applied() < last) return false;
    return node->replica->stable() + plan_.checkpoint_interval > last;
  });
  return settled && goals_.empty() &&
         std::ranges::all_of(clients_, [](const auto& c) { return c->open.empty(); });
}

std::string World::check_ends() {
  for (const auto& client : clients_) {
    if (client->open.empty()) continue;
    return fmt::format("{} bundles of client {} are not answered {} s after all faults ended",
                       client->open.size(), client->index, kPatience.count() / 1'000'000'000);
  }
  if (!goals_.empty()) {
    return fmt::format("the operator still wants to {} {} s after all faults ended",
                       to_text(goals_.front()->fault.kind), kPatience.count() / 1'000'000'000);
  }
  if (!quiet()) {
    const Slot last = done_.empty() ? 0 : done_.rbegin()->first;
    for (const auto& node : nodes_) {
      if (!node->honest() || node->gone || node->absent) continue;
      if (!node->replica) return fmt::format("{} did not come back", node->index);
      if (node->applied() < last)
        return fmt::format("{} stays behind at slot {} of {}", node->index, node->applied(), last);
      if (node->replica->stable() + plan_.checkpoint_interval <= last)
        return fmt::format("{} has no checkpoint after slot {}; {} are executed", node->index,
                           node->replica->stable(), last);
    }
  }
  for (const auto& node : nodes_) {
    if (!node->honest() || node->gone || node->absent) continue;
    auto wrong = check_proofs(*node);
    if (!wrong.empty()) return wrong;
  }
  auto wrong = check_replay();
  return wrong.empty() ? check_clients() : wrong;
}

}  // namespace sim
