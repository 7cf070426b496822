#pragma once

#include <map>
#include <optional>
#include <set>
#include <vector>

#include "state/keys.hpp"
#include "state/storage.hpp"

namespace hypermesh::state {

struct LeaseRecord {
  Time time_to_live = 0;
  Time end = 0;  ///< In ordered time; kept alive, it moves.
  bool operator==(const LeaseRecord&) const = default;
};
std::string encode_lease(const LeaseRecord& lease);
/// Errors: DataLoss.
base::Result<LeaseRecord> decode_lease(std::string_view bytes);
std::string lease_full_key(LeaseId lease);

/// The leases of the state, which also lie in its tree; in memory for their order by end.
class LeaseTable {
 public:
  void set(LeaseId lease, const LeaseRecord& record);
  void erase(LeaseId lease);
  const LeaseRecord* find(LeaseId lease) const;
  /// Those that end at or before `now`, ascending by id.
  std::vector<LeaseId> expired(Time now) const;
  /// When the first one ends.
  std::optional<Time> first_end() const;
  std::size_t size() const { return leases_.size(); }
  void clear() { *this = {}; }

 private:
  std::map<LeaseId, LeaseRecord> leases_;
  std::set<std::pair<Time, LeaseId>> by_end_;
};

}  // namespace hypermesh::state
