#include <fmt/format.h>

#include "sim/client.hpp"
#include "sim/node.hpp"

// A node executes blocks.

namespace sim {

using namespace hypermesh::consensus;

void World::apply(Node& node, const pbft::Apply& apply) {
  if (node.fetching || node.stateless) return node.waiting.push_back(apply);
  const Link& link = *apply.link;
  const Slot slot = link.block.slot;
  if (node.flush_due) flush_state(node);
  if (!node.replica) return;
  if (slot != node.applied() + 1)
    return fail(fmt::format("{} executes slot {} after {}", node.index, slot, node.applied()));
  if (link.block.time < node.block_time)
    return fail(fmt::format("time goes back in slot {}", slot));
  node.block_time = link.block.time;
  mark_ = mixed(mixed(mark_, slot), node.index);
  node.executor->machine().keep_from(node.certified);
  const auto executed = node.executor->apply(link);
  if (!executed) return broken(node, executed.error());
  on_executed(node, apply.link, *executed);
  if (executed->root.has_value() != apply.checkpoint)
    return fail(fmt::format("slot {} is a checkpoint for the state or the engine alone", slot));
  if (executed->configuration) update_members(node);
  if (!has_certified_state(node)) {
    return fail(
        fmt::format("{} lets the certified state of slot {} go", node.index, node.certified));
  }
  if (executed->root) {
    node.flush_due = true;
    timeline_.after(micros(node.work.below(3000)), [this, &node, execution = node.execution] {
      if (node.execution == execution && node.flush_due) flush_state(node);
    });
  }
  step(node, pbft::Applied{slot, executed->root, executed->next});
}

// Who is behind can be given no other. One that learns late of a certificate, when it has made as
// many checkpoints since as it keeps, may not have that one; others have certified a later one. Nor
// may one whose damaged log has lost the later certificate, for which it let this one go.
bool World::has_certified_state(const Node& node) const {
  const Slot slot = node.certified;
  const auto& kept = node.executor->machine().checkpoints();
  if (node.damaged || slot <= node.fetched || slot > node.applied() ||
      std::ranges::find(kept, slot, &state::Checkpoint::slot) != kept.end())
    return true;
  const auto since = std::count_if(done_.upper_bound(slot), done_.upper_bound(node.applied()),
                                   [](const auto& each) { return each.second.root.has_value(); });
  return static_cast<std::size_t>(since) >= state::kCheckpointsMax - 1;
}

void World::look_up(Node& node, const std::vector<BundlePtr>& bundles) {
  if (node.fetching || node.stateless) return;
  const auto view = state::View::of(node.storage);
  if (!view) return broken(node, view.error());
  for (const auto& bundle : bundles) {
    const auto over = is_over(*view, *bundle);
    if (!over) return broken(node, over.error());
    if (*over) step(node, pbft::Over{digest_of(*bundle)});
    if (!node.replica) return;
  }
}

void World::lose_state(Node& node, const Fault& fault) {
  if (!node.replica || node.needed) return;
  if (fault.amount % 2 != 0) {
    crash(node);
    node.storage = state::MemoryStorage();
    node.certified = node.fetched = 0;
    return start_after(node, fault.length);
  }
  if (!node.replica->stable_checkpoint()) return;
  if (const auto dropped = node.executor->drop(); !dropped) return broken(node, dropped.error());
  node.stateless = true;
  node.flush_due = false;
  node.on_disk = 0;
  node.block_time = 0;
  ++node.execution;
  step(node, pbft::Lost{});
}

void World::flush_state(Node& node) {
  const auto flushed = node.executor->machine().flush();
  if (!flushed) return broken(node, flushed.error());
  node.flush_due = false;
  node.on_disk = node.applied();
  release_what_may_go(node);
}

// All execute the same, each bundle once, and what a deadline forbids has no effect.
void World::on_executed(Node& node, const LinkPtr& ordered, const Executed& executed) {
  const Link& link = *ordered;
  const Slot slot = executed.slot;
  Done done{link.digest, executed.root, 0, ordered};
  for (const BundleResult& result : executed.results) {
    const auto outcomes = encode_outcomes(result.outcomes);
    done.results = mixed(mixed(done.results, outcomes),
                         (result.repeated ? 1u : 0u) + (result.refused ? 2u : 0u));
  }
  const auto [known, first] = done_.emplace(slot, done);
  if (known->second.digest != done.digest)
    return fail(fmt::format("{} executes another block in slot {}", node.index, slot));
  if (known->second.root != done.root || known->second.results != done.results)
    return fail(fmt::format("{} has another state after slot {}", node.index, slot));
  constexpr std::uint64_t kAhead = 1'000'000'000;  // As pbft::Options::clock_skew_max.
  if (first && link.block.time > wall(plan_.skew_max) + kAhead)
    return fail(fmt::format("slot {} is of a time that no clock of an honest replica shows", slot));
  if (first && executed.root) check_lies_are_proven(slot);
  if (first && executed.configuration) configured_.emplace(slot, *executed.configuration);
  if (trace_ && first) note(fmt::format("slot {} has {} bundles", slot, executed.results.size()));
  for (std::size_t i = 0; i < executed.results.size(); ++i) {
    const BundleResult& result = executed.results[i];
    if (first && !result.repeated && !result.refused &&
        !executed_.emplace(result.client, result.sequence).second)
      fail(fmt::format("a bundle is executed twice, again in slot {}", slot));
    // It may come again when the client's window has gone on.
    if (first && result.refused && !executed_.contains({result.client, result.sequence}))
      fail(fmt::format("a bundle is refused in slot {}: {}", slot, result.outcomes[0].message));
    for (const auto& client : clients_) {
      const auto open = client->open.find(result.sequence);
      if (client->key != result.client || open == client->open.end() || result.refused) continue;
      const auto& outcome = result.outcomes.at(0);
      const auto deadline = open->second.operation.deadline;
      const bool late = deadline != 0 && link.block.time > deadline;
      if (!result.repeated && late != (outcome.refused == base::Errc::TimedOut))
        fail(fmt::format("an operation and its deadline part in slot {}", slot));
      if (open->second.outcome && *open->second.outcome != outcome)
        fail(fmt::format("a bundle has two outcomes, one of them in slot {}", slot));
      if (open->second.outcome) continue;
      open->second.outcome = outcome;
      open->second.slot = slot;
    }
  }
  settle(node);
}

}  // namespace sim
