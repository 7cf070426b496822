#include <fmt/format.h>

#include "consensus/execution/resume.hpp"
#include "sim/node.hpp"

// A node's log and state on a disk that fails.

namespace sim {

using namespace hypermesh::consensus;
using Unsynced = testing::MemoryDisk::Unsynced;

namespace {

LogOptions log_options() {
  LogOptions options;
  options.payload_bytes_max = 128 << 10;
  options.segment_bytes = 256 << 10;
  return options;
}

// Not there any more, though nobody let it go. 0 is no record.
bool is_lost(Lsn lsn, const LogContents& kept, const std::vector<LogGap>& gaps) {
  if (lsn == 0 || lsn < kept.first) return false;
  return lsn > kept.last || std::ranges::any_of(gaps, [&](const LogGap& gap) {
           return gap.first <= lsn && lsn <= gap.last;
         });
}

}  // namespace

// Of a node whose key is made now.
void World::begin_log(Node& node) {
  const auto log = open_segment_log(node.disk.start(), node.cipher, log_options());
  BASE_ASSERT(log.has_value(), "a new disk is empty");
  const Record first = first_record(genesis_);
  const auto lsn = (*log)->append(static_cast<std::uint8_t>(first.index()), encode(first));
  BASE_ASSERT(lsn && (*log)->sync(), "a new disk takes what is written");
}

// All that was on it is lost. It gets another, and comes back with the same key.
void World::lose_disk(Node& node, Duration down) {
  if (node.gone || node.absent) return;
  if (node.replica) crash(node);
  node.disk = testing::MemoryDisk(++node.disk_seed);
  node.storage = state::MemoryStorage();
  node.forgot = true;
  node.damaged = node.forgets = false;
  node.durable = node.told = node.rotten = 0;
  node.fetched = 0;
  start_after(node, down);
}

// False: the disk refuses, and it is tried again.
bool World::open_disk(Node& node, std::vector<pbft::Persist>& records) {
  auto log = open_segment_log(node.disk.start(), node.cipher, log_options());
  if (!log) {
    broken(node, log.error());
    return false;
  }
  node.log = *std::move(log);
  node.writing.reset();
  base::Result<> readable;
  const auto gaps = node.log->read(node.log->opened().first, [&](const LogRecord& record) {
    auto decoded = decode_record(cluster_, record.payload, node.versions());
    if (!decoded) {
      readable = std::unexpected(std::move(decoded).error());
    } else {
      records.push_back({record.lsn, *std::move(decoded)});
    }
  });
  if (!readable && readable.error().code == base::Errc::Unsupported) {
    left_behind(node, readable.error().describe());
    return false;
  }
  if (!readable) fail("a record cannot be read: " + readable.error().describe());
  if (!gaps) {
    broken(node, gaps.error());
    return false;
  }
  const bool damaged =
      std::ranges::any_of(*gaps, [](const LogGap& gap) { return gap.acknowledged; });
  if (node.damaged && !damaged) fail(fmt::format("{} forgot that its log is damaged", node.index));
  node.damaged = damaged;
  if (is_lost(node.rotten, node.log->opened(), *gaps) && !damaged) {
    node.forgets = true;
    if (trace_) note(fmt::format("{} forgot record {}, and cannot know", node.index, node.rotten));
    if (node.rotten <= node.told)
      fail(fmt::format("{} does not know that record {} was durable", node.index, node.rotten));
    node.rotten = 0;
  }
  (void)node.storage.reopen();
  state::MachineOptions options;
  options.history_revisions_max = 2000;
  // Others at each: roots do not depend on them.
  options.waiting_keys_max = 1 + 40 * node.index;
  options.changed_pages_max = 8 + 20 * node.index;
  auto executor = Executor::open(genesis_, node.storage, options, node.versions());
  if (!executor && executor.error().code == base::Errc::Unsupported) {
    left_behind(node, executor.error().describe());
    return false;
  }
  if (!executor) {
    broken(node, executor.error());
    return false;
  }
  node.executor = *std::move(executor);
  node.on_disk = node.applied();
  node.flush_due = false;
  return true;
}

// What was not synced is lost, or some of it; also of a write that has begun.
void World::lose_power(Node& node) {
  if (!node.log) return;
  const auto fate = static_cast<Unsynced>(node.disk_rng.below(4));
  if (node.writing && node.disk_rng.below(2) == 0) {
    node.disk.cut_power_in(node.disk_rng.below(3), fate);
    (void)node.log->write(*std::move(node.writing));
  }
  node.writing.reset();
  node.log.reset();
  node.disk.cut_power(fate);
  node.storage.lose_unflushed();
}

void World::sync(Node& node) {
  if (!node.log || node.writing || node.awaited <= node.durable) return;
  node.writing = node.log->take();
  auto wait = plan_.sync_min + node.disk_rng.below(plan_.sync_max - plan_.sync_min + 1);
  if (node.slow_disk > 0 && node.disk_rng.below(1000) < node.slow_disk)
    wait += 200'000 + node.disk_rng.below(1'500'000);
  timeline_.after(micros(wait), [this, &node, life = node.incarnation] {
    if (node.incarnation == life) on_synced(node);
  });
}

void World::on_synced(Node& node) {
  const auto durable = node.log->write(*std::exchange(node.writing, std::nullopt));
  if (!durable) return broken(node, durable.error());
  node.told = std::exchange(node.durable, *durable);
  flush_sends(node);
  release_what_may_go(node);
  sync(node);
  step(node, pbft::Persisted{node.durable});
}

// Records that the state on disk does not need any more to be caught up. A damaged log stays as it
// is, since the damage says that the node may not vote.
void World::release_what_may_go(Node& node) {
  if (node.release && node.durable >= node.release->after)
    node.certified = std::max(node.certified, node.release_stable);
  if (!node.release || node.damaged || node.on_disk < node.release_stable ||
      node.durable < node.release->after)
    return;
  const auto dropped = node.log->drop_before(node.release->lsn);
  node.release.reset();
  if (!dropped) broken(node, dropped.error());
}

}  // namespace sim
