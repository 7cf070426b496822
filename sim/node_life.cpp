#include <fmt/format.h>

#include "consensus/execution/resume.hpp"
#include "sim/node.hpp"

// A replica and what drives it, as ReplicaNode does; from one start to the next crash.

namespace sim {

using namespace hypermesh::consensus;
using namespace std::chrono_literals;

namespace {

constexpr Duration kStartAgain = 300ms;  // Of a node whose disk refused.

}  // namespace

void World::start(Node& node) {
  if (node.gone || node.absent) return;
  std::vector<pbft::Persist> records;
  if (!open_disk(node, records)) return;
  pbft::Options options;
  options.cluster = cluster_;
  options.versions = node.versions();
  options.checkpoint_interval = plan_.checkpoint_interval;
  auto resumed = resume(genesis_, *node.executor, records, node.log->opened().last);
  node.durable = resumed.restored.last_lsn;
  const auto& stable = resumed.restored.stable;
  node.certified = stable ? stable->certificate.statement.slot : 0;
  node.block_time = 0;
  if (node.forgot && !resumed.restored.silenced)
    return fail(fmt::format("{} forgot that its disk was lost", node.index));
  const auto own = node.damaged ? std::nullopt : std::optional(node.key);
  node.replica = std::make_unique<pbft::Replica>(
      options, node.signer, own, std::move(resumed.restored), resumed.position, timeline_.now());
  update_members(node);
  mark_ = mixed(mark_, node.index);
  if (trace_) {
    note(fmt::format("{} starts at slot {}, epoch {}, view {}{}", node.index, node.applied(),
                     node.replica->voters().epoch, node.replica->view(),
                     node.damaged || node.forgot ? ", and votes no more" : ""));
  }
  step(node, pbft::Tick{});
  // What a driver measures while nothing is wrong with its links and its disk.
  step(node, pbft::Conditions{2 * micros(plan_.delay_max), micros(plan_.sync_max)});
}

// If it is down then.
void World::start_after(Node& node, Duration down) {
  timeline_.after(down, [this, &node] {
    if (!node.replica) start(node);
  });
}

// What was under way for the node is no more.
void World::stop(Node& node) {
  node.replica.reset();
  node.fetching.reset();
  node.sources = {};
  node.asked.clear();
  node.needed.reset();
  node.stateless = false;
  node.waiting.clear();
  node.asking.clear();
  ++node.incarnation;
  ++node.execution;
  node.armed = node.wake_at = MonotonicTime::max();
  node.held.clear();
  node.awaited = 0;
  node.release.reset();
  node.executor.reset();
  node.heard.clear();
  node.caught.clear();
}

void World::crash(Node& node) {
  if (trace_) note(fmt::format("{} crashes", node.index));
  stop(node);
  lose_power(node);
}

void World::crash_for(Node& node, Duration down) {
  if (!node.replica || healed_) return;
  crash(node);
  start_after(node, down);
}

// Its disk refuses. It begins anew when that may be well again.
void World::broken(Node& node, const base::Error& error) {
  if (trace_) note(fmt::format("{} stops: {}", node.index, error.describe()));
  stop(node);
  lose_power(node);
  start_after(node, kStartAgain);
}

void World::step(Node& node, const pbft::Input& input) {
  if (!node.replica || !failure_.empty()) return;
  pbft::Outputs outputs;
  const Epoch epoch = node.replica->voters().epoch;
  node.replica->step(input, timeline_.now(), wall(node.skew), outputs);
  if (node.replica->voters().epoch != epoch) update_members(node);
  carry_out(node, std::move(outputs));
}

void World::carry_out(Node& node, pbft::Outputs outputs) {
  const auto life = node.incarnation;
  for (auto& output : outputs.list) {
    if (auto* persist = std::get_if<pbft::Persist>(&output)) {
      const auto lsn = node.log->append(static_cast<std::uint8_t>(persist->record.index()),
                                        encode(persist->record, persist->version));
      if (!lsn) return broken(node, lsn.error());
      if (*lsn != persist->lsn) return fail("the log and the engine count differently");
      if (!persist->lazy) node.awaited = *lsn;
      const auto* stable = std::get_if<StableCheckpoint>(&persist->record);
      if (stable != nullptr && !stable->certificate.signatures.empty()) node.stable = *stable;
    } else if (auto* send = std::get_if<pbft::Send>(&output)) {
      node.awaited = std::max(node.awaited, send->after);
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
      const bool fetching = node.needed.has_value();
      node.needed = std::move(need->checkpoint);
      if (!fetching) begin_fetch(node);
    } else if (std::get_if<pbft::StateDamaged>(&output) != nullptr) {
      if (node.honest()) fail(fmt::format("the state of {} differs", node.index));
    } else if (const auto* outdated = std::get_if<pbft::Outdated>(&output)) {
      return left_behind(node, fmt::format("the cluster goes by version {}", outdated->version));
    } else if (auto* release = std::get_if<pbft::Release>(&output)) {
      node.release = *release;
      node.release_stable = node.replica->stable();
    } else if (const auto* readable = std::get_if<pbft::Readable>(&output)) {
      on_readable(node, *readable);
    } else if (const auto* overdue = std::get_if<pbft::Overdue>(&output)) {
      timeline_.after(0us, [this, &node, life, bundles = overdue->bundles] {
        if (node.incarnation == life) look_up(node, bundles);
      });
    } else if (auto* evidence = std::get_if<Evidence>(&output)) {
      on_evidence(node, *evidence);
    }
  }
  sync(node);
  flush_sends(node);
  release_what_may_go(node);
  if (node.incarnation == life) wake(node, std::max(outputs.wake_at, timeline_.now() + 1us));
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

void World::flush_sends(Node& node) {
  std::vector<pbft::Send> ready;
  std::erase_if(node.held, [&](pbft::Send& send) {
    if (send.after > node.durable) return false;
    ready.push_back(std::move(send));
    return true;
  });
  for (const auto& send : ready) {
    if (node.honest()) check_own_votes(node, *send.message);
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

// Whom it knows, in its epoch and configuration. Who is no member itself speaks to everybody.
void World::update_members(Node& node) {
  if (node.stateless) return;
  const Configuration& configuration = node.executor->configuration();
  const Voters& voters = node.replica->voters();
  epochs_.emplace(voters.epoch, voters);
  node.peers.fill(std::nullopt);
  const bool stranger = configuration.find(node.key) == nullptr;
  for (const auto& other : nodes_) {
    if (other->index == node.index) continue;
    if (const auto id = voters.find(other->key)) {
      node.peers[other->index] = *id;
    } else if (stranger || configuration.find(other->key) != nullptr) {
      node.peers[other->index] = pbft::kFirstFollower + static_cast<pbft::PeerId>(other->index);
    }
  }
  node.voters.clear();
  for (const auto& key : voters.keys) node.voters.push_back(node_of_.at(key));
}

}  // namespace sim
