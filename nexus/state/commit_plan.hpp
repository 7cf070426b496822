#pragma once

// What a transaction does to the state, decided before anything is written.

#include <functional>
#include <map>
#include <set>
#include <span>

#include "state/stored_state.hpp"

namespace nexus {

/// nexus::Write as a plain value.
struct PlannedWrite {
  std::string key;
  std::optional<StoredEntry> before;
  std::optional<StoredEntry> after;
};
struct CommitPlan {
  Revision revision = 0;
  std::vector<PlannedWrite> writes;  ///< Deletes of keys that do not exist are left out.
};

struct RequestedWrite {
  std::string_view key;
  const std::optional<std::string>* value;
  std::optional<Revision> expected;
  std::uint64_t lease;
};

using EntryLookup = std::function<base::Result<std::optional<StoredEntry>>(std::string_view key)>;

/// Plans one commit after another on top of each other, so that a group of them can be written at
/// once.
class CommitPlanner {
 public:
  /// `lookup` reads the state under the group, of revision `base`; borrowed.
  CommitPlanner(Revision base, const EntryLookup& lookup, const std::set<std::uint64_t>& leases)
      : revision_(base), lookup_(lookup), leases_(leases) {}

  /// Errors: InvalidArgument, Conflict, FailedPrecondition (no such lease), ResourceExhausted (too
  /// large); then the plan is as before.
  base::Result<CommitPlan> plan(std::span<const RequestedWrite> writes);
  Revision revision() const { return revision_; }

 private:
  base::Result<std::optional<StoredEntry>> current(std::string_view key) const;

  Revision revision_;
  const EntryLookup& lookup_;
  const std::set<std::uint64_t>& leases_;
  std::map<std::string, std::optional<StoredEntry>, std::less<>> changed_;  // by the plans before
};

}  // namespace nexus
