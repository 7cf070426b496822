#include <fmt/format.h>

#include "sim/node.hpp"

namespace sim {

using hypermesh::consensus::Version;

void World::schedule_faults() {
  for (const Fault& fault : plan_.faults) {
    if (fault.kind == FaultKind::CrashAtSend) {
      for (const auto& node : nodes_) {
        if ((fault.nodes & node->bit()) != 0)
          node->crashes_at_send.emplace_back(fault.amount, fault.length);
      }
      continue;
    }
    timeline_.after(fault.at, [this, &fault] {
      if (healed_) return;
      begin_fault(fault);
      timeline_.after(fault.length, [this, &fault] {
        if (!healed_) end_fault(fault);
      });
    });
  }
  timeline_.after(plan_.faults_until, [this] { heal(); });
}

void World::begin_fault(const Fault& fault) {
  const bool change = fault.kind == FaultKind::Join || fault.kind == FaultKind::Leave ||
                      fault.kind == FaultKind::Unsafe || fault.kind == FaultKind::Version;
  if (change) return begin_change(fault);
  if (trace_) note(fmt::format("{} of nodes {:b} begins", to_text(fault.kind), fault.nodes));
  for (const auto& node : nodes_) {
    if ((fault.nodes & node->bit()) == 0) continue;
    if (fault.kind == FaultKind::Crash) crash_for(*node, fault.length);
    if (fault.kind == FaultKind::DiskFull) set_full(*node, fault.amount);
    if (fault.kind == FaultKind::BitRot) rot(*node, fault);
    if (fault.kind == FaultKind::Lost) {
      if (node->replica) crash(*node);
      node->gone = true;
    }
    if (fault.kind == FaultKind::DiskLost) lose_disk(*node, fault.length);
    if (fault.kind == FaultKind::StateLost) lose_state(*node, fault);
    if (fault.kind == FaultKind::Program)
      install_program(*node, static_cast<Version>(fault.amount), fault.length);
    if (fault.kind == FaultKind::Loss) node->loss += fault.amount;
    if (fault.kind == FaultKind::Duplication) node->duplication += fault.amount;
    if (fault.kind == FaultKind::SlowLinks) node->slow_links += fault.amount;
    if (fault.kind == FaultKind::SlowDisk) node->slow_disk += fault.amount;
    if (fault.kind != FaultKind::Cut && fault.kind != FaultKind::CutOneWay) continue;
    for (const auto& other : nodes_) {
      if ((fault.nodes & other->bit()) != 0) continue;
      ++cuts_[node->index][other->index];
      if (fault.kind == FaultKind::Cut) ++cuts_[other->index][node->index];
    }
  }
}

void World::end_fault(const Fault& fault) {
  const bool once = fault.kind == FaultKind::Crash || fault.kind >= FaultKind::BitRot;
  if (once) return;
  if (trace_) note(fmt::format("{} of nodes {:b} ends", to_text(fault.kind), fault.nodes));
  for (const auto& node : nodes_) {
    if ((fault.nodes & node->bit()) == 0) continue;
    if (fault.kind == FaultKind::DiskFull) set_full(*node, std::nullopt);
    if (fault.kind == FaultKind::Loss) node->loss -= fault.amount;
    if (fault.kind == FaultKind::Duplication) node->duplication -= fault.amount;
    if (fault.kind == FaultKind::SlowLinks) node->slow_links -= fault.amount;
    if (fault.kind == FaultKind::SlowDisk) node->slow_disk -= fault.amount;
    if (fault.kind != FaultKind::Cut && fault.kind != FaultKind::CutOneWay) continue;
    for (const auto& other : nodes_) {
      if ((fault.nodes & other->bit()) != 0) continue;
      --cuts_[node->index][other->index];
      if (fault.kind == FaultKind::Cut) --cuts_[other->index][node->index];
    }
  }
}

void World::set_full(Node& node, std::optional<std::uint64_t> bytes_left) {
  node.disk.set_space(bytes_left);
  node.storage.set_full(bytes_left.has_value());
}

// The node finds the damage when it reads its log.
void World::rot(Node& node, const Fault& fault) {
  if (!node.replica || node.durable == 0) return;
  const Lsn first = std::max<Lsn>(node.log->opened().first, 1);
  if (node.durable >= first) {
    const Lsn lsn = first + fault.amount % (node.durable - first + 1);
    if (node.disk.flip_record(lsn, fault.amount)) node.rotten = lsn;
  }
  crash_for(node, fault.length);
}

void World::heal() {
  if (trace_) note("all faults end");
  healed_ = true;
  for (auto& row : cuts_) std::ranges::fill(row, 0);
  for (const auto& node : nodes_) {
    node->loss = node->duplication = node->slow_links = node->slow_disk = 0;
    node->crashes_at_send.clear();
    set_full(*node, std::nullopt);
    // Whoever wants a version brings its programs to all.
    if (has_fault(FaultKind::Version) && node->newest < kNewestVersion) {
      if (node->replica) crash(*node);
      node->newest = kNewestVersion;
    }
    if (!node->replica) start(*node);
  }
}

}  // namespace sim
