#pragma once

// A cluster without I/O, for tests of planners: a store that is a map, pods that do what the test
// says. Plans are applied as the object store applies them.

#include <base/random.hpp>
#include <functional>
#include <set>

#include "orchestration/garbage_planner.hpp"
#include "orchestration/pod_summary.hpp"
#include "orchestration/workloads.hpp"

namespace nexus::orchestration {

class ModelCluster final : public ObjectView {
 public:
  explicit ModelCluster(std::uint64_t seed = 1) : rng_(seed) {}

  ObjectPtr find(const ObjectRef& ref) const override;
  const ObjectMap& all(std::string_view kind) const override;

  /// Adds an object as the API does.
  ObjectPtr create(Json json);
  /// Replaces spec and metadata of what exists.
  void update(Json json);
  void remove(const ObjectRef& ref) { erase(ref); }
  /// False when a precondition does not hold: then nothing is changed.
  bool apply(const Plan& plan);

  /// One run of a controller. The plan that it carried out.
  Plan sync_deployment(const std::string& name);
  Plan sync_replica_set(const std::string& name);
  void sync_replica_sets();
  Plan sync_job(const std::string& name);
  /// Garbage collection and namespaces until nothing is left to do.
  void collect();

  std::vector<PodSummaryPtr> pods();
  std::vector<ReplicaSet> sets() const;
  Json get(const std::string& kind, const std::string& name) const;

  void set_ready(const std::string& pod, bool ready);
  void finish(const std::string& pod, bool success);
  void restart(const std::string& pod, std::int64_t count);
  void place(const std::string& pod);
  /// The node has stopped it: the object goes, or has its last status when somebody waits for that.
  void stopped(const std::string& pod);

  Now now() const {
    return {base::MonotonicTime(elapsed_), base::WallTime(std::chrono::hours(500'000)) + elapsed_};
  }
  void advance(base::Duration by) { elapsed_ += by; }
  base::Rng& rng() { return rng_; }
  /// When controllers asked to run again, earliest first.
  std::optional<base::WallTime> next_wake() const { return wake_; }
  void forget_wake() { wake_.reset(); }

 private:
  void put(Json json);
  void erase(const ObjectRef& ref);
  void note_wake(const Plan& plan);
  void edit_status(const std::string& pod, const std::function<void(Json&)>& edit);

  base::SeededRng rng_;
  base::Duration elapsed_{0};
  Revision revision_ = 0;
  std::map<std::string, ObjectMap, std::less<>> kinds_;
  PodSummaries summaries_;
  OwnerIndex owners_;
  std::optional<base::WallTime> wake_;
};

/// A Deployment "web" of one container.
Json web_deployment(std::int32_t replicas, const std::string& image, const Json& max_surge = 1,
                    const Json& max_unavailable = 0);

}  // namespace nexus::orchestration
