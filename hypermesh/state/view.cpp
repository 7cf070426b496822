#include "state/view.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "state/proof.hpp"
#include "state/transfer_staging.hpp"

namespace hypermesh::state {

base::Result<View> View::of(const Storage& storage) {
  auto reader = std::make_unique<NotingReader>(storage.snapshot());
  TRY(const auto switching, reader->get(kSwitchKey));
  if (switching) {
    return base::fail(base::Errc::Unavailable,
                      "the state is being replaced by a fetched one; try again in a moment");
  }
  TRY(const auto stored, reader->get(kLocalMetaKey));
  LocalMeta meta;
  if (stored) {
    TRY(meta, decode_meta(*stored));
  }
  return View(std::move(reader), std::move(meta));
}

base::Result<Revision> View::readable(Revision at) const {
  if (at == 0) return meta_.revision;
  if (at >= meta_.compacted && at <= meta_.revision) return at;
  return base::fail(base::Errc::FailedPrecondition,
                    fmt::format("revision {} cannot be read: {} to {} are kept", at,
                                meta_.compacted, meta_.revision));
}

base::Result<> View::watchable(Revision after) const {
  if (after >= meta_.compacted && after <= meta_.revision) return {};
  return base::fail(
      base::Errc::FailedPrecondition,
      after > meta_.revision
          ? fmt::format("revision {} is not yet there; the newest is {}", after, meta_.revision)
          : fmt::format("the changes after revision {} are gone: those after {} are kept; list "
                        "again and watch from there",
                        after, meta_.compacted));
}

base::Result<std::optional<KeyValue>> View::get(std::string_view key, Revision at) const {
  TRY(const Revision revision, readable(at));
  TRY(auto found, read_row_at(*reader_, full_key(Space::User, key), revision));
  if (!found || found->second.deleted) return std::optional<KeyValue>();
  auto& [modified, row] = *found;
  return KeyValue{std::string(key), std::move(row.value), row.created, modified, row.lease};
}

base::Result<RangePage> View::range(const RangeQuery& query) const {
  RangePage page;
  TRY(page.revision, readable(query.at));
  const std::string prefix = row_prefix(full_key(Space::User, query.prefix));
  std::string from = prefix;
  if (!query.start_after.empty())
    from = std::max(from, after_rows(full_key(Space::User, query.start_after)));
  const std::size_t entries_max = std::min(query.entries_max, kRangeEntriesMax);
  std::size_t bytes = 0;
  std::string last;  // the key whose rows are decided
  base::Result<> parsed;
  const auto visit = [&](std::string_view stored, std::string_view value) {
    if (stored.size() < 10) {
      parsed = base::fail(base::Errc::DataLoss, "the state holds a value under a damaged key");
      return false;
    }
    const std::string_view name = stored.substr(0, stored.size() - 8);
    const Stamp stamp = ~get_u64(stored.substr(stored.size() - 8));
    if (stamp > page.revision || name == last) return true;
    last = name;
    auto row = decode_row(value);
    auto key = parse_row_key(stored);
    if (!row || !key) {
      parsed = std::unexpected(!row ? std::move(row).error() : std::move(key).error());
      return false;
    }
    if (row->deleted) return true;
    if (page.entries.size() >= entries_max || bytes >= kRangeBytesMax) {
      page.more = true;
      return false;
    }
    bytes += key->key.size() + row->value.size();
    page.entries.push_back(
        {key->key.substr(1), std::move(row->value), row->created, stamp, row->lease});
    return true;
  };
  TRY_DO(reader_->scan(from, end_of_prefix(prefix), visit));
  TRY_DO(std::move(parsed));
  return page;
}

base::Result<EventPage> View::events(std::string_view prefix, Revision after,
                                     std::size_t revisions_max) const {
  TRY_DO(watchable(after));
  EventPage page{{}, after};
  std::size_t bytes = 0;
  base::Result<> looked;
  const auto add = [&](LoggedRevision& logged) -> base::Result<> {
    const Revision revision = logged.revision;
    for (LoggedEvent& each : logged.events) {
      if (!each.key.starts_with(prefix)) continue;
      const std::string full = full_key(Space::User, each.key);
      Event event{revision, std::move(each.key), {}, {}};
      if (each.put) {
        TRY(Row row, read_row(*reader_, full, revision));
        event.value = std::move(row.value);
      }
      if (each.previous != 0) {
        TRY(const auto earlier, reader_->get(row_key(full, each.previous)));
        if (earlier) {
          TRY(Row row, decode_row(*earlier));
          event.previous = std::move(row.value);
        }
      }
      bytes += event.key.size() + (event.value ? event.value->size() : 0) +
               (event.previous ? event.previous->size() : 0);
      page.events.push_back(std::move(event));
    }
    page.up_to = revision;
    return {};
  };
  const Revision up_to = after + std::min<Revision>(meta_.revision - after, revisions_max);
  TRY_DO(scan_revisions(*reader_, after, up_to, [&](LoggedRevision& logged, bool) {
    looked = add(logged);
    return looked.has_value() && bytes < kRangeBytesMax;
  }));
  TRY_DO(std::move(looked));
  return page;
}

base::Result<base::Bytes> View::prove(std::string_view key) const {
  return state::prove(*reader_, meta_.tree, full_key(Space::User, key));
}

base::Result<base::Bytes> View::prove_at(Slot checkpoint, std::string_view full) const {
  const auto found = std::ranges::find(meta_.checkpoints, checkpoint, &Checkpoint::slot);
  if (found != meta_.checkpoints.end()) return state::prove(*reader_, found->tree, full);
  return base::fail(base::Errc::NotFound,
                    fmt::format("the checkpoint of slot {} is not kept", checkpoint));
}

base::Result<base::Bytes> View::prove_events(std::string_view prefix, Revision after,
                                             Revision up_to) const {
  TRY_DO(watchable(after));
  if (up_to < after || up_to > meta_.revision) {
    return base::fail(base::Errc::FailedPrecondition,
                      fmt::format("events up to revision {} are asked for; the state is at {}",
                                  up_to, meta_.revision));
  }
  return state::prove_events(*reader_, prefix, after, up_to);
}

}  // namespace hypermesh::state
