#pragma once

#include <memory>
#include <nexus/state_store.hpp>
#include <set>
#include <vector>

#include "state/limits.hpp"
#include "state/state_backend.hpp"
#include "state/stored_state.hpp"

namespace nexus {

/// What one commit did, shared by all watches.
struct CommitEvents {
  Revision revision = 0;
  std::size_t bytes = 0;
  std::vector<WatchEvent> events;
};

/// A caller's wish; exactly one of the three.
struct StateRequest {
  std::vector<Write> writes;
  std::optional<base::Duration> grant;  ///< Makes a lease; the result is its id.
  LeaseId revoke = 0;  ///< Ends a lease and deletes its keys; the result is the revision.
  base::Result<std::uint64_t> result = 0;
};

/// The writing half of the embedded store: turns groups of requests into one durable batch each.
/// Used by one thread at a time; blocks.
class StateWriter {
 public:
  struct Outcome {
    std::vector<std::shared_ptr<const CommitEvents>> commits;
    Revision revision = 0;
    Revision compacted = 0;
  };
  struct LeaseRecord {
    LeaseId lease;
    base::Duration time_to_live;
  };

  /// `backend` is borrowed.
  /// Errors: DataLoss, Unsupported (a newer format).
  static base::Result<std::unique_ptr<StateWriter>> open(StateBackend& backend,
                                                         EventLogLimits limits);

  /// Fills in each request's result. When the batch cannot be written, all of them fail and nothing
  /// changed.
  Outcome apply(const std::vector<std::shared_ptr<StateRequest>>& group, std::set<LeaseId> leases);

  Revision revision() const { return revision_; }
  Revision compacted() const { return compacted_; }
  base::Result<std::vector<LeaseRecord>> leases() const;

 private:
  struct Group;
  StateWriter(StateBackend& backend, EventLogLimits limits) : backend_(backend), limits_(limits) {}
  base::Result<> load();
  base::Result<std::uint64_t> serve(StateRequest& request, Group& group);
  base::Result<Revision> commit(const std::vector<Write>& writes, Group& group);
  base::Result<Revision> revoke(LeaseId lease, Group& group);
  base::Result<> compact(Group& group);
  base::Result<std::uint64_t> bytes_before(Revision revision, const Group& group) const;

  StateBackend& backend_;
  EventLogLimits limits_;
  Revision revision_ = 0;
  Revision compacted_ = 0;           // commits up to here are gone from the log
  std::uint64_t logged_bytes_ = 0;   // ever
  std::uint64_t dropped_bytes_ = 0;  // of them, gone
  LeaseId last_lease_ = 0;
};

/// Events after `after` under `prefix`, read from the log, and up to which revision they go.
struct LoggedEvents {
  std::vector<WatchEvent> events;
  Revision up_to = 0;
};
/// Errors: FailedPrecondition (compacted), DataLoss.
base::Result<LoggedEvents> read_logged_events(const StateBackend& backend, std::string_view prefix,
                                              Revision after);

}  // namespace nexus
