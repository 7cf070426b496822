#include "orchestration/job_planner.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "orchestration/conditions.hpp"
#include "orchestration/garbage_planner.hpp"
#include "orchestration/json_read.hpp"
#include "orchestration/replica_set_planner.hpp"

namespace nexus::orchestration {

namespace {

using std::chrono::seconds;

bool ended(const PodSummary& pod) {
  return pod.state.phase == PodPhase::Succeeded || pod.state.phase == PodPhase::Failed;
}

bool tracked(const PodSummary& pod) {
  return std::ranges::find(pod.meta.finalizers, kJobTrackingFinalizer) != pod.meta.finalizers.end();
}

/// When the last container of the pod ended.
base::WallTime end_time(const PodSummary& pod) {
  base::WallTime latest = pod.meta.created;
  for (const Json& container : items(at(pod.object->json, "status"), "containerStatuses")) {
    const Json* terminated = find(container, "state", "terminated");
    if (terminated == nullptr) continue;
    latest = std::max(latest, time(*terminated, "finishedAt").value_or(latest));
  }
  return latest;
}

class Planner {
 public:
  Planner(const Job& job, Now now, base::Rng& rng)
      : job_(job), now_(now), rng_(rng), before_(at(job.object->json, "status")) {
    status_ = before_.is_object() ? before_ : Json::object();
    succeeded_ = number_or(before_, "succeeded", 0);
    failed_ = number_or(before_, "failed", 0);
  }

  Plan plan(const std::vector<PodSummaryPtr>& pods) {
    if (job_.meta.deletion) return std::move(plan_);
    for (const PodSummaryPtr& pod : pods) {
      const OwnerReference* owner = pod->meta.controller();
      if (owner != nullptr && owner->uid == job_.meta.uid) owned_.push_back(pod);
    }
    if (!count()) {
      // Nothing is decided before every end is counted.
    } else if (holds("Complete") || holds("Failed")) {
      stop_all();
      if (expire()) return std::move(plan_);
    } else if (job_.suspend) {
      suspend();
    } else {
      start();
      if (!give_up() && !finish()) keep_running();
    }
    write_status();
    return std::move(plan_);
  }

 private:
  bool holds(std::string_view type) const {
    const Json* condition = find_condition(before_, type);
    return condition != nullptr && text(*condition, "status") == "True";
  }

  /// False when the plan is full and ends are left for the next one.
  bool count() {
    bool all = true;
    for (const PodSummaryPtr& pod : owned_) {
      if (ended(*pod)) {
        if (!tracked(*pod)) continue;
        all = !plan_.full(kJobWritesMax);
        if (!all) continue;
        ++(pod->state.phase == PodPhase::Succeeded ? succeeded_ : failed_);
        plan_.add(without_finalizer(*pod->object, kJobTrackingFinalizer));
      } else if (pod->state.active()) {
        active_.push_back(pod);
        if (pod->state.ready) ++ready_;
      } else {
        ++terminating_;
      }
    }
    return all;
  }

  /// The first `count` of those that are active, or as many as the plan has room for.
  void stop(std::size_t count) {
    std::size_t stopped = 0;
    for (; stopped < count && !plan_.full(kJobWritesMax); ++stopped) {
      const PodSummary& pod = *active_[stopped];
      const auto grace =
          number_or(at(pod.object->json, "spec"), "terminationGracePeriodSeconds", 30);
      if (auto mark = deletion_of(*pod.object, now_.wall, grace)) plan_.add(std::move(*mark));
      tell("SuccessfulDelete", "Deleted pod: " + pod.meta.name);
      if (pod.state.ready) --ready_;
    }
    terminating_ += static_cast<std::int64_t>(stopped);
    active_.erase(active_.begin(), active_.begin() + static_cast<std::ptrdiff_t>(stopped));
  }
  void stop_all() { stop(active_.size()); }

  bool expire() {
    if (!job_.ttl_seconds) return false;
    const Json* condition = find_condition(before_, holds("Complete") ? "Complete" : "Failed");
    const auto when = time(*condition, "lastTransitionTime");
    if (!when) return false;
    const base::WallTime due = *when + seconds(*job_.ttl_seconds);
    if (now_.wall < due) {
      plan_.plan_again_at(due);
      return false;
    }
    if (!plan_.writes.empty())
      return false;  // counts first, so that no pod is left with a finalizer
    if (auto write = background_deletion_of(*job_.object, now_.wall))
      plan_.writes.push_back(std::move(*write));
    return true;
  }

  void suspend() {
    stop_all();
    if (!holds("Suspended")) tell("Suspended", "Job suspended");
    condition("Suspended", "True", "JobSuspended", "Job suspended");
    status_.erase("startTime");
  }

  void start() {
    if (holds("Suspended")) {
      condition("Suspended", "False", "JobResumed", "Job resumed");
      tell("Resumed", "Job resumed");
    }
    if (!time(status_, "startTime")) status_["startTime"] = base::to_rfc3339(now_.wall);
  }

  bool give_up() {
    std::int64_t restarts = 0;
    for (const PodSummaryPtr& pod : active_) restarts += pod->state.restarts;
    const bool restarted_out =
        job_.restart_on_failure &&
        (job_.backoff_limit == 0 ? restarts > 0 : restarts >= job_.backoff_limit);
    if (failed_ > job_.backoff_limit || restarted_out) {
      fail("BackoffLimitExceeded",
           fmt::format("Job has reached the specified backoff limit of {}", job_.backoff_limit));
      return true;
    }
    if (!job_.active_deadline_seconds) return false;
    const base::WallTime due =
        time(status_, "startTime").value_or(now_.wall) + seconds(*job_.active_deadline_seconds);
    if (now_.wall < due) {
      plan_.plan_again_at(due);
      return false;
    }
    fail("DeadlineExceeded", fmt::format("Job was active longer than its deadline of {} s",
                                         *job_.active_deadline_seconds));
    return true;
  }

  void fail(const std::string& reason, const std::string& message) {
    stop_all();
    condition("Failed", "True", reason, message);
    tell(reason, message, true);
    plan_.plan_again_at(now_.wall);  // for the time to live
  }

  bool finish() {
    const bool enough = job_.completions ? succeeded_ >= *job_.completions
                                         : succeeded_ > 0 && active_.empty() && terminating_ == 0;
    if (!enough) return false;
    stop_all();
    condition("Complete", "True", "CompletionsReached",
              "Reached expected number of succeeded pods");
    status_["completionTime"] = base::to_rfc3339(now_.wall);
    tell("Completed", "Job completed");
    plan_.plan_again_at(now_.wall);
    return true;
  }

  void keep_running() {
    std::int64_t wanted = job_.parallelism;
    if (job_.completions) {
      wanted = std::min<std::int64_t>(wanted, *job_.completions - succeeded_);
    } else if (succeeded_ > 0) {
      wanted = std::min<std::int64_t>(wanted, static_cast<std::int64_t>(active_.size()));
    }
    const auto have = static_cast<std::int64_t>(active_.size());
    if (have > wanted) {
      sort_for_deletion(active_);
      stop(static_cast<std::size_t>(have - wanted));
    } else if (have < wanted) {
      if (const base::WallTime due = next_start(); due > now_.wall) {
        plan_.plan_again_at(due);
        return;
      }
      create(std::min<std::int64_t>(wanted - have, kJobBurst));
    }
  }

  /// After failures the next pod waits: 10 s, 20 s, 40 s.
  base::WallTime next_start() const {
    base::WallTime last_success{}, last_failure{};
    for (const PodSummaryPtr& pod : owned_) {
      if (!ended(*pod)) continue;
      auto& last = pod->state.phase == PodPhase::Succeeded ? last_success : last_failure;
      last = std::max(last, end_time(*pod));
    }
    std::int64_t failures = 0;
    for (const PodSummaryPtr& pod : owned_) {
      if (pod->state.phase == PodPhase::Failed && end_time(*pod) > last_success) ++failures;
    }
    if (failures == 0) return now_.wall;
    seconds delay = kJobBackOffFirst;
    for (std::int64_t i = 1; i < failures && delay < kJobBackOffMax; ++i) delay *= 2;
    return last_failure + std::min(delay, kJobBackOffMax);
  }

  void create(std::int64_t count) {
    for (; created_ < count && !plan_.full(kJobWritesMax + kJobBurst); ++created_) {
      const std::string name = generated_name(job_.meta.name, base::make_name_suffix(rng_));
      ObjectWrite write;
      write.json = pod_from_template(job_.pod_template(), job_.object->json, name);
      Json& meta = write.json["metadata"];
      for (const char* key : {"job-name", "batch.kubernetes.io/job-name"})
        meta["labels"][key] = job_.meta.name;
      for (const char* key : {"controller-uid", "batch.kubernetes.io/controller-uid"}) {
        meta["labels"][key] = job_.meta.uid;
      }
      meta["finalizers"] = Json::array({std::string(kJobTrackingFinalizer)});
      plan_.add(std::move(write));
      tell("SuccessfulCreate", "Created pod: " + name);
    }
  }

  void condition(std::string type, std::string status, std::string reason, std::string message) {
    set_condition(status_["conditions"],
                  {.type = std::move(type),
                   .status = std::move(status),
                   .reason = std::move(reason),
                   .message = std::move(message)},
                  now_.wall, false);
  }

  void write_status() {
    status_["active"] = static_cast<std::int64_t>(active_.size()) + created_;
    status_["ready"] = ready_;
    status_["terminating"] = terminating_;
    if (succeeded_ > 0) status_["succeeded"] = succeeded_;
    if (failed_ > 0) status_["failed"] = failed_;
    if (status_ != before_) plan_.writes.push_back(status_of(*job_.object, status_));
  }

  void tell(std::string reason, std::string message, bool warning = false) {
    plan_.events.push_back({.about = {"Job", job_.meta.name_space, job_.meta.name},
                            .about_uid = job_.meta.uid,
                            .warning = warning,
                            .reason = std::move(reason),
                            .message = std::move(message)});
  }

  const Job& job_;
  Now now_;
  base::Rng& rng_;
  const Json& before_;
  Json status_;
  std::vector<PodSummaryPtr> owned_, active_;
  std::int64_t succeeded_ = 0, failed_ = 0, ready_ = 0, terminating_ = 0, created_ = 0;
  Plan plan_;
};

}  // namespace

Plan plan_job(const Job& job, const std::vector<PodSummaryPtr>& pods, Now now, base::Rng& rng) {
  return Planner(job, now, rng).plan(pods);
}

}  // namespace nexus::orchestration
