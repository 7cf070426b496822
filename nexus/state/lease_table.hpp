#pragma once

#include <base/time.hpp>
#include <map>
#include <optional>
#include <set>
#include <vector>

namespace nexus {

/// When leases end. Pure: time is an argument.
class LeaseTable {
 public:
  void grant(std::uint64_t lease, base::Duration time_to_live, base::MonotonicTime now);
  /// False when there is no such lease, or it has ended already.
  bool keep_alive(std::uint64_t lease, base::MonotonicTime now);
  void revoke(std::uint64_t lease);
  std::vector<std::uint64_t> expired(base::MonotonicTime now) const;
  std::optional<base::MonotonicTime> next_end() const;
  const std::set<std::uint64_t>& ids() const { return ids_; }

 private:
  struct Lease {
    base::Duration time_to_live;
    base::MonotonicTime end;
  };
  std::map<std::uint64_t, Lease> leases_;
  std::set<std::uint64_t> ids_;
  std::set<std::pair<base::MonotonicTime, std::uint64_t>> by_end_;
};

}  // namespace nexus
