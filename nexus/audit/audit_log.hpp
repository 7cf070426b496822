#pragma once

// The audit log of a node: who did what, in an order that cannot be changed afterwards.
//
// An entry is written in the same transaction of the state as what it speaks of (the outbox), so
// with one fsync there are both or neither. The order of the log is the order of revisions: whoever
// reads the outbox again after a crash gives every record the same number, the same hash and the
// same root as before. The files follow in groups; what they hold leaves the outbox with a later
// commit.

#include <base/async/blocking_pool.hpp>
#include <base/async/task_scope.hpp>
#include <base/log.hpp>
#include <base/metrics.hpp>
#include <deque>
#include <map>
#include <nexus/state_store.hpp>

#include "audit/audit_files.hpp"
#include "audit/receipt.hpp"

namespace nexus {

/// What convinces a stranger that a record is in the log.
struct AuditProof {
  AuditRecord record;
  base::Bytes encoded;             ///< What the leaf's hash is over.
  std::vector<base::Digest> path;  ///< RFC 6962 inclusion proof, to `head`.
  SignedTreeHead head;
};

class AuditLog final {
 public:
  struct Limits {
    std::size_t unsynced_bytes_max = 64 * 1024;           ///< Then the files are written at once,
    base::Duration sync_after = std::chrono::seconds(1);  ///< else so long after the first record.
    std::size_t outbox_removed_max = 128;                 ///< By one commit.
    bool state_synced = true;  ///< What the state has acknowledged outlives a loss of power.
  };
  struct Committed {
    Revision revision = 0;
    Receipt receipt;  ///< Of the last entry.
  };

  /// `state`, `pool`, `key` (the node's identity) and `clock` are borrowed and outlive the log.
  /// Errors: DataLoss, ResourceExhausted, Forbidden.
  static base::Task<base::Result<std::unique_ptr<AuditLog>>> open(
      base::Executor executor, base::BlockingPool& pool, const std::filesystem::path& folder,
      StateStore& state, const base::SigningKey& key, const base::Clock& clock,
      base::Metrics& metrics, base::Log log, Limits limits);
  /// After `close`.
  ~AuditLog();

  /// Commits `writes` and their entries together: both are there or neither. Errors: as
  /// StateStore::commit.
  base::Task<base::Result<Committed>> commit(std::vector<Write> writes,
                                             std::vector<AuditEntry> entries);
  /// An entry that changes nothing: a denied request, an exec, an attach.
  base::Task<base::Result<Receipt>> record(AuditEntry entry);

  base::Task<base::Result<std::vector<AuditRecord>>> list(AuditQuery query);
  /// Errors: NotFound.
  base::Task<base::Result<AuditProof>> prove(std::uint64_t sequence);
  /// That the log of now only added to that of `old_size` records. Errors: InvalidArgument.
  base::Task<base::Result<std::vector<base::Digest>>> prove_consistency(std::uint64_t old_size,
                                                                        std::uint64_t new_size);
  /// Root of the first `size` records. Errors: InvalidArgument (there are fewer).
  base::Task<base::Result<base::Digest>> root_of(std::uint64_t size);
  /// Reads the whole log. The head that it was checked against. Errors: NotVerified (names the
  /// record).
  base::Task<base::Result<SignedTreeHead>> verify_all();
  const SignedTreeHead& head() const { return head_; }

  /// Brings the files up to date and ends.
  base::Task<> close();

 private:
  // An outbox entry that is in the log, and where the log stood after it.
  struct Placed {
    std::string key;
    AuditCheckpoint checkpoint;
  };
  class Turn;

  AuditLog(base::Executor executor, base::BlockingPool& pool, std::unique_ptr<AuditFiles> files,
           StateStore& state, const base::SigningKey& key, const base::Clock& clock,
           base::Metrics& metrics, base::Log log, Limits limits);
  base::Task<base::Result<>> load();
  base::Task<base::Result<>> tell_of_lost(std::uint64_t records);
  base::Result<> place(const std::string& key, std::string_view staged, Revision revision);
  void sign_head();
  base::Task<> follow(std::unique_ptr<Watch> outbox);
  base::Task<> sync_later();
  void want_sync();
  base::Task<base::Result<>> flush();
  void add_housekeeping(std::vector<Write>& writes);
  template <class F>
  auto on_files(F call) -> base::Task<decltype(call(std::declval<AuditFiles&>(),
                                                    std::declval<const SignedTreeHead&>()))>;

  base::Executor executor_;
  base::BlockingPool& pool_;
  std::unique_ptr<AuditFiles> files_;
  StateStore& state_;
  const base::SigningKey& key_;
  const base::Clock& clock_;
  base::Log log_;
  Limits limits_;
  base::Counter& records_total_;

  AuditChain chain_;
  SignedTreeHead head_;
  SignedTreeHead written_head_;  // of what the files hold
  std::map<Revision, std::uint64_t>
      sequences_;  // last record of a recent revision, for those who wait for it
  base::Event placed_changed_;
  std::optional<base::Error> failed_;

  AuditGrowth unwritten_;
  std::deque<Placed> unsynced_, removable_;  // oldest first
  bool housekeeping_ = false;                // a commit that removes entries is under way
  std::uint64_t next_outbox_ = 1;

  bool files_busy_ = false;
  base::Event files_free_, sync_wanted_;
  bool syncing_ = false;
  bool closing_ = false;
  base::TaskScope follower_, syncs_;
};

}  // namespace nexus
