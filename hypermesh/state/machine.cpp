#include "state/machine.hpp"

#include <fmt/format.h>

#include "state/row.hpp"
#include "state/stale_list.hpp"
#include "state/transfer_switch.hpp"

namespace hypermesh::state {
namespace {

// Old revisions that one slot lets go at most: twice those that it adds, and these.
constexpr std::uint64_t kCompactedPerSlot = 256;

}  // namespace

Machine::Machine(Storage& storage, MachineOptions options)
    : storage_(storage), options_(options), tree_(storage, options.tree_cache_bytes) {}

Machine::~Machine() = default;

base::Result<std::unique_ptr<Machine>> Machine::open(Storage& storage, MachineOptions options) {
  std::unique_ptr<Machine> machine(new Machine(storage, options));
  TRY_DO(machine->load());
  return machine;
}

base::Result<> Machine::load() {
  failed_ = true;
  meta_ = {};
  head_ = {};
  leases_.clear();
  prune_from_ = "s";
  TRY_DO(resume_switch(storage_));
  TRY(const auto stored, storage_.get(kLocalMetaKey));
  if (stored) {
    TRY(meta_, decode_meta(*stored));
  }
  TRY_DO(tree_.load(meta_.tree));
  TRY(const Leaf* const head, tree_.find(base::sha256(kHeadKey), kHeadKey));
  if (head) {
    TRY(const Row row, read_row(storage_, kHeadKey, head->modified));
    TRY(head_, decode_head(row.value));
  }
  if (head_.revision != meta_.revision) {
    return base::fail(base::Errc::DataLoss,
                      fmt::format("the state is at revision {} but its tree is at {}",
                                  meta_.revision, head_.revision));
  }
  // Rows of leases: the newest that the tree refers to counts, others wait for a checkpoint to go.
  const std::string prefix(1, static_cast<char>(Space::Lease));
  std::vector<LeaseId> ids;
  base::Result<> parsed;
  TRY_DO(storage_.scan(row_prefix(prefix), end_of_prefix(row_prefix(prefix)),
                       [&](std::string_view key, std::string_view) {
                         const auto name = parse_row_key(key);
                         if (!name || name->key.size() != 9) {
                           parsed = base::fail(base::Errc::DataLoss, "a lease has a damaged key");
                           return false;
                         }
                         const LeaseId id = get_u64(user_part(name->key));
                         if (ids.empty() || ids.back() != id) ids.push_back(id);
                         return true;
                       }));
  TRY_DO(std::move(parsed));
  for (const LeaseId id : ids) {
    const std::string full = lease_full_key(id);
    TRY(const Leaf* const leaf, tree_.find(base::sha256(full), full));
    if (!leaf) continue;
    TRY(const Row row, read_row(storage_, full, leaf->modified));
    TRY(const LeaseRecord lease, decode_lease(row.value));
    leases_.set(id, lease);
  }
  failed_ = false;
  return {};
}

base::Result<> Machine::recover() {
  failed_ = true;
  TRY_DO(storage_.reopen());
  return load();
}

base::Result<> Machine::reload() {
  return load();
}

base::Result<std::unique_ptr<SlotApply>> Machine::begin(Slot slot, Time time) {
  if (failed_) {
    return base::fail(base::Errc::FailedPrecondition,
                      "the state was left in the middle of a slot; it must be recovered");
  }
  if (slot <= meta_.applied || (meta_.applied != 0 && slot != meta_.applied + 1)) {
    return base::fail(
        base::Errc::FailedPrecondition,
        fmt::format("slot {} cannot follow slot {}, the last applied", slot, meta_.applied));
  }
  failed_ = true;  // until it is written
  auto apply = std::make_unique<SlotApply>(*this, slot, time);
  apply->head_ = head_;
  TRY_DO(apply->expire_leases());
  return apply;
}

base::Result<std::vector<Outcome>> Machine::apply(Slot slot, Time time,
                                                  std::span<const Operation> operations) {
  TRY(const auto apply, begin(slot, time));
  std::vector<Outcome> outcomes;
  for (const Operation& operation : operations) {
    TRY(outcomes.emplace_back(), apply->apply(operation));
  }
  TRY_DO(apply->finish());
  return outcomes;
}

base::Result<Checkpoint> Machine::checkpoint() {
  if (failed_) {
    return base::fail(base::Errc::FailedPrecondition,
                      "the state was left in the middle of a slot; it must be recovered");
  }
  const Checkpoint taken{meta_.applied, meta_.revision, meta_.tree, meta_.version};
  if (!meta_.checkpoints.empty() && meta_.checkpoints.back().slot == taken.slot)
    return meta_.checkpoints.back();
  failed_ = true;
  if (meta_.checkpoints.size() == kCheckpointsKept)
    meta_.checkpoints.erase(meta_.checkpoints.begin());
  meta_.checkpoints.push_back(taken);
  ++meta_.version;
  Storage::Batch batch;
  batch.put(std::string(kLocalMetaKey), encode_meta(meta_));
  TRY_DO(storage_.write(batch));
  failed_ = false;
  return taken;
}

base::Result<> Machine::flush() {
  auto flushed = storage_.flush();
  if (!flushed) failed_ = true;
  return flushed;
}

// A revision goes with the values that it replaced: nobody may read at, or watch from, one before.
base::Result<> Machine::compact_history(Storage::Batch& batch, std::uint64_t added) {
  Revision last = meta_.revision;  // of the slots before: what this one adds is not yet stored
  if (!meta_.checkpoints.empty()) last = std::min(last, meta_.checkpoints.front().revision);
  const Revision keep_after = meta_.revision > options_.history_revisions_max
                                  ? meta_.revision - options_.history_revisions_max
                                  : 0;
  const Revision most = meta_.compacted + kCompactedPerSlot + 2 * added;
  const auto due = [&] {
    return meta_.compacted < std::min(last, most) &&
           (meta_.compacted < keep_after || meta_.history_bytes > options_.history_bytes_max);
  };
  if (!due()) return {};
  base::Result<> parsed;
  const auto drop = [&](std::string_view key, std::string_view stored) {
    const Revision revision = get_u64(key.substr(1));
    auto events = decode_events(stored);
    if (!events || revision != meta_.compacted + 1) {
      parsed = base::fail(base::Errc::DataLoss,
                          fmt::format("the events of revision {} are gone", meta_.compacted + 1));
      return false;
    }
    for (const LoggedEvent& event : *events) {
      const std::string full = full_key(Space::User, event.key);
      if (event.previous != 0) batch.remove(row_key(full, event.previous));
      if (!event.put) batch.remove(row_key(full, revision));
    }
    batch.remove(std::string(key));
    meta_.history_bytes -= std::min(meta_.history_bytes, history_bytes_of(*events));
    meta_.compacted = revision;
    return due();
  };
  TRY_DO(storage_.scan(event_key(meta_.compacted + 1), event_key(std::min(last, most) + 1), drop));
  return parsed;
}

base::Result<> Machine::prune_stale(Storage::Batch& batch, std::size_t removals_max) {
  if (meta_.checkpoints.empty()) return {};
  const std::string end = stale_key(meta_.checkpoints.front().version + 1, 0);
  if (prune_from_ >= end) return {};
  std::size_t removals = 0;
  base::Result<> parsed;
  bool all = true;
  TRY_DO(storage_.scan(prune_from_, end, [&](std::string_view key, std::string_view value) {
    if (removals >= removals_max) {
      prune_from_ = key;
      return all = false;
    }
    auto keys = decode_stale(value);
    if (!keys) {
      parsed = std::unexpected(std::move(keys).error());
      return false;
    }
    removals += keys->size();
    for (auto& each : *keys) batch.remove(std::move(each));
    batch.remove(std::string(key));
    return true;
  }));
  TRY_DO(std::move(parsed));
  if (all) prune_from_ = end;
  return {};
}

}  // namespace hypermesh::state
