#pragma once

#include <base/async/task_scope.hpp>

#include "orchestration/garbage_planner.hpp"
#include "orchestration/needs.hpp"
#include "orchestration/plan.hpp"
#include "orchestration/pod_summary.hpp"
#include "orchestration/service_addresses.hpp"
#include "orchestration/work_queue.hpp"

namespace nexus::orchestration {

/// Runs the planners for what has changed and carries their plans out, each as one transaction.
///
/// A key is planned again when its object, or one that it counts, changes; one plan of a key at a
/// time. A plan that meets a change it has not seen fails whole and is made anew.
class Controllers {
 public:
  /// `view` and `services` are borrowed.
  Controllers(const base::Executor& executor, const OrchestratorNeeds& needs,
              const ObjectView& view, ServiceAddresses& services, const std::string& node);

  /// Takes in everything that exists and begins.
  void open();
  /// An object was made or changed, or is gone (`previous` is what it was then).
  void changed(const ObjectPtr& object);
  void gone(const ObjectPtr& last);
  /// Everything is planned anew: changes may have been missed.
  void resynchronise();

  /// Await before destruction.
  base::Task<> stop();

 private:
  void mark(const ObjectRef& ref);
  void mark_owner(const OwnerReference& owner, const std::string& name_space);
  void mark_counting(const Object& object);
  void pump();
  base::Task<> work(ObjectRef ref);
  Plan plan(const Object& object);
  Plan plan_deployment_of(const ObjectPtr& object, Now now);
  Plan plan_service(const Object& object);
  base::MonotonicTime mono_at(base::WallTime when) const;

  OrchestratorNeeds needs_;
  const ObjectView& view_;
  ServiceAddresses& services_;
  Actor actor_;
  OwnerIndex owners_;
  PodSummaries summaries_;
  WorkQueue<ObjectRef> queue_;
  std::size_t running_ = 0;
  bool open_ = false;
  std::optional<Alarms::Id> alarm_;
  base::Counter& plans_;
  base::Counter& failures_;
  base::TaskScope scope_;
};

}  // namespace nexus::orchestration
