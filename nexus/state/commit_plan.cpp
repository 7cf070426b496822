#include "state/commit_plan.hpp"

#include <fmt/format.h>

#include "state/limits.hpp"

namespace nexus {
namespace {

base::Result<> check_limits(std::span<const RequestedWrite> writes) {
  if (writes.empty()) return base::fail(base::Errc::InvalidArgument, "a transaction has no writes");
  if (writes.size() > kStateWritesMax) {
    return base::fail(base::Errc::ResourceExhausted,
                      fmt::format("a transaction has {} writes; at most {} are allowed",
                                  writes.size(), kStateWritesMax));
  }
  std::size_t bytes = 0;
  std::set<std::string_view> keys;
  for (const RequestedWrite& write : writes) {
    if (write.key.empty())
      return base::fail(base::Errc::InvalidArgument, "a transaction has an empty key");
    if (write.key.size() > kStateKeyBytesMax) {
      return base::fail(base::Errc::InvalidArgument,
                        fmt::format("key {}... has {} bytes; at most {} are allowed",
                                    write.key.substr(0, 40), write.key.size(), kStateKeyBytesMax));
    }
    if (!keys.insert(write.key).second) {
      return base::fail(base::Errc::InvalidArgument,
                        fmt::format("a transaction writes {} twice", write.key));
    }
    const std::size_t value_bytes = *write.value ? (*write.value)->size() : 0;
    if (value_bytes > kStateValueBytesMax) {
      return base::fail(base::Errc::ResourceExhausted,
                        fmt::format("the value of {} has {} bytes; at most {} are allowed",
                                    write.key, value_bytes, kStateValueBytesMax));
    }
    bytes += write.key.size() + value_bytes;
  }
  if (bytes > kStateCommitBytesMax) {
    return base::fail(base::Errc::ResourceExhausted,
                      fmt::format("a transaction has {} bytes; at most {} are allowed", bytes,
                                  kStateCommitBytesMax));
  }
  return {};
}

}  // namespace

base::Result<std::optional<StoredEntry>> CommitPlanner::current(std::string_view key) const {
  if (const auto found = changed_.find(key); found != changed_.end()) return found->second;
  return lookup_(key);
}

base::Result<CommitPlan> CommitPlanner::plan(std::span<const RequestedWrite> writes) {
  TRY_DO(check_limits(writes));
  CommitPlan plan;
  plan.revision = revision_ + 1;
  for (const RequestedWrite& write : writes) {
    PlannedWrite planned{std::string(write.key), {}, {}};
    TRY(planned.before, current(write.key));
    const Revision found = planned.before ? planned.before->modified : 0;
    if (write.expected && *write.expected != found) {
      return base::fail(base::Errc::Conflict,
                        *write.expected == 0
                            ? fmt::format("{} exists since revision {}", write.key, found)
                        : found == 0 ? fmt::format("{} does not exist; revision {} was expected",
                                                   write.key, *write.expected)
                                     : fmt::format("{} is at revision {}; {} was expected",
                                                   write.key, found, *write.expected));
    }
    if (write.lease != 0 && !leases_.contains(write.lease)) {
      return base::fail(base::Errc::FailedPrecondition,
                        fmt::format("lease {} of {} has ended", write.lease, write.key));
    }
    if (*write.value) {
      planned.after = StoredEntry{planned.before ? planned.before->created : plan.revision,
                                  plan.revision, write.lease, **write.value};
    }
    if (planned.before || planned.after) plan.writes.push_back(std::move(planned));
  }
  for (const PlannedWrite& planned : plan.writes)
    changed_.insert_or_assign(planned.key, planned.after);
  revision_ = plan.revision;
  return plan;
}

}  // namespace nexus
