#pragma once

#include <base/random.hpp>
#include <map>
#include <set>

#include "state/machine.hpp"
#include "state/view.hpp"

namespace hypermesh::state::testing {

/// The state as anyone would write it down: maps, and a copy of them for each revision.
class Model {
 public:
  struct Value {
    std::string value;
    Revision created = 0, modified = 0;
    LeaseId lease = 0;
    bool operator==(const Value&) const = default;
  };
  using Values = std::map<std::string, Value>;
  struct Lease {
    Time time_to_live = 0, end = 0;
  };

  Values values;
  std::map<LeaseId, Lease> leases;
  std::map<std::string, std::string> system;
  LeaseId last_lease = 0;
  Revision revision = 0;
  std::map<Revision, Values> past{{0, {}}};
  std::vector<Event> events;

  void begin(Time time) {
    std::set<std::string> keys;
    for (auto at = leases.begin(); at != leases.end();) {
      if (at->second.end > time) {
        ++at;
        continue;
      }
      for (const auto& [key, value] : values) {
        if (value.lease == at->first) keys.insert(key);
      }
      at = leases.erase(at);
    }
    drop(keys);
  }

  Outcome apply(const Operation& operation, Time time) {
    if (operation.deadline != 0 && time > operation.deadline) return refused(base::Errc::TimedOut);
    if (const auto* grant = std::get_if<GrantLease>(&operation.action)) {
      if (grant->time_to_live == 0) return refused(base::Errc::InvalidArgument);
      leases[++last_lease] = {grant->time_to_live, time + grant->time_to_live};
      return {.number = last_lease};
    }
    if (const auto* keep = std::get_if<KeepAlive>(&operation.action)) {
      if (!leases.contains(keep->lease)) return refused(base::Errc::NotFound);
      leases[keep->lease].end = time + leases[keep->lease].time_to_live;
    } else if (const auto* revoke = std::get_if<RevokeLease>(&operation.action)) {
      if (!leases.contains(revoke->lease)) return refused(base::Errc::NotFound);
      std::set<std::string> keys;
      for (const auto& [key, value] : values) {
        if (value.lease == revoke->lease) keys.insert(key);
      }
      drop(keys);
      leases.erase(revoke->lease);
    } else if (const auto* transaction = std::get_if<Transaction>(&operation.action)) {
      if (const auto code = commit(*transaction)) return refused(*code);
    }
    return {.number = revision};
  }

 private:
  static Outcome refused(base::Errc code) { return {.refused = code}; }

  void record(const std::string& key, std::optional<std::string> value) {
    Event event{revision, key, std::move(value), {}};
    if (const auto found = past.rbegin()->second.find(key); found != past.rbegin()->second.end())
      event.previous = found->second.value;
    events.push_back(std::move(event));
  }

  void drop(const std::set<std::string>& keys) {
    if (keys.empty()) return;
    ++revision;
    for (const auto& key : keys) {
      values.erase(key);
      record(key, std::nullopt);
    }
    past[revision] = values;
  }

  std::optional<base::Errc> commit(const Transaction& transaction) {
    std::set<std::string> keys;
    for (const Write& write : transaction.writes) {
      if (write.key.empty() || !keys.insert(write.key).second) return base::Errc::InvalidArgument;
    }
    if (keys.empty()) return base::Errc::InvalidArgument;
    for (const Condition& condition : transaction.conditions) {
      const auto found = values.find(condition.key);
      if ((found == values.end() ? 0 : found->second.modified) != condition.modified)
        return base::Errc::Conflict;
    }
    for (const Write& write : transaction.writes) {
      if (write.value && write.lease != 0 && !leases.contains(write.lease))
        return base::Errc::FailedPrecondition;
    }
    ++revision;
    for (const Write& write : transaction.writes) {
      const auto found = values.find(write.key);
      if (write.value) {
        const Revision created = found == values.end() ? revision : found->second.created;
        values[write.key] = {*write.value, created, revision, write.lease};
      } else if (found != values.end()) {
        values.erase(found);
      } else {
        continue;
      }
      record(write.key, write.value);
    }
    past[revision] = values;
    return std::nullopt;
  }
};

/// Operations that meet each other: few keys, few leases, conditions that often hold.
inline Operation random_operation(base::Rng& rng, const Model& model, Time time, std::size_t keys) {
  const auto key = [&] { return "k/" + std::to_string(rng.below(keys)); };
  Operation operation;
  if (rng.below(20) == 0) operation.deadline = time - 1 + rng.below(3);
  const LeaseId lease = rng.below(3) == 0 ? rng.below(model.last_lease + 2) : 0;
  const auto kind = rng.below(20);
  if (kind == 0) {
    operation.action = GrantLease{rng.below(40)};
  } else if (kind == 1) {
    operation.action = KeepAlive{lease};
  } else if (kind == 2) {
    operation.action = RevokeLease{lease};
  } else if (kind > 3) {
    Transaction transaction;
    for (auto i = rng.below(4); i > 0; --i) {
      Write write{key(), std::nullopt, lease};
      if (rng.below(4) != 0)
        write.value = std::string(rng.below(60), 'v') + std::to_string(rng.u64());
      transaction.writes.push_back(std::move(write));
    }
    for (auto i = rng.below(2); i > 0; --i) {
      const auto each = key();
      const auto found = model.values.find(each);
      const Revision right = found == model.values.end() ? 0 : found->second.modified;
      transaction.conditions.push_back({each, rng.below(5) == 0 ? rng.below(9) : right});
    }
    operation.action = std::move(transaction);
  }
  return operation;
}

}  // namespace hypermesh::state::testing
