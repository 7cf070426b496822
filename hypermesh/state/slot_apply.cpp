#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "state/machine.hpp"
#include "state/row.hpp"

namespace hypermesh::state {
namespace {

// Deletions of one revision when leases end; a lease of more keys ends in several.
constexpr std::size_t kExpiryKeysMax = 4096;
// What is no longer needed goes with every so many slots.
constexpr Slot kTidySlots = 16;

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
  if (auto checked = check(transaction); !checked) return std::move(checked).error();
  for (const Condition& condition : transaction.conditions) {
    TRY(const Found now, find(full_key(Space::User, condition.key)));
    const Revision found = now.meta ? now.meta->modified : 0;
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
    TRY(const Found found, find(full));
    const Revision previous = found.meta ? found.meta->modified : 0;
    if (write.value) {
      const auto digest = put(found, full, write, revision);
      events.push_back(
          {write.key, digest, previous, static_cast<std::uint32_t>(write.value->size())});
    } else if (found.meta) {
      remove(found, full, revision);
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
      TRY(const Found found, find(full));
      BASE_ASSERT(found.meta.has_value(), "an attached key exists");
      events.push_back({std::string(user_part(full)), {}, found.meta->modified, 0});
      remove(found, full, head_.revision + 1);
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
  events_.add(head_.revision, events);
  if (events_.full()) events_.store(batch_);
  changes_.push_back({head_.revision, std::move(events)});
}

base::Result<> SlotApply::set_lease(LeaseId lease, const LeaseRecord* record) {
  const std::string full = lease_full_key(lease);
  if (record) {
    TRY_DO(set_record(full, encode_lease(*record), Shown::AtOnce));
    machine_.leases_.set(lease, *record);
  } else {
    TRY_DO(set_record(full, std::nullopt, Shown::AtOnce));
    machine_.leases_.erase(lease);
  }
  return {};
}

base::Result<std::optional<std::string>> SlotApply::system(std::string_view key) {
  return machine_.record(full_key(Space::System, key));
}

base::Result<> SlotApply::set_system(std::string_view key, std::optional<std::string_view> value,
                                     Shown shown) {
  BASE_ASSERT(
      !key.empty() && key.size() <= kKeyBytesMax && (!value || value->size() <= kValueBytesMax),
      "a record of the consensus layer keeps to the limits");
  return set_record(full_key(Space::System, key), value, shown);
}

base::Result<> SlotApply::set_record(const std::string& full, std::optional<std::string_view> value,
                                     Shown shown) {
  const base::Digest key_hash = base::sha256(full);
  TRY(const auto before, machine_.tree_.find(key_hash, full));
  if (!before && !value) return {};
  const auto* known = machine_.records_.find(full);
  const Stamp row = known ? known->row : before ? before->modified : 0;
  const bool in_row = value && shown == Shown::AtOnce;
  if (row != 0 && row != slot_ && (in_row || !value))
    machine_.drop_row(batch_, row_key(full, row), row);
  if (!value) {
    if (machine_.meta_.checkpoints.empty()) {
      if (row == slot_) batch_.remove(row_key(full, row));
    } else {
      // Hides the rows that a checkpoint keeps, and goes with them.
      batch_.put(row_key(full, slot_), encode_deletion());
      machine_.stale_.push_back(row_key(full, slot_));
    }
    machine_.records_.erase(full);
    machine_.tree_.change(key_hash, std::nullopt);
    append_change(changed_records_, RecordChange::Kind::Removed, full, 0, {});
    return {};
  }
  const Stamp created = before ? before->created : slot_;
  // Removed by this very slot, and here again.
  if (!before && !machine_.stale_.empty()) std::erase(machine_.stale_, row_key(full, slot_));
  if (in_row) batch_.put(row_key(full, slot_), encode_row(created, 0, *value));
  append_change(changed_records_, in_row ? RecordChange::Kind::InRow : RecordChange::Kind::InList,
                full, created, *value);
  machine_.tree_.change(
      key_hash,
      Leaf{full, created, slot_, 0, leaf_hash(key_hash, created, slot_, 0, base::sha256(*value))});
  machine_.records_.set(full, {std::string(*value), created, slot_, in_row ? slot_ : row, !in_row});
  return {};
}

base::Result<SlotApply::Found> SlotApply::find(std::string_view full) {
  Found found{base::sha256(full), {}};
  TRY(found.meta, machine_.tree_.find(found.key_hash, full));
  return found;
}

base::Digest SlotApply::put(const Found& found, const std::string& full, const Write& write,
                            Stamp stamp) {
  const LeaseId lease_before = found.meta ? found.meta->lease : 0;
  if (lease_before != write.lease) {
    attach(lease_before, full, false);
    attach(write.lease, full, true);
  }
  const Stamp created = found.meta ? found.meta->created : stamp;
  const auto digest = base::sha256(*write.value);
  machine_.tree_.change(found.key_hash,
                        Leaf{full, created, stamp, write.lease,
                             leaf_hash(found.key_hash, created, stamp, write.lease, digest)});
  batch_.put(row_key(full, stamp), encode_row(created, write.lease, *write.value));
  return digest;
}

void SlotApply::remove(const Found& found, const std::string& full, Stamp stamp) {
  attach(found.meta->lease, full, false);
  machine_.tree_.change(found.key_hash, std::nullopt);
  batch_.put(row_key(full, stamp), encode_deletion());  // for reads of the past
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
  if (head_ != machine_.head_)
    TRY_DO(set_record(std::string(kHeadKey), encode_head(head_), Shown::WhenStored));
  events_.store(batch_);
  LocalMeta& meta = machine_.meta_;
  meta.history_bytes += history_bytes_;
  const std::uint64_t added = head_.revision - meta.revision;
  meta.applied = slot_;
  meta.revision = head_.revision;
  machine_.stale_lists_ = 0;
  machine_.added_revisions_ += added;
  const bool tidy = slot_ % kTidySlots == 0;
  if (tidy) TRY_DO(machine_.compact_history(batch_));
  if (machine_.tree_.waiting() > machine_.options_.waiting_keys_max) TRY_DO(machine_.fold());
  if (machine_.tree_.changed_pages() > machine_.options_.changed_pages_max) {
    TRY_DO(machine_.store(batch_));
  } else if (!changed_records_.empty()) {
    batch_.put(change_key(slot_), std::move(changed_records_));
    machine_.change_lists_.push_back(slot_);
  }
  machine_.put_stale(batch_);
  if (tidy) TRY_DO(machine_.prune_stale(batch_));
  batch_.put(std::string(kLocalMetaKey), encode_meta(meta));
  TRY_DO(machine_.storage_.write(batch_));
  machine_.head_ = head_;
  machine_.failed_ = false;
  return {};
}

}  // namespace hypermesh::state
