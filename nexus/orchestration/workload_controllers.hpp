#pragma once

// Keeps what is wanted and what is in agreement: runs the planners for what changed and carries
// their plans out.
//
// A plan is one transaction that names the state it was made from. One that has become old fails
// whole and is made anew, so the controllers can be killed between any two steps: what they know is
// in the store.

#include <base/async/task_scope.hpp>
#include <base/log.hpp>
#include <base/random.hpp>

#include "objects/object_store.hpp"
#include "orchestration/event_log.hpp"
#include "orchestration/garbage_planner.hpp"
#include "orchestration/pod_summary.hpp"
#include "orchestration/store_view.hpp"
#include "orchestration/work_queue.hpp"

namespace nexus::orchestration {

/// The controllers of Deployments, ReplicaSets, Jobs, Namespaces and of what is left over.
class WorkloadControllers {
 public:
  /// Plans carried out at the same time; each waits for the disk.
  static constexpr std::size_t kConcurrentMax = 16;

  /// Borrowed; they outlive the controllers.
  struct Needs {
    ObjectStore& store;
    EventLog& events;
    const base::Clock& clock;
    base::Rng& rng;
    base::Log log;
  };
  WorkloadControllers(const base::Executor& executor, Needs needs);

  /// Looks at everything that exists, then follows every change. Returns at once.
  void start();
  /// Await before destruction.
  base::Task<> stop();

 private:
  base::Task<> follow();
  base::Task<> work();
  base::Task<> handle(ObjectRef key);
  base::Result<Plan> plan(const ObjectRef& key, Now now);
  void changed(const ObjectPtr& object, bool deleted);
  void mark_everything();
  void mark_owner(const Object& object);

  Needs needs_;
  StoreView view_;
  WorkQueue queue_;
  PodSummaries summaries_;
  OwnerIndex owners_;
  base::Event wake_;
  base::TaskScope scope_;
};

}  // namespace nexus::orchestration
