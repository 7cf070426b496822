#include <fmt/format.h>

#include "sim/node.hpp"

// A replica and what drives it: its log, its timers, its state; from one start to the next crash.

namespace sim {

using namespace hypermesh::consensus;
using namespace std::chrono_literals;

void World::start(Node& node) {
  std::vector<pbft::Persist> records;
  for (const auto& [lsn, bytes] : node.log) {
    auto record = decode_record(cluster_, bytes);
    if (!record) return fail("a record cannot be read: " + record.error().describe());
    records.push_back({lsn, *std::move(record)});
  }
  pbft::Options options;
  options.cluster = cluster_;
  options.checkpoint_interval = plan_.checkpoint_interval;
  auto restored = pbft::recover(genesis_, records);
  restored.last_lsn = std::max(restored.last_lsn, node.durable);
  node.ledger = node.flushed;
  if (mutant(Mutant::WindowsOutsideState)) node.ledger.forget_windows();
  node.block_time = 0;
  node.replica = std::make_unique<pbft::Replica>(
      options, node.signer, node.key, std::move(restored),
      pbft::Position{node.flushed.applied(), node.flushed_digest, {}, {}}, timeline_.now());
  mark_ = mixed(mark_, node.index);
  if (trace_) {
    note(fmt::format("{} starts at slot {}, view {}", node.index, node.flushed.applied(),
                     node.replica->view()));
  }
  step(node, pbft::Tick{});
}

// What was under way for the node is no more.
void World::new_life(Node& node) {
  ++node.incarnation;
  ++node.execution;
  node.armed = node.wake_at = MonotonicTime::max();
}

// What was not synced is lost, or some of it.
void World::crash(Node& node) {
  if (trace_) note(fmt::format("{} crashes", node.index));
  node.replica.reset();
  new_life(node);
  node.held.clear();
  node.release.reset();
  node.syncing = false;
  const Lsn last = node.log.empty() ? node.durable : node.log.back().first;
  if (last > node.durable) node.durable += node.disk.below(last - node.durable + 1);
  while (!node.log.empty() && node.log.back().first > node.durable) node.log.pop_back();
}

void World::crash_for(Node& node, Duration down) {
  if (!node.replica || healed_) return;
  crash(node);
  timeline_.after(down, [this, &node] {
    if (!node.replica) start(node);
  });
}

void World::step(Node& node, const pbft::Input& input) {
  if (!node.replica || !failure_.empty()) return;
  pbft::Outputs outputs;
  node.replica->step(input, timeline_.now(), wall(node), outputs);
  carry_out(node, std::move(outputs));
}

void World::carry_out(Node& node, pbft::Outputs outputs) {
  const auto life = node.incarnation;
  for (auto& output : outputs.list) {
    if (auto* persist = std::get_if<pbft::Persist>(&output)) {
      node.log.emplace_back(persist->lsn, encode(persist->record));
      sync(node);
    } else if (auto* send = std::get_if<pbft::Send>(&output)) {
      node.held.push_back(std::move(*send));
    } else if (auto* check = std::get_if<pbft::Check>(&output)) {
      pbft::Checked checked{check->ticket, {}};
      for (const auto& item : check->items) checked.good.push_back(keys_.good(item));
      timeline_.after(micros(10 + node.work.below(100)),
                      [this, &node, life, checked = std::move(checked)] {
                        if (node.incarnation == life) step(node, checked);
                      });
    } else if (auto* apply = std::get_if<pbft::Apply>(&output)) {
      node.apply_at = std::max(node.apply_at, timeline_.now()) + micros(1 + node.work.below(200));
      timeline_.at(node.apply_at, [this, &node, execution = node.execution, apply = *apply] {
        if (node.execution == execution) this->apply(node, apply);
      });
    } else if (auto* need = std::get_if<pbft::NeedState>(&output)) {
      const auto checkpoint = std::make_shared<const StableCheckpoint>(std::move(need->checkpoint));
      timeline_.after(micros(500 + node.work.below(20'000)), [this, &node, life, checkpoint] {
        if (node.incarnation == life) fetch_state(node, *checkpoint);
      });
    } else if (std::get_if<pbft::StateDamaged>(&output) != nullptr) {
      if (node.lie.empty()) fail(fmt::format("the state of {} differs", node.index));
    } else if (auto* release = std::get_if<pbft::Release>(&output)) {
      node.release = *release;
    } else if (auto* evidence = std::get_if<Evidence>(&output)) {
      on_evidence(node, *evidence);
    }
  }
  flush_sends(node);
  wake(node, std::max(outputs.wake_at, timeline_.now() + 1us));
}

// The replica is woken at `at`. There is one event for each node; if it comes early, it is made
// again.
void World::wake(Node& node, MonotonicTime at) {
  node.wake_at = at;
  if (at >= node.armed) return;
  node.armed = at;
  timeline_.at(at, [this, &node, life = node.incarnation] {
    if (node.incarnation != life || node.armed != timeline_.now()) return;
    node.armed = MonotonicTime::max();
    if (node.wake_at > timeline_.now()) return wake(node, node.wake_at);
    step(node, pbft::Tick{});
  });
}

void World::sync(Node& node) {
  if (node.syncing) return;
  node.syncing = true;
  auto wait = plan_.sync_min + node.disk.below(plan_.sync_max - plan_.sync_min + 1);
  if (node.slow_disk > 0 && node.disk.below(1000) < node.slow_disk)
    wait += 200'000 + node.disk.below(1'500'000);
  const Lsn upto = node.log.back().first;
  timeline_.after(micros(wait), [this, &node, life = node.incarnation, upto] {
    if (node.incarnation != life) return;
    node.syncing = false;
    node.durable = std::max(node.durable, upto);
    if (node.release && node.release->after <= node.durable) {
      while (!node.log.empty() && node.log.front().first < node.release->lsn) node.log.pop_front();
      node.release.reset();
    }
    flush_sends(node);
    if (!node.log.empty() && node.log.back().first > node.durable) sync(node);
    step(node, pbft::Persisted{node.durable});
  });
}

void World::flush_sends(Node& node) {
  std::vector<pbft::Send> ready;
  std::erase_if(node.held, [&](pbft::Send& send) {
    if (send.after > node.durable) return false;
    ready.push_back(std::move(send));
    return true;
  });
  for (const auto& send : ready) {
    if (node.lie.empty()) check_own_votes(node, *send.message);
    transmit(node, send);
    ++node.sends;
    for (const auto& [place, down] : node.crashes_at_send) {
      if (place != node.sends) continue;
      timeline_.after(0us, [this, &node, life = node.incarnation, down] {
        if (node.incarnation == life) crash_for(node, down);
      });
    }
  }
}

void World::apply(Node& node, const pbft::Apply& apply) {
  const Link& link = *apply.link;
  const Slot slot = link.block.slot;
  if (slot != node.ledger.applied() + 1) {
    return fail(
        fmt::format("{} executes slot {} after {}", node.index, slot, node.ledger.applied()));
  }
  const auto [known, first] = order_.emplace(slot, link.digest);
  if (known->second != link.digest)
    return fail(fmt::format("{} executes another block in slot {}", node.index, slot));
  if (link.block.time < node.block_time)
    return fail(fmt::format("time goes back in slot {}", slot));
  node.block_time = link.block.time;
  mark_ = mixed(mixed(mark_, slot), node.index);
  if (first && trace_) note(fmt::format("slot {} has {} bundles", slot, link.block.bundles.size()));
  for (const auto& [name, done] : node.ledger.apply(link.block)) {
    for (auto& client : clients_) {
      if (client->key == name.first) client->executed(name.second, done, node, timeline_.now());
    }
  }
  pbft::Applied applied{slot, {}, {}};
  if (apply.checkpoint) {
    applied.root = node.ledger.root();
    const auto [root, made] = roots_.emplace(slot, *applied.root);
    if (root->second != *applied.root)
      return fail(fmt::format("{} has another state after slot {}", node.index, slot));
    if (made) checkpoints_.emplace(slot, node.ledger);
    node.flushed = node.ledger;
    node.flushed_digest = link.digest;
  }
  step(node, applied);
}

void World::fetch_state(Node& node, const StableCheckpoint& checkpoint) {
  const Slot slot = checkpoint.certificate.statement.slot;
  const auto found = checkpoints_.find(slot);
  if (found == checkpoints_.end() || found->second.root() != checkpoint.root)
    return fail(fmt::format("a quorum signed a state after slot {} that nobody has", slot));
  if (slot <= node.ledger.applied()) return;
  if (trace_) note(fmt::format("{} fetches the state after slot {}", node.index, slot));
  node.ledger = node.flushed = found->second;
  node.flushed_digest = checkpoint.block;
  ++node.execution;  // What was to be executed is no longer.
  step(node, pbft::Installed{checkpoint, {}});
}

}  // namespace sim
