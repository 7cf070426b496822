#include "orchestration/workload_controllers.hpp"

#include <algorithm>

#include "objects/object.hpp"
#include "orchestration/deployment_planner.hpp"
#include "orchestration/job_planner.hpp"
#include "orchestration/replica_set_planner.hpp"

namespace nexus::orchestration {

using base::Result;

namespace {

constexpr std::string_view kKinds[] = {"Namespace", "Deployment", "ReplicaSet", "Job", "Pod",
                                       "Service",   "ConfigMap",  "Secret",     "Node"};
/// After the watch broke: everything is looked at again, but not in a tight loop.
constexpr base::Duration kFollowPause = std::chrono::milliseconds(100);
const Actor kActor{"system:workload-controllers", "system", "node", ""};

std::vector<ReplicaSet> sets_in(const ObjectView& view, const std::string& name_space) {
  std::vector<ReplicaSet> sets;
  for_each_in(view, "ReplicaSet", name_space, [&](const ObjectPtr& object) {
    if (auto set = read_replica_set(object)) sets.push_back(std::move(*set));
  });
  return sets;
}

void append(Plan& plan, Plan more) {
  std::ranges::move(more.writes, std::back_inserter(plan.writes));
  std::ranges::move(more.events, std::back_inserter(plan.events));
  if (more.again) plan.plan_again_at(*more.again);
}

}  // namespace

WorkloadControllers::WorkloadControllers(const base::Executor& executor, Needs needs)
    : needs_(std::move(needs)), view_(needs_.store), wake_(executor), scope_(executor) {}

void WorkloadControllers::start() {
  scope_.spawn(follow());
  scope_.spawn(work());
}

base::Task<> WorkloadControllers::stop() {
  scope_.cancel();
  co_await scope_.join();
}

base::Task<> WorkloadControllers::follow() {
  for (;;) {
    // Marked first: what changes while the watch opens is seen by one or the other.
    mark_everything();
    auto watch = co_await needs_.store.watch("", std::nullopt, needs_.store.revision());
    while (watch) {
      auto events = co_await (*watch)->next();
      if (!events) {
        if (events.error().code == base::Errc::Unavailable ||
            events.error().code == base::Errc::Cancelled)
          co_return;
        needs_.log.warning("the watch fell behind; everything is looked at again",
                           {{"error", events.error()}});
        break;
      }
      for (const ObjectEvent& event : *events)
        changed(event.object, event.type == ObjectEvent::Type::Deleted);
      wake_.notify();
    }
    co_await base::sleep_for(kFollowPause);
  }
}

base::Task<> WorkloadControllers::work() {
  for (;;) {
    const auto now = needs_.clock.now();
    if (queue_.handled_now() < kConcurrentMax) {
      if (auto key = queue_.take(now)) {
        scope_.spawn(handle(std::move(*key)));
        continue;
      }
    }
    const auto due = queue_.next_due();
    if (due && *due > now && queue_.handled_now() < kConcurrentMax) {
      co_await wake_.wait_for(*due - now);
    } else {
      co_await wake_.wait();
    }
  }
}

base::Task<> WorkloadControllers::handle(ObjectRef key) {
  const Now now{needs_.clock.now(), needs_.clock.wall()};
  auto planned = plan(key, now);
  if (planned && !planned->writes.empty()) {
    if (auto done = co_await needs_.store.transact(kActor, std::move(planned->writes)); !done) {
      planned = std::unexpected(std::move(done).error());
    }
  }
  if (!planned) {
    // A plan that has become old is no trouble: somebody else was faster.
    if (planned.error().code != base::Errc::Conflict &&
        planned.error().code != base::Errc::AlreadyExists &&
        planned.error().code != base::Errc::NotFound) {
      needs_.log.warning("a plan could not be carried out",
                         {{"object", to_string(key)}, {"error", planned.error()}});
    }
    queue_.failed(key, needs_.clock.now());
  } else {
    for (EventNote& note : planned->events)
      needs_.events.record(std::move(note), "workload-controllers", now.wall);
    if (planned->again)
      queue_.mark_at(key, now.mono + std::max(base::Duration(0), *planned->again - now.wall));
    queue_.succeeded(key);
  }
  wake_.notify();
}

Result<Plan> WorkloadControllers::plan(const ObjectRef& key, Now now) {
  Plan plan;
  const ObjectPtr object = view_.find(key);
  if (!object) return plan;
  if (key.kind == "Deployment") {
    TRY(Deployment deployment, read_deployment(object));
    append(plan, plan_deployment({std::move(deployment), sets_in(view_, key.name_space),
                                  summaries_.in(view_, key.name_space)},
                                 now));
  } else if (key.kind == "ReplicaSet") {
    TRY(const ReplicaSet set, read_replica_set(object));
    append(plan, plan_replica_set(set, summaries_.in(view_, key.name_space), now, needs_.rng));
  } else if (key.kind == "Job") {
    TRY(const Job job, read_job(object));
    append(plan, plan_job(job, summaries_.in(view_, key.name_space), now, needs_.rng));
  } else if (key.kind == "Namespace") {
    append(plan, plan_namespace(*object, view_, now));
  }
  // One transaction holds each object once; what the controller of the kind writes comes first.
  if (plan.writes.empty()) append(plan, plan_garbage(*object, view_, owners_, now));
  return plan;
}

void WorkloadControllers::changed(const ObjectPtr& object, bool deleted) {
  const ObjectRef key = ref_to(*object);
  if (deleted) {
    owners_.erase(*object);
    if (key.kind == "Pod") summaries_.erase(object);
    // What it owned has lost its owner.
    for (const ObjectRef& dependent : owners_.dependents(read_metadata(object->json).uid))
      queue_.mark(dependent);
  } else {
    owners_.put(*object);
    queue_.mark(key);
  }
  mark_owner(*object);
  if (!key.name_space.empty()) {
    const ObjectPtr home = view_.find({"Namespace", "", key.name_space});
    if (home && read_metadata(home->json).deletion) queue_.mark({"Namespace", "", key.name_space});
  }
}

void WorkloadControllers::mark_owner(const Object& object) {
  const Metadata meta = read_metadata(object.json);
  for (const OwnerReference& owner : meta.owners) {
    const ObjectRef ref{owner.kind, meta.name_space, owner.name};
    queue_.mark(ref);
    // A Deployment counts the pods of its sets.
    if (const ObjectPtr set = view_.find(ref); set && owner.kind == "ReplicaSet") {
      if (const OwnerReference* above = read_metadata(set->json).controller()) {
        queue_.mark({above->kind, meta.name_space, above->name});
      }
    }
  }
  const std::string kind = ref_to(object).kind;
  if (meta.controller() != nullptr || (kind != "Pod" && kind != "ReplicaSet")) return;
  // Nobody manages it: somebody may want to adopt it.
  for (const std::string_view adopter : {"ReplicaSet", "Deployment", "Job"}) {
    for_each_in(view_, adopter, meta.name_space,
                [&](const ObjectPtr& candidate) { queue_.mark(ref_to(*candidate)); });
  }
}

void WorkloadControllers::mark_everything() {
  for (const std::string_view kind : kKinds) {
    for (const auto& [key, object] : view_.all(kind)) {
      owners_.put(*object);
      queue_.mark(ref_to(*object));
    }
  }
  wake_.notify();
}

}  // namespace nexus::orchestration
