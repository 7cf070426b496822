#include "state/machine.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>

#include "state/key_list.hpp"
#include "state/row.hpp"
#include "state/transfer_switch.hpp"

namespace hypermesh::state {
namespace {

// Old revisions that go at once at most: twice those that came since, and these.
constexpr std::uint64_t kCompactedAtOnce = 1024;
// Likewise keys that no kept checkpoint needs any more.
constexpr std::size_t kPrunedAtOnce = 1024;

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
  records_.clear();
  prune_from_ = "s";
  change_lists_.clear();
  stale_.clear();
  TRY_DO(resume_switch(storage_));
  TRY(const auto stored, storage_.get(kLocalMetaKey));
  if (stored) {
    TRY(meta_, decode_meta(*stored));
  }
  TRY_DO(tree_.load(meta_.tree));
  TRY_DO(catch_up());
  TRY(const auto head, record(kHeadKey));
  if (head) {
    TRY(head_, decode_head(*head));
  }
  if (head_.revision != meta_.revision) {
    return base::fail(base::Errc::DataLoss,
                      fmt::format("the state is at revision {} but its tree is at {}",
                                  meta_.revision, head_.revision));
  }
  TRY_DO(load_leases());
  stale_lists_ = 0;
  const std::string lists = stale_key(meta_.version, meta_.applied);
  TRY_DO(storage_.scan(lists, end_of_prefix(lists),
                       [this](std::string_view, std::string_view) { return ++stale_lists_ > 0; }));
  if (records_.has_unwritten()) {  // views are to see them
    Storage::Batch batch;
    TRY_DO(store(batch));
    batch.put(std::string(kLocalMetaKey), encode_meta(meta_));
    TRY_DO(storage_.write(batch));
  }
  failed_ = false;
  return {};
}

base::Result<std::optional<std::string>> Machine::record(std::string_view full) {
  if (const auto* known = records_.find(full)) return std::optional(known->value);
  TRY(const auto meta, tree_.find(base::sha256(full), full));
  if (!meta) return std::optional<std::string>();
  TRY(Row row, read_row(storage_, full, meta->modified));
  records_.set(full, {row.value, meta->created, meta->modified, meta->modified, false});
  return std::optional(std::move(row.value));
}

base::Result<> Machine::load_leases() {
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
    TRY(const auto stored, record(lease_full_key(id)));
    if (!stored) continue;
    TRY(const LeaseRecord lease, decode_lease(*stored));
    leases_.set(id, lease);
  }
  return {};
}

// What changed since the tree was stored: the same changes give the same tree.
base::Result<> Machine::catch_up() {
  TRY_DO(catch_up_records());
  std::set<std::string> changed;
  TRY_DO(scan_revisions(storage_, meta_.stored_revision, meta_.revision,
                        [&](LoggedRevision& logged, bool) {
                          for (auto& event : logged.events) changed.insert(std::move(event.key));
                          return true;
                        }));
  for (const std::string& key : changed) {
    const std::string full = full_key(Space::User, key);
    const base::Digest key_hash = base::sha256(full);
    std::optional<Leaf> leaf;
    TRY(const auto found, read_row_at(storage_, full, meta_.revision));
    if (found && !found->second.deleted) {
      const auto& [stamp, row] = *found;
      leaf = Leaf{full, row.created, stamp, row.lease, hash_of(key_hash, stamp, row)};
    }
    tree_.change(key_hash, std::move(leaf));
  }
  return {};
}

base::Result<> Machine::catch_up_records() {
  base::Result<> applied;
  const auto apply = [&](Slot slot, const RecordChange& change) -> base::Result<> {
    const base::Digest key_hash = base::sha256(change.key);
    if (change.kind == RecordChange::Kind::Removed) {
      records_.erase(change.key);
      tree_.change(key_hash, std::nullopt);
      return {};
    }
    Records::Record record{change.value, change.created, slot, slot, false};
    if (change.kind == RecordChange::Kind::InRow) {
      TRY(const auto row, storage_.get(row_key(change.key, slot)));
      Row found{.deleted = true};  // without a row: a later slot replaced it
      if (row) {
        TRY(found, decode_row(*row));
      }
      if (found.deleted) {
        records_.erase(change.key);
        return {};
      }
      record.created = found.created;
      record.value = std::move(found.value);
    } else {
      const auto* known = records_.find(change.key);
      record.row = known ? known->row : 0;
      if (!known) {
        TRY(const auto stored, tree_.find(key_hash, change.key));
        record.row = stored ? stored->modified : 0;
      }
      record.unwritten = true;
    }
    tree_.change(key_hash,
                 Leaf{change.key, record.created, slot, 0,
                      leaf_hash(key_hash, record.created, slot, 0, base::sha256(record.value))});
    records_.set(change.key, std::move(record));
    return {};
  };
  TRY_DO(storage_.scan(change_key(meta_.stored_slot + 1), end_of_prefix("d"),
                       [&](std::string_view key, std::string_view value) {
                         const Slot slot = get_u64(key.substr(1));
                         const auto changes = decode_changes(value);
                         if (!changes) applied = std::unexpected(changes.error());
                         for (std::size_t i = 0; applied && i < changes->size(); ++i)
                           applied = apply(slot, (*changes)[i]);
                         change_lists_.push_back(slot);
                         return applied.has_value();
                       }));
  return applied;
}

base::Result<> Machine::fold() {
  return tree_.fold(meta_.version);
}

base::Result<base::Digest> Machine::root() {
  if (failed_) {
    return base::fail(base::Errc::FailedPrecondition,
                      "the state was left in the middle of a slot; it must be recovered");
  }
  failed_ = true;
  TRY_DO(fold());
  failed_ = false;
  return tree_.ref().root;
}

// Nothing but a kept checkpoint can still want the row of a record that was replaced.
void Machine::drop_row(Storage::Batch& batch, std::string row, Stamp stamp) {
  if (!meta_.checkpoints.empty() && stamp <= meta_.checkpoints.back().slot) {
    stale_.push_back(std::move(row));
  } else {
    batch.remove(std::move(row));
  }
}

void Machine::put_stale(Storage::Batch& batch) {
  if (stale_.empty()) return;
  stale_listed_ += stale_.size();
  batch.put(stale_key(meta_.version, meta_.applied) + static_cast<char>('a' + stale_lists_++),
            encode_keys(stale_));
  stale_.clear();
}

base::Result<> Machine::store(Storage::Batch& batch) {
  TRY_DO(fold());
  records_.write(batch,
                 [&](std::string row, Stamp stamp) { drop_row(batch, std::move(row), stamp); });
  tree_.store(batch, stale_);
  meta_.tree = tree_.ref();
  meta_.stored_slot = meta_.applied;
  meta_.stored_revision = meta_.revision;
  for (const Slot slot : change_lists_) batch.remove(change_key(slot));
  change_lists_.clear();
  put_stale(batch);
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

base::Result<> Machine::drop() {
  failed_ = true;
  Storage::Batch all;
  all.delete_ranges.emplace_back(std::string(), "\xff");  // Tables have letters.
  TRY_DO(storage_.write(all));
  TRY_DO(storage_.flush());
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
  if (!meta_.checkpoints.empty() && meta_.checkpoints.back().slot == meta_.applied)
    return meta_.checkpoints.back();
  failed_ = true;
  Storage::Batch batch;
  TRY_DO(store(batch));
  const Checkpoint taken{meta_.applied, meta_.revision, meta_.tree, meta_.version};
  auto& kept = meta_.checkpoints;
  // Nobody can be given another state than a certified one.
  while (kept.size() >= kCheckpointsKept && kept.front().slot < meta_.certified)
    kept.erase(kept.begin());
  if (kept.size() == kCheckpointsMax) kept.erase(kept.begin() + 1);
  kept.push_back(taken);
  ++meta_.version;
  batch.put(std::string(kLocalMetaKey), encode_meta(meta_));
  TRY_DO(storage_.write(batch));
  failed_ = false;
  return taken;
}

base::Result<> Machine::flush() {
  if (failed_) {
    return base::fail(base::Errc::FailedPrecondition,
                      "the state was left in the middle of a slot; it must be recovered");
  }
  failed_ = true;
  if (meta_.stored_slot != meta_.applied) {
    Storage::Batch batch;
    TRY_DO(store(batch));
    batch.put(std::string(kLocalMetaKey), encode_meta(meta_));
    TRY_DO(storage_.write(batch));
  }
  TRY_DO(storage_.flush());
  failed_ = false;
  return {};
}

// A revision goes with the values that it replaced: nobody may read at, or watch from, one before.
base::Result<> Machine::compact_history(Storage::Batch& batch) {
  Revision last = meta_.stored_revision;  // later ones are what the tree is caught up with
  if (!meta_.checkpoints.empty()) last = std::min(last, meta_.checkpoints.front().revision);
  const Revision keep_after = meta_.revision > options_.history_revisions_max
                                  ? meta_.revision - options_.history_revisions_max
                                  : 0;
  const Revision most = meta_.compacted + kCompactedAtOnce + 2 * std::exchange(added_revisions_, 0);
  const auto due = [&] {
    return meta_.compacted < std::min(last, most) &&
           (meta_.compacted < keep_after || meta_.history_bytes > options_.history_bytes_max);
  };
  if (!due()) return {};
  return scan_revisions(storage_, meta_.compacted, std::min(last, most),
                        [&](const LoggedRevision& logged, bool last_of_record) {
                          for (const LoggedEvent& event : logged.events) {
                            const std::string full = full_key(Space::User, event.key);
                            if (event.previous != 0) batch.remove(row_key(full, event.previous));
                            if (!event.put) batch.remove(row_key(full, logged.revision));
                          }
                          if (last_of_record) batch.remove(event_key(logged.revision));
                          meta_.history_bytes -=
                              std::min(meta_.history_bytes, history_bytes_of(logged.events));
                          meta_.compacted = logged.revision;
                          return due();
                        });
}

base::Result<> Machine::prune_stale(Storage::Batch& batch) {
  const std::size_t removals_max = kPrunedAtOnce + 2 * std::exchange(stale_listed_, 0);
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
    auto keys = decode_keys(value);
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
