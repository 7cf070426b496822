#include "orchestration/controllers.hpp"

#include <algorithm>

#include "manifest/kinds.hpp"
#include "orchestration/deployment_planner.hpp"
#include "orchestration/job_planner.hpp"
#include "orchestration/json_read.hpp"
#include "orchestration/replica_set_planner.hpp"
#include "orchestration/spawn_later.hpp"
#include "state/limits.hpp"

namespace nexus::orchestration {

namespace {

/// Plans carried out at the same time; their commits share an fsync.
constexpr std::size_t kPlansAtOnceMax = 16;

// A plan that does not fit into one transaction would be refused for ever. One more is a status.
static_assert(kJobWritesMax + kJobBurst + 1 <= kTransactionWritesMax);
static_assert(kReplicaBurst + 1 <= kTransactionWritesMax);
static_assert(kGarbageBurst + 1 <= kTransactionWritesMax);
static_assert(Plan::kBytesMax + 3 * kObjectBytesMax <= kStateCommitBytesMax);

bool has_planner(const std::string& kind) {
  return kind == "Deployment" || kind == "ReplicaSet" || kind == "Job" || kind == "Service";
}

bool is_marked(const Object& object) {
  return find(object.json, "metadata", "deletionTimestamp") != nullptr;
}

}  // namespace

Controllers::Controllers(const base::Executor& executor, const OrchestratorNeeds& needs,
                         const ObjectView& view, ServiceAddresses& services,
                         const std::string& node)
    : needs_(needs),
      view_(view),
      services_(services),
      actor_{
          .user = "system:controller", .role = "system", .origin = "node " + node, .trace_id = {}},
      plans_(
          needs.metrics.counter("nexus_plans_total", "Plans of controllers that were carried out")),
      failures_(needs.metrics.counter("nexus_plan_failures_total",
                                      "Plans of controllers that were refused")),
      scope_(executor) {}

void Controllers::open() {
  open_ = true;
  resynchronise();
}

void Controllers::resynchronise() {
  for (const manifest::KindInfo& kind : manifest::served_kinds()) {
    for (const auto& [key, object] : view_.all(kind.kind)) changed(object);
  }
}

void Controllers::changed(const ObjectPtr& object) {
  owners_.put(*object);
  const ObjectRef ref = ref_to(*object);
  // As it is now: an older state would free what a newer one was given.
  if (ref.kind == "Service") {
    if (const ObjectPtr now = view_.find(ref)) services_.observe(now->json);
  }
  const bool owned = !items(at(object->json, "metadata"), "ownerReferences").empty();
  if (has_planner(ref.kind) || owned || is_marked(*object)) mark(ref);
  mark_counting(*object);
}

void Controllers::gone(const ObjectPtr& last) {
  owners_.erase(*last);
  const ObjectRef ref = ref_to(*last);
  if (ref.kind == "Pod") summaries_.erase(last);
  if (ref.kind == "Service" && view_.find(ref) == nullptr) services_.forget(last->json);
  for (const ObjectRef& dependent : owners_.dependents(text(at(last->json, "metadata"), "uid")))
    mark(dependent);
  mark_counting(*last);
  // What waits for it to be gone: owners that go in the foreground, a namespace that empties.
  for (const Json& owner : items(at(last->json, "metadata"), "ownerReferences")) {
    mark_owner(read_owner(owner), ref.name_space);
  }
  if (!ref.name_space.empty()) {
    const ObjectRef space{"Namespace", "", ref.name_space};
    const ObjectPtr found = view_.find(space);
    if (found != nullptr && is_marked(*found)) mark(space);
  }
}

/// Who counts this object: its controller and what is above that; without one, everybody who may
/// adopt it.
void Controllers::mark_counting(const Object& object) {
  const ObjectRef ref = ref_to(object);
  if (ref.kind != "Pod" && ref.kind != "ReplicaSet") return;
  const Metadata meta = read_metadata(object.json);
  const OwnerReference* owner = meta.controller();
  if (owner == nullptr) {
    const char* adopter = ref.kind == "Pod" ? "ReplicaSet" : "Deployment";
    for_each_in(view_, adopter, ref.name_space,
                [&](const ObjectPtr& each) { mark(ref_to(*each)); });
    return;
  }
  mark_owner(*owner, ref.name_space);
  if (owner->kind != "ReplicaSet") return;
  const ObjectPtr set = view_.find({owner->kind, ref.name_space, owner->name});
  if (set == nullptr) return;
  const Metadata above = read_metadata(set->json);
  if (above.controller() != nullptr) mark_owner(*above.controller(), ref.name_space);
}

void Controllers::mark_owner(const OwnerReference& owner, const std::string& name_space) {
  const manifest::KindInfo* kind = manifest::find_kind(owner.kind);
  const bool namespaced = kind == nullptr || kind->namespaced;
  mark({owner.kind, namespaced ? name_space : "", owner.name});
}

void Controllers::mark(const ObjectRef& ref) {
  if (!open_) return;
  queue_.add(ref, needs_.clock.now());
  pump();
}

void Controllers::pump() {
  while (open_ && running_ < kPlansAtOnceMax) {
    auto ref = queue_.take(needs_.clock.now());
    if (!ref) break;
    ++running_;
    spawn_later(scope_, work(*std::move(ref)));
  }
  if (alarm_) needs_.alarms.cancel(*std::exchange(alarm_, std::nullopt));
  const auto due = queue_.next_due();
  if (!open_ || !due || running_ >= kPlansAtOnceMax) return;
  alarm_ = needs_.alarms.call_at(*due, [this] {
    alarm_.reset();
    pump();
  });
}

base::Task<> Controllers::work(ObjectRef ref) {
  bool success = true;
  const ObjectPtr object = view_.find(ref);
  if (object != nullptr) {
    Plan todo = plan(*object);
    if (!todo.writes.empty()) {
      auto done = co_await needs_.objects.transact(actor_, std::move(todo.writes));
      success = done.has_value();
      (success ? plans_ : failures_).add();
      // Conflicts are the normal course: somebody else wrote, and the next plan knows it.
      if (!success && done.error().code != base::Errc::Conflict &&
          done.error().code != base::Errc::NotFound) {
        needs_.log.warning("plan not carried out",
                           {{"object", to_string(ref)}, {"error", done.error()}});
      }
    }
    if (success) {
      for (EventNote& note : todo.events)
        needs_.events.record(std::move(note), "controller", needs_.clock.wall());
      if (todo.again) queue_.add(ref, mono_at(*todo.again));
    }
  }
  --running_;
  queue_.done(ref, success, needs_.clock.now());
  pump();
}

base::MonotonicTime Controllers::mono_at(base::WallTime when) const {
  return needs_.clock.now() + std::max(base::Duration(0), when - needs_.clock.wall());
}

Plan Controllers::plan(const Object& object) {
  const Now now = now_of(needs_.clock);
  const std::string kind = text(object.json, "kind");
  if (kind == "Namespace") return plan_namespace(object, view_, now);
  Plan garbage = plan_garbage(object, view_, owners_, now);
  if (!garbage.writes.empty() || is_marked(object)) return garbage;
  const ObjectRef ref = ref_to(object);
  const ObjectPtr shared = view_.find(ref);
  base::Error problem;
  if (kind == "Deployment") return plan_deployment_of(shared, now);
  if (kind == "Service") return plan_service(object);
  if (kind == "ReplicaSet") {
    auto set = read_replica_set(shared);
    if (set) return plan_replica_set(*set, summaries_.in(view_, ref.name_space), now, needs_.rng);
    problem = std::move(set).error();
  } else if (kind == "Job") {
    auto job = read_job(shared);
    if (job) return plan_job(*job, summaries_.in(view_, ref.name_space), now, needs_.rng);
    problem = std::move(job).error();
  } else {
    return {};
  }
  needs_.log.warning("object not understood", {{"object", to_string(ref)}, {"error", problem}});
  return {};
}

Plan Controllers::plan_deployment_of(const ObjectPtr& object, Now now) {
  auto deployment = read_deployment(object);
  if (!deployment) {
    needs_.log.warning("object not understood",
                       {{"object", to_string(ref_to(*object))}, {"error", deployment.error()}});
    return {};
  }
  const std::string name_space = deployment->meta.name_space;
  DeploymentInput input{
      .deployment = *std::move(deployment), .sets = {}, .pods = summaries_.in(view_, name_space)};
  for_each_in(view_, "ReplicaSet", name_space, [&](const ObjectPtr& each) {
    if (auto set = read_replica_set(each)) input.sets.push_back(*std::move(set));
  });
  return plan_deployment(input, now);
}

/// The API gives addresses before it stores a service; one that came another way gets them here.
Plan Controllers::plan_service(const Object& object) {
  Plan plan;
  if (ServiceAddresses::is_complete(object.json)) return plan;
  Json json = object.json;
  const auto assigned = services_.assign(json, nullptr);
  // It is stored and has no address yet: it keeps what was drawn for it until it says otherwise.
  services_.settle(ref_to(object), &object.json);
  if (!assigned) {
    const Metadata meta = read_metadata(object.json);
    plan.events.push_back({.about = ref_to(object),
                           .about_uid = meta.uid,
                           .warning = true,
                           .reason = "NoAddress",
                           .message = assigned.error().describe()});
    return plan;
  }
  plan.writes.push_back(update_of(std::move(json)));
  return plan;
}

base::Task<> Controllers::stop() {
  open_ = false;
  scope_.cancel();
  co_await scope_.join();
}

}  // namespace nexus::orchestration
