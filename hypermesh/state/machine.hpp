#pragma once

#include "state/event_log.hpp"
#include "state/lease_table.hpp"
#include "state/local_meta.hpp"
#include "state/operation.hpp"
#include "state/records.hpp"

namespace hypermesh::state {

class SlotApply;

struct MachineOptions {
  /// How far back reads and watches can go. Older revisions go by themselves, a few with
  /// every 16th slot; what a kept checkpoint refers to stays until that goes.
  std::uint64_t history_revisions_max = 100'000;
  std::uint64_t history_bytes_max = 256u << 20;  ///< Likewise, whichever is reached first.
  std::size_t tree_cache_bytes = 32u << 20;
  /// Keys that change before they are hashed into the tree, all at once.
  std::size_t waiting_keys_max = 1024;
  /// Pages of the tree that change before they are stored, all at once: a pause of a few
  /// microseconds each.
  std::size_t changed_pages_max = 8192;
};

/// The replicated key-value state: what ordered operations do to it, and one root over all of it.
///
/// Deterministic: equal slots give equal outcomes and equal roots at every replica, whatever the
/// options and the storage are. Everything that one slot changes is written in one batch. Calls
/// come from one thread; readers on others use View. After an error of `begin`, `SlotApply` or
/// `checkpoint` (the storage failed) only `recover` goes on.
class Machine {
 public:
  /// `storage` is borrowed. Finishes a transfer that had begun to switch (transfer_switch.hpp).
  /// Errors: DataLoss, Unsupported (a newer format), Unavailable.
  static base::Result<std::unique_ptr<Machine>> open(Storage& storage, MachineOptions options);
  ~Machine();

  /// The last slot that the storage has; after a crash, replay from the next one.
  Slot applied() const { return meta_.applied; }
  Revision revision() const { return meta_.revision; }
  Revision compacted() const { return meta_.compacted; }
  /// Of the last slot; hashes what no root was asked for yet, a pause of a few microseconds a
  /// changed key. Errors: as `begin`.
  base::Result<base::Digest> root();
  /// Whether the next slot is about to hash all changes that wait, if it makes so many.
  bool may_fold(std::size_t changes) const {
    return tree_.waiting() + changes > options_.waiting_keys_max;
  }
  const std::vector<Checkpoint>& checkpoints() const { return meta_.checkpoints; }
  std::size_t lease_count() const { return leases_.size(); }
  /// In ordered time: the first slot that is later ends a lease.
  std::optional<Time> lease_end() const { return leases_.first_end(); }

  /// Starts the slot after `applied()` (a machine without state takes any). Leases that have ended
  /// by `time` go first: their keys in key order, with a revision of their own. `time` is the
  /// order's; it should not go back.
  /// Errors: FailedPrecondition (another slot is next, or `recover` is due), Unavailable, DataLoss.
  base::Result<std::unique_ptr<SlotApply>> begin(Slot slot, Time time);
  /// A whole slot of nothing but operations.
  base::Result<std::vector<Outcome>> apply(Slot slot, Time time,
                                           std::span<const Operation> operations);

  /// A quorum signed the checkpoint of `slot`, or none so far if that is 0: it stays, and later
  /// ones stay, until a later one is signed. As durable as the slot that is applied next.
  void keep_from(Slot slot) {
    const bool first = meta_.certified == kNobodyCertifies;
    meta_.certified = first ? slot : std::max(meta_.certified, slot);
  }
  /// Keeps the state of the last slot readable. The one before the last checkpoint goes, unless
  /// that is, or comes after, the last that is certified.
  base::Result<Checkpoint> checkpoint();
  /// What was applied survives a loss of power; the newest tree is stored, so that a transfer can
  /// begin from it.
  base::Result<> flush();
  /// Goes on with what the storage has on disk: `applied()` may be lower than before. Errors: as
  /// Storage::reopen and `open`; then try again later.
  base::Result<> recover();
  /// After a transfer has switched the storage. Errors: as `open`.
  base::Result<> reload();
  /// Lets all state go, on disk too: it is not to be trusted. Then `applied` is 0, as at first.
  /// Errors: of the storage.
  base::Result<> drop();

 private:
  friend class SlotApply;
  Machine(Storage& storage, MachineOptions options);
  base::Result<> load();
  base::Result<> load_leases();
  base::Result<> catch_up();
  base::Result<> catch_up_records();
  base::Result<> fold();
  base::Result<std::optional<std::string>> record(std::string_view full);
  base::Result<> store(Storage::Batch& batch);
  void drop_row(Storage::Batch& batch, std::string row, Stamp stamp);
  void put_stale(Storage::Batch& batch);
  base::Result<> compact_history(Storage::Batch& batch);
  base::Result<> prune_stale(Storage::Batch& batch);

  Storage& storage_;
  MachineOptions options_;
  LocalMeta meta_;
  Head head_;
  Tree tree_;
  LeaseTable leases_;
  Records records_;
  std::vector<Slot> change_lists_;     // slots with one, since the tree was stored
  std::vector<std::string> stale_;     // keys that only kept checkpoints need, not yet listed
  std::uint64_t stale_lists_ = 0;      // of this slot
  std::size_t stale_listed_ = 0;       // keys, since some were pruned
  std::uint64_t added_revisions_ = 0;  // since some were compacted
  std::string prune_from_ = "s";       // stale records before it are gone
  bool failed_ = false;
};

/// When a new value of a record of the consensus layer shows in views.
enum class Shown : std::uint8_t {
  AtOnce,
  /// With the next checkpoint, flush or opening at the latest; costs a third. For what changes all
  /// the time.
  WhenStored,
};

/// One slot while it is applied. Let go without `finish`, nothing of it was written and the
/// machine must `recover`. Errors of every call are of the storage.
class SlotApply {
 public:
  SlotApply(Machine& machine, Slot slot, Time time) : machine_(machine), slot_(slot), time_(time) {}

  base::Result<Outcome> apply(const Operation& operation);
  /// Bytes as they were ordered; what cannot be read is refused like any other operation.
  base::Result<Outcome> apply_encoded(base::BytesView bytes);

  /// Records of the consensus layer, in the same tree, out of reach for operations. `key` has at
  /// most kKeyBytesMax bytes, the value kValueBytesMax.
  base::Result<std::optional<std::string>> system(std::string_view key);
  base::Result<> set_system(std::string_view key, std::optional<std::string_view> value,
                            Shown shown = Shown::AtOnce);

  /// Writes everything. Call once, last.
  base::Result<> finish();
  /// The revisions of this slot, those of leases that ended first. Call once, after finish().
  std::vector<LoggedRevision> take_changes() { return std::move(changes_); }

 private:
  friend class Machine;
  // A user's key, as it is now.
  struct Found {
    base::Digest key_hash{};
    std::optional<LeafMeta> meta;
  };

  base::Result<> expire_leases();
  base::Result<Found> find(std::string_view full);
  /// Gives the value's digest.
  base::Digest put(const Found& found, const std::string& full, const Write& write, Stamp stamp);
  void remove(const Found& found, const std::string& full, Stamp stamp);
  void attach(LeaseId lease, std::string_view full, bool attached);
  base::Result<> delete_keys(std::span<const std::string> keys);
  base::Result<std::vector<std::string>> keys_of(LeaseId lease);
  void log_revision(LoggedEvents events);
  base::Result<> set_record(const std::string& full, std::optional<std::string_view> value,
                            Shown shown);
  base::Result<> set_lease(LeaseId lease, const LeaseRecord* record);

  base::Result<std::optional<base::Error>> refuse(const Transaction& transaction);
  base::Result<Outcome> run(const Barrier&);
  base::Result<Outcome> run(const Transaction& transaction);
  base::Result<Outcome> run(const GrantLease& grant);
  base::Result<Outcome> run(const KeepAlive& keep);
  base::Result<Outcome> run(const RevokeLease& revoke);
  Outcome done() const { return {.number = head_.revision}; }

  Machine& machine_;
  Slot slot_;
  Time time_;
  Head head_;
  Storage::Batch batch_;
  EventBlock events_;
  std::vector<LoggedRevision> changes_;
  std::string changed_records_;
  std::map<LeaseId, std::map<std::string, bool, std::less<>>> attached_;  // changes of this slot
  std::uint64_t history_bytes_ = 0;
};

}  // namespace hypermesh::state
