#pragma once

#include <base/async/event.hpp>
#include <base/random.hpp>
#include <functional>
#include <set>

#include "objects/object.hpp"
#include "objects/object_store.hpp"
#include "orchestration/testing/crash_gate.hpp"

namespace nexus::orchestration {

/// The object store without state below it: decides writes as the real one does, keeps all events.
/// Survives the daemon that uses it, as a disk does.
class MemoryObjectStore final : public ObjectStore {
 public:
  /// `clock`, `rng` and `gate` are borrowed.
  MemoryObjectStore(base::Executor executor, const base::Clock& clock, base::Rng& rng,
                    CrashGate& gate)
      : executor_(std::move(executor)), clock_(clock), rng_(rng), gate_(gate) {}

  /// Fails writes while it gives an error.
  std::function<std::optional<base::Error>()> fault;
  /// Writes that changed something, status or not.
  std::size_t writes = 0;

  /// A write by somebody else: no gate, no fault.
  base::Result<ObjectPtr> put(ObjectWrite write);

  base::Task<base::Result<ObjectPtr>> get(ObjectRef ref) override;
  base::Task<base::Result<ObjectList>> list(std::string kind,
                                            std::optional<std::string> name_space) override;
  base::Task<base::Result<Written>> create(Actor actor, Json object) override;
  base::Task<base::Result<Written>> update(Actor actor, Json object) override;
  base::Task<base::Result<Written>> update_status(Json object, std::string writer) override;
  base::Task<base::Result<Written>> remove(Actor actor, ObjectRef ref,
                                           RemovePrecondition precondition) override;
  base::Task<base::Result<TransactionResult>> transact(Actor actor,
                                                       std::vector<ObjectWrite> writes) override;
  base::Task<base::Result<std::unique_ptr<ObjectWatch>>> watch(
      std::string kind, std::optional<std::string> name_space, Revision after) override;
  ObjectPtr find(const ObjectRef& ref) const override;
  const ObjectMap& all(std::string_view kind) const override;
  Revision revision() const override { return revision_; }

  /// Every watch ends as when it fell behind.
  void break_watches() {
    first_retained_ = events_.size();
    for (base::Event* waiting : waiting_) waiting->notify();
  }

 private:
  class Cursor;
  base::Result<std::vector<ObjectPtr>> commit(std::vector<ObjectWrite> writes);
  base::Task<base::Result<Written>> one(ObjectWrite write);

  base::Executor executor_;
  const base::Clock& clock_;
  base::Rng& rng_;
  CrashGate& gate_;
  Revision revision_ = 0;
  std::map<std::string, ObjectMap, std::less<>> kinds_;
  std::vector<ObjectEvent> events_;
  std::size_t first_retained_ = 0;
  std::set<base::Event*> waiting_;
};

}  // namespace nexus::orchestration
