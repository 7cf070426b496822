#include "state/state_writer.hpp"

#include <fmt/format.h>

#include "state/commit_plan.hpp"

namespace nexus {
namespace {

constexpr std::string_view kLastLeaseKey = "mlease";
constexpr std::size_t kReplayCommitsMax = 256;  // read from the log at once
constexpr std::size_t kReplayBytesMax = 1u << 20;

base::Result<std::uint64_t> stored_number(const StateBackend::View& view, std::string_view key) {
  TRY(const auto found, view.get(key));
  if (!found) return 0;
  return decode_number(*found);
}

WatchEvent event_of(Revision revision, PlannedWrite& write) {
  WatchEvent event{revision, std::move(write.key), {}, {}};
  if (write.after) event.value = std::move(write.after->value);
  if (write.before) event.previous = std::move(write.before->value);
  return event;
}

std::size_t bytes_of(const WatchEvent& event) {
  return event.key.size() + (event.value ? event.value->size() : 0) +
         (event.previous ? event.previous->size() : 0);
}

}  // namespace

struct StateWriter::Group {
  const StateBackend::View& view;
  CommitPlanner planner;
  std::set<LeaseId>& leases;
  StateBackend::Batch batch;
  std::vector<std::shared_ptr<const CommitEvents>> commits;
  std::uint64_t logged_bytes;
  std::map<Revision, std::uint64_t> bytes_before;     // of the group's own commits
  std::map<LeaseId, std::set<std::string>> attached;  // by the group
  LeaseId last_lease;
};

base::Result<std::unique_ptr<StateWriter>> StateWriter::open(StateBackend& backend,
                                                             EventLogLimits limits) {
  std::unique_ptr<StateWriter> writer(new StateWriter(backend, limits));
  TRY_DO(writer->load());
  return writer;
}

base::Result<> StateWriter::load() {
  const auto view = backend_.view();
  TRY(const auto format, view->get(kFormatKey));
  if (!format) {
    StateBackend::Batch batch;
    batch.put(kFormatKey, encode_number(kStateFormat));
    return backend_.write(batch);
  }
  TRY(const auto version, decode_number(*format));
  if (version > kStateFormat) {
    return base::fail(base::Errc::Unsupported,
                      fmt::format("the state has format {}; this build knows formats up to {}",
                                  version, kStateFormat));
  }
  TRY(revision_, stored_number(*view, kRevisionKey));
  TRY(compacted_, stored_number(*view, kCompactedKey));
  TRY(last_lease_, stored_number(*view, kLastLeaseKey));
  TRY(const auto last, view->last(commit_key(0), end_of_prefix("e")));
  if (!last) return {};
  TRY(const auto last_revision, number_of_key(last->first));
  if (last_revision != revision_) {
    return base::fail(base::Errc::DataLoss,
                      fmt::format("the state is at revision {} but its log ends at {}", revision_,
                                  last_revision));
  }
  TRY(const auto commit, decode_commit(last->second));
  logged_bytes_ = commit.bytes_before + last->second.size();
  TRY(const auto first, view->scan(commit_key(compacted_ + 1), end_of_prefix("e"), 1, 1));
  if (!first.empty()) {
    TRY(const auto oldest, decode_commit(first.front().second));
    dropped_bytes_ = oldest.bytes_before;
  }
  return {};
}

base::Result<std::vector<StateWriter::LeaseRecord>> StateWriter::leases() const {
  std::vector<LeaseRecord> records;
  const auto view = backend_.view();
  TRY(const auto entries, view->scan("l", "m", SIZE_MAX, SIZE_MAX));
  for (const auto& [key, value] : entries) {
    TRY(const auto lease, number_of_key(key));
    TRY(const auto nanoseconds, decode_number(value));
    records.push_back({lease, base::Duration(nanoseconds)});
  }
  return records;
}

StateWriter::Outcome StateWriter::apply(const std::vector<std::shared_ptr<StateRequest>>& requests,
                                        std::set<LeaseId> leases) {
  if (const auto ready = backend_.prepare(); !ready) {
    for (const auto& request : requests) request->result = std::unexpected(ready.error());
    return {{}, revision_, compacted_};
  }
  const auto view = backend_.view();
  const EntryLookup lookup = [&](std::string_view key) -> base::Result<std::optional<StoredEntry>> {
    TRY(const auto bytes, view->get(entry_key(key)));
    if (!bytes) return std::optional<StoredEntry>();
    return decode_entry(*bytes);
  };
  Group group{
      *view,      CommitPlanner(revision_, lookup, leases), leases, {}, {}, logged_bytes_, {}, {},
      last_lease_};
  for (const auto& request : requests) request->result = serve(*request, group);

  Revision compacted = compacted_;
  base::Result<> written;
  if (!group.batch.writes.empty()) {
    if (group.planner.revision() != revision_) {
      group.batch.put(kRevisionKey, encode_number(group.planner.revision()));
    }
    written = compact(group);
    if (written) written = backend_.write(group.batch);
  }
  if (!written) {
    // What was refused may have been refused because of a commit that now did not happen.
    for (const auto& request : requests) request->result = std::unexpected(written.error());
    compacted_ = compacted;
    return {{}, revision_, compacted_};
  }
  if (compacted_ != compacted) {
    const auto before = bytes_before(compacted_ + 1, group);
    if (before) dropped_bytes_ = *before;
  }
  revision_ = group.planner.revision();
  logged_bytes_ = group.logged_bytes;
  last_lease_ = group.last_lease;
  return {std::move(group.commits), revision_, compacted_};
}

base::Result<std::uint64_t> StateWriter::serve(StateRequest& request, Group& group) {
  if (request.grant) {
    const LeaseId lease = ++group.last_lease;
    group.leases.insert(lease);
    group.batch.put(lease_key(lease),
                    encode_number(static_cast<std::uint64_t>(request.grant->count())));
    group.batch.put(kLastLeaseKey, encode_number(lease));
    return lease;
  }
  if (request.revoke != 0) return revoke(request.revoke, group);
  return commit(request.writes, group);
}

base::Result<Revision> StateWriter::commit(const std::vector<Write>& writes, Group& group) {
  std::vector<RequestedWrite> requested;
  requested.reserve(writes.size());
  for (const Write& write : writes)
    requested.push_back({write.key, &write.value, write.expected, write.lease});
  TRY(CommitPlan plan, group.planner.plan(requested));

  LoggedCommit logged;
  logged.bytes_before = group.logged_bytes;
  auto events = std::make_shared<CommitEvents>();
  events->revision = plan.revision;
  for (PlannedWrite& write : plan.writes) {
    const LeaseId lease_before = write.before ? write.before->lease : 0;
    const LeaseId lease_after = write.after ? write.after->lease : 0;
    if (lease_before != lease_after) {
      if (lease_before != 0) {
        group.batch.remove(attachment_key(lease_before, write.key));
        group.attached[lease_before].erase(write.key);
      }
      if (lease_after != 0) {
        group.batch.put(attachment_key(lease_after, write.key), "");
        group.attached[lease_after].insert(write.key);
      }
    }
    LoggedChange change{write.key, write.before ? write.before->modified : 0, {}};
    if (write.after) {
      change.value = write.after->value;
      group.batch.put(entry_key(write.key), encode_entry(*write.after));
    } else {
      group.batch.remove(entry_key(write.key));
    }
    logged.changes.push_back(std::move(change));
    events->events.push_back(event_of(plan.revision, write));
    events->bytes += bytes_of(events->events.back());
  }
  std::string record = encode_commit(logged);
  group.bytes_before[plan.revision] = group.logged_bytes;
  group.logged_bytes += record.size();
  group.batch.put(commit_key(plan.revision), std::move(record));
  group.commits.push_back(std::move(events));
  return plan.revision;
}

base::Result<Revision> StateWriter::revoke(LeaseId lease, Group& group) {
  if (!group.leases.contains(lease))
    return base::fail(base::Errc::NotFound, fmt::format("lease {} has ended", lease));
  const std::string prefix = attachment_key(lease, "");
  TRY(const auto attached, group.view.scan(prefix, end_of_prefix(prefix), SIZE_MAX, SIZE_MAX));
  std::set<std::string> keys = group.attached[lease];
  for (const auto& [key, value] : attached) keys.insert(key.substr(prefix.size()));
  std::vector<Write> deletes;
  for (const auto& key : keys) {
    deletes.push_back({key, std::nullopt});
    if (deletes.size() < kStateWritesMax) continue;
    TRY_DO(commit(deletes, group));
    deletes.clear();
  }
  if (!deletes.empty()) TRY_DO(commit(deletes, group));
  group.leases.erase(lease);
  group.batch.remove(lease_key(lease));
  return group.planner.revision();
}

base::Result<std::uint64_t> StateWriter::bytes_before(Revision revision, const Group& group) const {
  if (const auto found = group.bytes_before.find(revision); found != group.bytes_before.end())
    return found->second;
  TRY(const auto record, group.view.get(commit_key(revision)));
  if (!record) return group.logged_bytes;
  TRY(const auto commit, decode_commit(*record));
  return commit.bytes_before;
}

// Drops the oldest commits once a tenth more than the limit has gathered, so that it happens
// rarely.
base::Result<> StateWriter::compact(Group& group) {
  const Revision last = group.planner.revision();
  Revision target = compacted_;
  if (last - compacted_ > limits_.commits_max + limits_.commits_max / 10)
    target = last - limits_.commits_max;
  if (group.logged_bytes - dropped_bytes_ > limits_.bytes_max + limits_.bytes_max / 10) {
    const std::uint64_t keep_from = group.logged_bytes - limits_.bytes_max;
    Revision low = compacted_ + 1,
             high = last;  // the first commit that starts at or after keep_from
    while (low < high) {
      const Revision middle = low + (high - low) / 2;
      TRY(const auto before, bytes_before(middle, group));
      if (before < keep_from) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    target = std::max(target, low - 1);
  }
  if (target == compacted_) return {};
  target =
      std::min(target, revision_);  // a group's own commits stay: the batch deletes ranges first
  if (target <= compacted_) return {};
  group.batch.delete_ranges.emplace_back(commit_key(0), commit_key(target + 1));
  group.batch.put(kCompactedKey, encode_number(target));
  compacted_ = target;
  return {};
}

base::Result<LoggedEvents> read_logged_events(const StateBackend& backend, std::string_view prefix,
                                              Revision after) {
  const auto view = backend.view();
  TRY(const auto compacted, stored_number(*view, kCompactedKey));
  if (after < compacted) {
    return base::fail(base::Errc::FailedPrecondition,
                      fmt::format("the changes after revision {} are gone: the oldest kept is {}",
                                  after, compacted + 1));
  }
  LoggedEvents logged{{}, after};
  TRY(const auto records,
      view->scan(commit_key(after + 1), end_of_prefix("e"), kReplayCommitsMax, kReplayBytesMax));
  for (const auto& [key, bytes] : records) {
    TRY(const auto revision, number_of_key(key));
    TRY(auto commit, decode_commit(bytes));
    for (LoggedChange& change : commit.changes) {
      if (!change.key.starts_with(prefix)) continue;
      WatchEvent event{revision, std::move(change.key), std::move(change.value), {}};
      if (change.previous > compacted) {
        TRY(const auto earlier_bytes, view->get(commit_key(change.previous)));
        if (earlier_bytes) {
          TRY(auto earlier, decode_commit(*earlier_bytes));
          for (LoggedChange& candidate : earlier.changes) {
            if (candidate.key == event.key) event.previous = std::move(candidate.value);
          }
        }
      }
      logged.events.push_back(std::move(event));
    }
    logged.up_to = revision;
  }
  return logged;
}

}  // namespace nexus
