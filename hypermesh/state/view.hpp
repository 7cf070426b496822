#pragma once

#include "state/event_proof.hpp"
#include "state/local_meta.hpp"
#include "state/noting_reader.hpp"

namespace hypermesh::state {

inline constexpr std::size_t kRangeEntriesMax = 10'000;
inline constexpr std::size_t kRangeBytesMax = 16u << 20;

struct KeyValue {
  std::string key;
  std::string value;
  Revision created = 0;
  Revision modified = 0;
  LeaseId lease = 0;
  bool operator==(const KeyValue&) const = default;
};
struct RangeQuery {
  std::string prefix;
  std::string start_after{};                   ///< Exclusive; for reading in pages.
  std::size_t entries_max = kRangeEntriesMax;  ///< More are not given.
  Revision at = 0;                             ///< 0: the newest.
};
struct RangePage {
  std::vector<KeyValue> entries;  ///< Ascending by key.
  Revision revision = 0;          ///< That this page shows; ask for the next one at it.
  bool more = false;
};
struct EventPage {
  std::vector<Event> events;  ///< In order; a revision's are never split.
  Revision up_to = 0;         ///< Go on after it.
};

/// The state as it is when the view is made; it does not change. Any thread, while slots are
/// applied on another; let it go soon, it keeps old data alive.
///
/// Errors of every call: DataLoss, Unavailable (the storage).
class View {
 public:
  /// `storage` is borrowed and outlives the view. Errors: Unavailable (a fetched state is replacing
  /// this one).
  static base::Result<View> of(const Storage& storage);

  Slot applied() const { return meta_.applied; }
  Revision revision() const { return meta_.revision; }
  Revision compacted() const { return meta_.compacted; }
  /// The newest tree that is stored, of `tree_slot`: every Machine::flush and checkpoint stores it.
  const TreeRef& tree() const { return meta_.tree; }
  Slot tree_slot() const { return meta_.stored_slot; }
  const std::vector<Checkpoint>& checkpoints() const { return meta_.checkpoints; }
  const Reader& reader() const { return *reader_; }
  /// The first DataLoss that a call on this view, or its reader, met.
  std::optional<base::Error> damage() const { return reader_->damage(); }

  /// Errors: FailedPrecondition (revision `at` is compacted, or not yet there). 0: the newest.
  base::Result<std::optional<KeyValue>> get(std::string_view key, Revision at = 0) const;
  /// Errors: as `get`. A page ends after kRangeBytesMax, with `more` set.
  base::Result<RangePage> range(const RangeQuery& query) const;
  /// Changes under `prefix` after a revision, of at most `revisions_max` revisions.
  /// Errors: FailedPrecondition (`after` is compacted: list again and watch from there).
  base::Result<EventPage> events(std::string_view prefix, Revision after,
                                 std::size_t revisions_max = 1000) const;

  /// verify_proof(tree().root, full_key(Space::User, key), ...).
  base::Result<base::Bytes> prove(std::string_view key) const;
  /// Of any space, against the root of a kept checkpoint. Errors: NotFound (it is not kept).
  base::Result<base::Bytes> prove_at(Slot checkpoint, std::string_view full) const;
  /// verify_events. Errors: FailedPrecondition (compacted, or not yet there).
  base::Result<base::Bytes> prove_events(std::string_view prefix, Revision after,
                                         Revision up_to) const;

 private:
  View(std::unique_ptr<NotingReader> reader, LocalMeta meta)
      : reader_(std::move(reader)), meta_(std::move(meta)) {}
  base::Result<Revision> readable(Revision at) const;
  base::Result<> watchable(Revision after) const;

  std::unique_ptr<NotingReader> reader_;
  LocalMeta meta_;
};

}  // namespace hypermesh::state
