#pragma once

#include <base/async/task.hpp>
#include <memory>
#include <nexus/revision.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace nexus {

using LeaseId = std::uint64_t;

struct KeyValue {
  std::string key;
  std::string value;
  Revision created = 0;   ///< Revision of the write that made the key.
  Revision modified = 0;  ///< Revision of the last write to it.
};

/// One write of a transaction.
struct Write {
  std::string key;
  std::optional<std::string> value;  ///< Empty: delete.
  std::optional<Revision>
      expected{};     ///< The key's `modified` must be this; 0: the key must not exist.
  LeaseId lease = 0;  ///< The key goes when this lease ends; 0: it stays.
};

struct Range {
  std::string prefix;
  std::string start_after{};  ///< Exclusive; for reading in pages.
  std::size_t entries_max = 10'000;
};
struct RangeResult {
  std::vector<KeyValue> entries;  ///< Ascending by key.
  Revision revision = 0;          ///< The store's revision that this answer shows.
  bool more = false;
};

/// What one transaction did to the keys of a watch.
struct WatchEvent {
  Revision revision = 0;
  std::string key;
  std::optional<std::string> value;     ///< Empty: deleted.
  std::optional<std::string> previous;  ///< Empty: did not exist, or is compacted away.
};

class Watch {
 public:
  virtual ~Watch() = default;
  /// The next events in order, at least one. Events of one revision are never split over two calls.
  /// Errors: FailedPrecondition (fell behind what is retained: list again and watch from there).
  virtual base::Task<base::Result<std::vector<WatchEvent>>> next() = 0;
  /// Everything up to this revision was handed out by `next`; it grows also while nothing happens
  /// below the prefix. Asked while no `next` is under way.
  virtual Revision position() const = 0;
};

/// Linearizable, durable key-value state with revisions: where the cluster's objects live.
///
/// What `commit` acknowledged survives a crash. Calls are made on one executor and do not block it.
/// Implementations: EmbeddedStateStore (on RocksDB: alone, nexusd; in memory: tests); the
/// replicated one is HyperMesh's.
class StateStore {
 public:
  virtual ~StateStore() = default;

  virtual base::Task<base::Result<std::optional<KeyValue>>> get(std::string key) = 0;
  virtual base::Task<base::Result<RangeResult>> range(Range range) = 0;

  /// Applies all writes or none; the answer is their common revision.
  /// Errors: Conflict (an `expected` does not hold: names the key), ResourceExhausted (disk full:
  /// nothing changed), InvalidArgument (no writes, or one key twice).
  virtual base::Task<base::Result<Revision>> commit(std::vector<Write> writes) = 0;

  /// Every change of keys under `prefix` with a revision above `after`.
  /// Errors: FailedPrecondition (`after` is older than what is retained).
  virtual base::Task<base::Result<std::unique_ptr<Watch>>> watch(std::string prefix,
                                                                 Revision after) = 0;

  virtual base::Task<base::Result<LeaseId>> grant_lease(base::Duration time_to_live) = 0;
  /// Errors: NotFound (the lease has ended).
  virtual base::Task<base::Result<>> keep_alive(LeaseId lease) = 0;
  virtual base::Task<base::Result<>> revoke_lease(LeaseId lease) = 0;

  /// Revision of the last commit.
  virtual Revision revision() const = 0;
};

}  // namespace nexus
