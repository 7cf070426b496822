#pragma once

#include <base/async/task_scope.hpp>
#include <base/log.hpp>
#include <base/metrics.hpp>
#include <base/random.hpp>
#include <base/time.hpp>
#include <deque>
#include <set>

#include "audit/audit_log.hpp"
#include "objects/object.hpp"
#include "objects/object_store.hpp"
#include "objects/secret_keys.hpp"

namespace nexus {

/// Objects on any StateStore, with the audit log of the node.
///
/// One watch of the state feeds the cache, so the cache follows the order of revisions whoever
/// writes; a write resumes its caller once the cache shows it.
class StateObjectStore final : public ObjectStore {
 public:
  struct Limits {
    std::size_t recent_commits_max = 1024;    ///< Kept for watches.
    std::size_t recent_bytes_max = 2u << 20;  ///< Of stored objects in them.
  };
  /// What the store needs; all borrowed, all outlive it.
  struct Needs {
    StateStore& state;
    AuditLog& audit;
    SecretKeys& keys;
    const base::Clock& clock;
    base::Rng& rng;
    base::Metrics& metrics;
    base::Log log;
  };

  /// Reads everything into the cache.
  /// Errors: those of the state; FailedPrecondition (a Secret is sealed with another key),
  /// DataLoss.
  static base::Task<base::Result<std::unique_ptr<StateObjectStore>>> open(base::Executor executor,
                                                                          Needs needs,
                                                                          Limits limits);
  /// After `close`, and after every ObjectWatch is gone.
  ~StateObjectStore() override;

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

  /// Seals every Secret again that was sealed with an older key; answers how many.
  base::Task<base::Result<std::size_t>> reseal(Actor actor);
  /// Ends the watches with Unavailable.
  base::Task<> close();

 private:
  class Cursor;
  struct Prepared;
  struct Applied;
  struct Change;

  StateObjectStore(base::Executor executor, Needs needs, Limits limits);
  base::Task<base::Result<>> load();
  base::Task<> follow(std::unique_ptr<Watch> state);
  base::Result<> apply(const std::vector<WatchEvent>& events);
  base::Result<ObjectPtr> decode(const std::string& key, std::string_view value,
                                 Revision revision) const;
  base::Result<ObjectPtr> take_prepared(const WatchEvent& event);
  base::Result<Change> plan(const ObjectWrite& write, const std::string& writer);
  base::Task<base::Result<TransactionResult>> run(const Actor& actor,
                                                  std::vector<ObjectWrite> writes,
                                                  std::vector<bool>& changed);
  base::Task<base::Result<Written>> run_one(Actor actor, ObjectWrite write);
  base::Task<base::Result<>> catch_up(Revision revision);

  base::Executor executor_;
  Needs needs_;
  Limits limits_;
  base::Histogram& write_seconds_;
  base::Gauge& objects_;

  std::map<std::string, ObjectMap, std::less<>> kinds_;
  Revision revision_ = 0;
  std::deque<std::shared_ptr<const Applied>> recent_;  // commits that changed objects, oldest first
  std::size_t recent_bytes_ = 0;
  Revision recent_after_ = 0;  // everything later is in recent_
  std::set<Cursor*> cursors_;
  std::multimap<std::string, Prepared*, std::less<>>
      prepared_;  // by key: writes under way, to spare the parsing
  base::Event applied_;
  std::optional<base::Error> failed_;
  base::TaskScope follower_;
};

}  // namespace nexus
