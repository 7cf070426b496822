#include "state/machine.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "state/key_list.hpp"
#include "state/row.hpp"
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
  change_lists_.clear();
  TRY_DO(resume_switch(storage_));
  TRY(const auto stored, storage_.get(kLocalMetaKey));
  if (stored) {
    TRY(meta_, decode_meta(*stored));
  }
  TRY_DO(tree_.load(meta_.tree));
  TRY_DO(catch_up_tree());
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
  TRY_DO(load_leases());
  failed_ = false;
  return {};
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
    const std::string full = lease_full_key(id);
    TRY(const Leaf* const leaf, tree_.find(base::sha256(full), full));
    if (!leaf) continue;
    TRY(const Row row, read_row(storage_, full, leaf->modified));
    TRY(const LeaseRecord lease, decode_lease(row.value));
    leases_.set(id, lease);
  }
  return {};
}

// Folds in what changed since the tree was stored: the same changes give the same tree.
base::Result<> Machine::catch_up_tree() {
  std::map<std::string, bool> changed;  // full key: whether it may be there
  base::Result<> parsed;
  TRY_DO(storage_.scan(event_key(meta_.stored_revision + 1), event_key(meta_.revision + 1),
                       [&](std::string_view, std::string_view value) {
                         const auto events = decode_events(value);
                         if (!events) parsed = std::unexpected(events.error());
                         for (std::size_t i = 0; events && i < events->size(); ++i)
                           changed[full_key(Space::User, (*events)[i].key)] = true;
                         return parsed.has_value();
                       }));
  TRY_DO(std::move(parsed));
  TRY_DO(storage_.scan(change_key(meta_.stored_slot + 1), end_of_prefix("d"),
                       [&](std::string_view key, std::string_view value) {
                         const auto keys = decode_keys(value);
                         if (!keys) parsed = std::unexpected(keys.error());
                         for (std::size_t i = 0; keys && i < keys->size(); ++i)
                           changed[(*keys)[i].substr(1)] = (*keys)[i].front() == '+';
                         change_lists_.push_back(get_u64(key.substr(1)));
                         return parsed.has_value();
                       }));
  TRY_DO(std::move(parsed));
  std::vector<LeafChange> changes;
  for (const auto& [full, there] : changed) {
    LeafChange change{base::sha256(full), std::nullopt};
    if (there) {
      TRY(const auto found,
          read_row_at(storage_, full,
                      space_of(full) == Space::User ? meta_.revision : meta_.applied));
      if (found && !found->second.deleted) {
        const auto& [stamp, row] = *found;
        change.leaf =
            Leaf{full, row.created, stamp, row.lease, hash_of(change.key_hash, stamp, row)};
      }
    }
    changes.push_back(std::move(change));
  }
  std::ranges::sort(changes, {}, &LeafChange::key_hash);
  TRY_DO(tree_.update(meta_.version, changes));
  if (tree_.ref().root == meta_.root) return {};
  return base::fail(base::Errc::DataLoss,
                    fmt::format("the state of slot {} does not follow from the tree of slot {}",
                                meta_.applied, meta_.stored_slot));
}

void Machine::store_tree(Storage::Batch& batch, std::vector<std::string>& stale) {
  tree_.store(batch, stale);
  meta_.tree = tree_.ref();
  meta_.stored_slot = meta_.applied;
  meta_.stored_revision = meta_.revision;
  for (const Slot slot : change_lists_) batch.remove(change_key(slot));
  change_lists_.clear();
}

void Machine::store_between_slots(Storage::Batch& batch) {
  std::vector<std::string> stale;
  store_tree(batch, stale);
  // A name of its own: the slot may have a list already.
  if (!stale.empty()) batch.put(stale_key(meta_.version, meta_.applied) + 't', encode_keys(stale));
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
  if (!meta_.checkpoints.empty() && meta_.checkpoints.back().slot == meta_.applied)
    return meta_.checkpoints.back();
  failed_ = true;
  Storage::Batch batch;
  store_between_slots(batch);
  const Checkpoint taken{meta_.applied, meta_.revision, meta_.tree, meta_.version};
  if (meta_.checkpoints.size() == kCheckpointsKept)
    meta_.checkpoints.erase(meta_.checkpoints.begin());
  meta_.checkpoints.push_back(taken);
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
    store_between_slots(batch);
    batch.put(std::string(kLocalMetaKey), encode_meta(meta_));
    TRY_DO(storage_.write(batch));
  }
  TRY_DO(storage_.flush());
  failed_ = false;
  return {};
}

// A revision goes with the values that it replaced: nobody may read at, or watch from, one before.
base::Result<> Machine::compact_history(Storage::Batch& batch, std::uint64_t added) {
  Revision last = meta_.stored_revision;  // later ones are what the tree is caught up with
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
