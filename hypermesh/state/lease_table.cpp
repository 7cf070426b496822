#include "state/lease_table.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace hypermesh::state {
namespace {

constexpr char kLeaseFormat = 1;

}  // namespace

std::string encode_lease(const LeaseRecord& lease) {
  std::string out(1, kLeaseFormat);
  put_u64(out, lease.time_to_live);
  put_u64(out, lease.end);
  return out;
}

base::Result<LeaseRecord> decode_lease(std::string_view bytes) {
  if (bytes.size() != 17 || bytes[0] != kLeaseFormat) {
    return base::fail(base::Errc::DataLoss,
                      fmt::format("a lease of {} bytes is not of format {}", bytes.size(),
                                  static_cast<int>(kLeaseFormat)));
  }
  return LeaseRecord{get_u64(bytes.substr(1)), get_u64(bytes.substr(9))};
}

std::string lease_full_key(LeaseId lease) {
  std::string key(1, static_cast<char>(Space::Lease));
  put_u64(key, lease);
  return key;
}

void LeaseTable::set(LeaseId lease, const LeaseRecord& record) {
  erase(lease);
  leases_.emplace(lease, record);
  by_end_.emplace(record.end, lease);
}

void LeaseTable::erase(LeaseId lease) {
  const auto found = leases_.find(lease);
  if (found == leases_.end()) return;
  by_end_.erase({found->second.end, lease});
  leases_.erase(found);
}

const LeaseRecord* LeaseTable::find(LeaseId lease) const {
  const auto found = leases_.find(lease);
  return found == leases_.end() ? nullptr : &found->second;
}

std::vector<LeaseId> LeaseTable::expired(Time now) const {
  std::vector<LeaseId> ended;
  for (const auto& [end, lease] : by_end_) {
    if (end > now) break;
    ended.push_back(lease);
  }
  std::ranges::sort(ended);
  return ended;
}

std::optional<Time> LeaseTable::first_end() const {
  if (by_end_.empty()) return std::nullopt;
  return by_end_.begin()->first;
}

}  // namespace hypermesh::state
