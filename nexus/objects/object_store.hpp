#pragma once

// The cluster's objects: Kubernetes-shaped JSON documents with revisions, on any StateStore.
// Light to include; to look into an Object include "objects/object.hpp".

#include <memory>
#include <nexus/state_store.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "audit/receipt.hpp"
#include "objects/json.hpp"
#include "objects/object_ref.hpp"

namespace nexus {

struct ObjectWrite;

inline constexpr std::size_t kTransactionWritesMax = 512;

struct Written {
  ObjectPtr object;  ///< As stored now; after `remove` the object as it was last.
  std::optional<Receipt>
      receipt;          ///< Empty when nothing was audited: a status, or nothing changed.
  bool changed = true;  ///< false: it was equal already; no revision was used.
};
struct TransactionResult {
  std::vector<ObjectPtr> objects;  ///< One for each write, in their order.
  Revision revision = 0;
  std::optional<Receipt> receipt;  ///< Of the last audited record; its root covers all of them.
};

struct ObjectList {
  std::vector<ObjectPtr> items;  ///< In order of (namespace, name).
  Revision revision = 0;         ///< Watch from here and nothing is missed.
};

struct ObjectEvent {
  enum class Type : std::uint8_t { Added, Modified, Deleted };
  Type type = Type::Added;
  ObjectPtr object;    ///< Deleted: the last state, with the revision of the deletion.
  ObjectPtr previous;  ///< State before it; null when Added, or when it is compacted away.
};

class ObjectWatch {
 public:
  virtual ~ObjectWatch() = default;
  /// The next events in the order of their revisions, at least one.
  /// Errors: FailedPrecondition (fell behind what is retained: list again and watch from there).
  virtual base::Task<base::Result<std::vector<ObjectEvent>>> next() = 0;
  /// Every event up to this revision was handed out by `next`: a watch from here misses nothing. It
  /// grows also while nothing happens to the kind. Asked while no `next` is under way.
  virtual Revision position() const = 0;
};

/// Versioned objects with optimistic concurrency, an audit record for each write and a cache of
/// everything.
///
/// What the store maintains itself: metadata.uid, creationTimestamp, resourceVersion, and
/// generation (grows when `spec` changes; only where there is a `spec`). All else is data:
/// finalizers, ownerReferences and deletionTimestamp are the business of controllers and of the
/// API. Objects arrive validated and defaulted; here only identity and kObjectBytesMax are checked.
/// Secrets are sealed before they reach the StateStore.
///
/// All calls are made on the store's executor. When a write resumes its caller, the cache shows it
/// and it is on disk. Errors of every write: ResourceExhausted (disk full, object or transaction
/// too large; nothing changed), InvalidArgument (no kind or name). Implementation:
/// StateObjectStore.
class ObjectStore {
 public:
  virtual ~ObjectStore() = default;

  /// Errors: NotFound.
  virtual base::Task<base::Result<ObjectPtr>> get(ObjectRef ref) = 0;
  /// Of one namespace, or of all of them.
  virtual base::Task<base::Result<ObjectList>> list(std::string kind,
                                                    std::optional<std::string> name_space = {}) = 0;

  /// Errors: AlreadyExists.
  virtual base::Task<base::Result<Written>> create(Actor actor, Json object) = 0;
  /// Replaces all but `status`, which stays as stored. A metadata.resourceVersion in `object` must
  /// be the stored one, likewise a uid; without one the last write wins. Errors: NotFound, Conflict
  /// (names both revisions and who wrote last).
  virtual base::Task<base::Result<Written>> update(Actor actor, Json object) = 0;
  /// Replaces `status` by that of `object` and nothing else; not audited. resourceVersion and uid
  /// as in update. `writer` is named to those who conflict with it.
  virtual base::Task<base::Result<Written>> update_status(Json object,
                                                          std::string writer = "system") = 0;
  /// Errors: NotFound, Conflict (a precondition does not hold).
  virtual base::Task<base::Result<Written>> remove(Actor actor, ObjectRef ref,
                                                   RemovePrecondition precondition = {}) = 0;
  /// All or nothing, with one revision. Each object at most once; at most kTransactionWritesMax.
  virtual base::Task<base::Result<TransactionResult>> transact(Actor actor,
                                                               std::vector<ObjectWrite> writes) = 0;

  /// Every change of `kind` (all kinds when empty) after the revision `after`: from a list or an
  /// object. Errors: FailedPrecondition (`after` is older than what is retained: list again).
  virtual base::Task<base::Result<std::unique_ptr<ObjectWatch>>> watch(
      std::string kind, std::optional<std::string> name_space, Revision after) = 0;

  // The cache: everything at one revision, free to read between two suspension points of a task.

  /// Null when there is none.
  virtual ObjectPtr find(const ObjectRef& ref) const = 0;
  /// The reference stays valid and follows every commit; do not hold iterators over a suspension.
  virtual const ObjectMap& all(std::string_view kind) const = 0;
  /// Revision that the cache shows.
  virtual Revision revision() const = 0;
};

}  // namespace nexus
