#include <fmt/format.h>

#include <algorithm>

#include "state/key_list.hpp"
#include "state/machine.hpp"
#include "state/row.hpp"

namespace hypermesh::state {
namespace {

// Deletions of one revision when leases end; a lease of more keys ends in several.
constexpr std::size_t kExpiryKeysMax = 4096;

}  // namespace

base::Result<Outcome> SlotApply::apply_encoded(base::BytesView bytes) {
  const auto operation = decode_operation(bytes);
  if (!operation) return refusal(operation.error());
  return apply(*operation);
}

base::Result<Outcome> SlotApply::apply(const Operation& operation) {
  if (operation.deadline != 0 && time_ > operation.deadline) {
    return refusal(base::make_error(base::Errc::TimedOut,
                                    "the operation's deadline had passed when it was ordered; "
                                    "nothing changed"));
  }
  return std::visit([this](const auto& action) { return run(action); }, operation.action);
}

base::Result<Outcome> SlotApply::run(const Barrier&) {
  return done();
}

base::Result<std::optional<base::Error>> SlotApply::refuse(const Transaction& transaction) {
  using base::Errc;
  using base::make_error;
  if (transaction.writes.empty())
    return make_error(Errc::InvalidArgument, "a transaction has no writes");
  if (transaction.writes.size() > kWritesMax || transaction.conditions.size() > kConditionsMax) {
    return make_error(
        Errc::ResourceExhausted,
        fmt::format("a transaction has {} writes and {} conditions; at most {} and {} are allowed",
                    transaction.writes.size(), transaction.conditions.size(), kWritesMax,
                    kConditionsMax));
  }
  std::size_t bytes = 0;
  std::set<std::string_view> keys;
  const auto bad_key = [](std::string_view key) {
    return key.empty() || key.size() > kKeyBytesMax;
  };
  for (const Write& write : transaction.writes) {
    if (bad_key(write.key)) {
      return make_error(
          Errc::InvalidArgument,
          fmt::format("a key has {} bytes; 1 to {} are allowed", write.key.size(), kKeyBytesMax));
    }
    if (!keys.insert(write.key).second) {
      return make_error(Errc::InvalidArgument,
                        fmt::format("a transaction writes {} twice", write.key));
    }
    const std::size_t value_bytes = write.value ? write.value->size() : 0;
    if (value_bytes > kValueBytesMax) {
      return make_error(Errc::ResourceExhausted,
                        fmt::format("the value of {} has {} bytes; at most {} are allowed",
                                    write.key, value_bytes, kValueBytesMax));
    }
    bytes += write.key.size() + value_bytes;
  }
  for (const Condition& condition : transaction.conditions) {
    if (bad_key(condition.key)) {
      return make_error(Errc::InvalidArgument,
                        fmt::format("a condition's key has {} bytes; 1 to {} are allowed",
                                    condition.key.size(), kKeyBytesMax));
    }
    bytes += condition.key.size();
  }
  if (bytes > kTransactionBytesMax) {
    return make_error(Errc::ResourceExhausted,
                      fmt::format("a transaction has {} bytes; at most {} are allowed", bytes,
                                  kTransactionBytesMax));
  }
  for (const Condition& condition : transaction.conditions) {
    TRY(const Pending* const pending, find(full_key(Space::User, condition.key)));
    const Revision found = pending->after ? pending->after->modified : 0;
    if (found == condition.modified) continue;
    return make_error(Errc::Conflict,
                      condition.modified == 0
                          ? fmt::format("{} exists since revision {}", condition.key, found)
                      : found == 0 ? fmt::format("{} does not exist; revision {} was expected",
                                                 condition.key, condition.modified)
                                   : fmt::format("{} is at revision {}; {} was expected",
                                                 condition.key, found, condition.modified));
  }
  for (const Write& write : transaction.writes) {
    if (write.value && write.lease != 0 && !machine_.leases_.find(write.lease)) {
      return make_error(Errc::FailedPrecondition,
                        fmt::format("lease {} of {} has ended", write.lease, write.key));
    }
  }
  return std::nullopt;
}

base::Result<Outcome> SlotApply::run(const Transaction& transaction) {
  TRY(const auto error, refuse(transaction));
  if (error) return refusal(*error);
  const Revision revision = head_.revision + 1;
  LoggedEvents events;
  events.reserve(transaction.writes.size());
  for (const Write& write : transaction.writes) {
    const std::string full = full_key(Space::User, write.key);
    TRY(Pending* const pending, find(full));
    const Revision previous = pending->after ? pending->after->modified : 0;
    if (write.value) {
      const auto digest = put(*pending, full, *write.value, write.lease, revision);
      events.push_back(
          {write.key, digest, previous, static_cast<std::uint32_t>(write.value->size())});
    } else if (pending->after) {
      remove(*pending, full, revision);
      events.push_back({write.key, {}, previous, 0});
    }
  }
  log_revision(std::move(events));
  return done();
}

base::Result<Outcome> SlotApply::run(const GrantLease& grant) {
  if (grant.time_to_live == 0 || grant.time_to_live > kLeaseTtlMax) {
    return refusal(
        base::make_error(base::Errc::InvalidArgument,
                         fmt::format("a lease of {} ns is asked for; 1 to {} are allowed",
                                     grant.time_to_live, kLeaseTtlMax)));
  }
  if (machine_.leases_.size() >= kLeasesMax) {
    return refusal(
        base::make_error(base::Errc::ResourceExhausted,
                         fmt::format("there are {} leases, the most allowed", kLeasesMax)));
  }
  const LeaseId lease = ++head_.last_lease;
  const LeaseRecord record{grant.time_to_live, time_ + grant.time_to_live};
  TRY_DO(set_lease(lease, &record));
  return Outcome{.number = lease};
}

base::Result<Outcome> SlotApply::run(const KeepAlive& keep) {
  const LeaseRecord* const found = machine_.leases_.find(keep.lease);
  if (!found) {
    return refusal(
        base::make_error(base::Errc::NotFound, fmt::format("lease {} has ended", keep.lease)));
  }
  const LeaseRecord record{found->time_to_live, time_ + found->time_to_live};
  TRY_DO(set_lease(keep.lease, &record));
  return done();
}

base::Result<Outcome> SlotApply::run(const RevokeLease& revoke) {
  if (!machine_.leases_.find(revoke.lease)) {
    return refusal(
        base::make_error(base::Errc::NotFound, fmt::format("lease {} has ended", revoke.lease)));
  }
  TRY(const auto keys, keys_of(revoke.lease));
  TRY_DO(delete_keys(keys));
  TRY_DO(set_lease(revoke.lease, nullptr));
  return done();
}

base::Result<> SlotApply::expire_leases() {
  const auto ended = machine_.leases_.expired(time_);
  std::vector<std::string> keys;
  for (const LeaseId lease : ended) {
    TRY(const auto of_lease, keys_of(lease));
    keys.insert(keys.end(), of_lease.begin(), of_lease.end());
    TRY_DO(set_lease(lease, nullptr));
  }
  std::ranges::sort(keys);
  return delete_keys(keys);
}

base::Result<> SlotApply::delete_keys(std::span<const std::string> keys) {
  while (!keys.empty()) {
    const auto some = keys.first(std::min(keys.size(), kExpiryKeysMax));
    LoggedEvents events;
    for (const std::string& full : some) {
      TRY(Pending* const pending, find(full));
      BASE_ASSERT(pending->after.has_value(), "an attached key exists");
      events.push_back({std::string(user_part(full)), {}, pending->after->modified, 0});
      remove(*pending, full, head_.revision + 1);
    }
    log_revision(std::move(events));
    keys = keys.subspan(some.size());
  }
  return {};
}

base::Result<std::vector<std::string>> SlotApply::keys_of(LeaseId lease) {
  const std::string prefix = attachment_key(lease, "");
  std::set<std::string> keys;
  TRY_DO(machine_.storage_.scan(prefix, end_of_prefix(prefix),
                                [&](std::string_view key, std::string_view) {
                                  keys.emplace(key.substr(prefix.size()));
                                  return true;
                                }));
  for (const auto& [key, attached] : attached_[lease]) {
    if (attached) {
      keys.insert(key);
    } else {
      keys.erase(key);
    }
  }
  return std::vector<std::string>(keys.begin(), keys.end());
}

void SlotApply::log_revision(LoggedEvents events) {
  ++head_.revision;
  head_.chain = chain_after(head_.chain, head_.revision, events);
  history_bytes_ += history_bytes_of(events);
  batch_.put(event_key(head_.revision), encode_events(events));
}

base::Result<> SlotApply::set_lease(LeaseId lease, const LeaseRecord* record) {
  const std::string full = lease_full_key(lease);
  TRY(Pending* const pending, find(full));
  if (record) {
    put(*pending, full, encode_lease(*record), 0, slot_);
    machine_.leases_.set(lease, *record);
  } else {
    remove(*pending, full, slot_);
    machine_.leases_.erase(lease);
  }
  return {};
}

base::Result<std::optional<std::string>> SlotApply::system(std::string_view key) {
  const std::string full = full_key(Space::System, key);
  TRY(const Pending* const pending, find(full));
  if (!pending->after) return std::optional<std::string>();
  TRY(std::string value, value_of(full, *pending->after));
  return std::optional(std::move(value));
}

base::Result<> SlotApply::set_system(std::string_view key, std::optional<std::string_view> value) {
  BASE_ASSERT(
      !key.empty() && key.size() <= kKeyBytesMax && (!value || value->size() <= kValueBytesMax),
      "a record of the consensus layer keeps to the limits");
  const std::string full = full_key(Space::System, key);
  TRY(Pending* const pending, find(full));
  if (value) {
    put(*pending, full, *value, 0, slot_);
  } else if (pending->after) {
    remove(*pending, full, slot_);
  }
  return {};
}

base::Result<SlotApply::Pending*> SlotApply::find(std::string_view full) {
  const auto [at, is_new] = changed_.try_emplace(std::string(full));
  Pending& pending = at->second;
  if (!is_new) return &pending;
  pending.key_hash = base::sha256(full);
  TRY(const Leaf* const leaf, machine_.tree_.find(pending.key_hash, full));
  if (leaf) pending.before = pending.after = *leaf;
  return &pending;
}

base::Result<std::string> SlotApply::value_of(std::string_view full, const Leaf& leaf) {
  if (const auto found = values_.find(full); found != values_.end()) return found->second;
  TRY(Row row, read_row(machine_.storage_, full, leaf.modified));
  return std::move(row.value);
}

base::Digest SlotApply::put(Pending& pending, std::string_view full, std::string_view value,
                            LeaseId lease, Stamp stamp) {
  const LeaseId lease_before = pending.after ? pending.after->lease : 0;
  if (lease_before != lease) {
    attach(lease_before, full, false);
    attach(lease, full, true);
  }
  if (!pending.after) pending.after = Leaf{.key = std::string(full), .created = stamp};
  pending.after->modified = stamp;
  pending.after->lease = lease;
  pending.written = true;
  const auto digest = base::sha256(value);
  pending.after->hash = leaf_hash(pending.key_hash, pending.after->created, stamp, lease, digest);
  batch_.put(row_key(full, stamp), encode_row(pending.after->created, lease, value));
  if (space_of(full) != Space::User)
    values_.insert_or_assign(std::string(full), std::string(value));
  return digest;
}

void SlotApply::remove(Pending& pending, std::string_view full, Stamp stamp) {
  if (pending.after) attach(pending.after->lease, full, false);
  pending.after.reset();
  pending.written = true;
  if (space_of(full) == Space::User) {
    batch_.put(row_key(full, stamp), encode_deletion());  // for reads of the past
  } else {
    batch_.remove(row_key(full, stamp));  // what this very slot may have written
    values_.erase(std::string(full));
  }
}

void SlotApply::attach(LeaseId lease, std::string_view full, bool attached) {
  if (lease == 0) return;
  attached_[lease].insert_or_assign(std::string(full), attached);
  if (attached) {
    batch_.put(attachment_key(lease, full), "");
  } else {
    batch_.remove(attachment_key(lease, full));
  }
}

base::Result<> SlotApply::finish() {
  if (head_ != machine_.head_) {
    TRY(Pending* const pending, find(kHeadKey));
    put(*pending, kHeadKey, encode_head(head_), 0, slot_);
  }
  LocalMeta& meta = machine_.meta_;
  std::vector<LeafChange> changes;
  std::vector<std::string> stale;
  std::vector<std::string> listed;
  changes.reserve(changed_.size());
  for (auto& [full, pending] : changed_) {
    if (!pending.written || (!pending.before && !pending.after)) continue;
    if (pending.before && space_of(full) != Space::User && pending.before->modified != slot_) {
      // Nothing but a kept checkpoint can still want the value before.
      const bool wanted =
          !meta.checkpoints.empty() && pending.before->modified <= meta.checkpoints.back().slot;
      std::string row = row_key(full, pending.before->modified);
      if (wanted) {
        stale.push_back(std::move(row));
      } else {
        batch_.remove(std::move(row));
      }
    }
    if (space_of(full) != Space::User) listed.push_back((pending.after ? "+" : "-") + full);
    changes.push_back({pending.key_hash, std::move(pending.after)});
  }
  std::ranges::sort(changes, {}, &LeafChange::key_hash);
  TRY_DO(machine_.tree_.update(meta.version, changes));
  meta.history_bytes += history_bytes_;
  const std::uint64_t added = head_.revision - meta.revision;
  TRY_DO(machine_.compact_history(batch_, added));
  meta.applied = slot_;
  meta.revision = head_.revision;
  meta.root = machine_.tree_.ref().root;
  if (machine_.tree_.changed_nodes() > machine_.options_.changed_nodes_max) {
    machine_.store_tree(batch_, stale);
  } else if (!listed.empty()) {
    batch_.put(change_key(slot_), encode_keys(listed));
    machine_.change_lists_.push_back(slot_);
  }
  if (!stale.empty()) batch_.put(stale_key(meta.version, slot_), encode_keys(stale));
  TRY_DO(machine_.prune_stale(batch_, 256 + 2 * stale.size()));
  batch_.put(std::string(kLocalMetaKey), encode_meta(meta));
  TRY_DO(machine_.storage_.write(batch_));
  machine_.head_ = head_;
  machine_.failed_ = false;
  return {};
}

}  // namespace hypermesh::state
