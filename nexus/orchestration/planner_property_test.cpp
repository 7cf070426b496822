// Any sequence of events: the bounds of a rollout hold at every step, and it ends where it should.

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "orchestration/deployment_planner.hpp"
#include "orchestration/json_read.hpp"
#include "orchestration/replica_set_planner.hpp"
#include "orchestration/testing/model_cluster.hpp"
#include "orchestration/views.hpp"

namespace nexus::orchestration {
namespace {

using namespace std::chrono_literals;

struct Bounds {
  std::int32_t replicas, surge, unavailable;
};

class Run {
 public:
  explicit Run(std::uint64_t seed) : cluster_(seed) {
    const Json surge = pick<Json>({0, 1, 2, "25%", "50%"});
    Json unavailable = pick<Json>({0, 1, 2, "25%"});
    if (surge == 0 && unavailable == 0) unavailable = 1;
    replicas_ = *rc::gen::inRange(1, 8);
    cluster_.create(web_deployment(replicas_, "web:0", surge, unavailable));
  }

  void random_step() {
    switch (*rc::gen::inRange(0, 12)) {
      case 0:
        return change_template();
      case 1:
        return cluster_.advance(std::chrono::seconds(*rc::gen::inRange(1, 400)));
      case 2:
      case 3:
        return toggle_ready(true);
      case 4:
        return toggle_ready(false);
      case 5:
      case 6:
        return finish_stopping();
      default:
        return sync();
    }
  }

  /// Deployment and sets plan on what they see at one moment.
  void sync() {
    cluster_.sync_deployment("web");
    check_surge();
    const std::int32_t available_before = available();
    std::int32_t deleted_available = 0;
    for (const ReplicaSet& set : cluster_.sets()) {
      std::set<std::string> alive;
      for (const auto& pod : cluster_.pods()) {
        if (pod->state.available(0, cluster_.now().wall) && pod->state.active())
          alive.insert(pod->meta.name);
      }
      cluster_.sync_replica_set(set.meta.name);
      for (const auto& pod : cluster_.pods()) {
        if (alive.contains(pod->meta.name) && pod->state.terminating) ++deleted_available;
      }
    }
    const Bounds bounds = this->bounds();
    if (deleted_available > 0 && !scaled_) {
      RC_ASSERT(available_before - deleted_available >= bounds.replicas - bounds.unavailable);
    }
    check_surge();
  }

  /// One controller runs while the others have not seen its work yet. Nothing fails, and nothing
  /// becomes ready between the decision that it is of no use and its end, so every available pod
  /// that goes was taken by us.
  void interleaved_step() {
    switch (*rc::gen::inRange(0, 8)) {
      case 0:
        return change_template();
      case 1:
      case 2:
        if (!shrinking()) toggle_ready(true);
        return;
      case 3:
        return finish_stopping();
      case 4:
      case 5:
        cluster_.sync_deployment("web");
        return;
      default:
        break;
    }
    const auto sets = cluster_.sets();
    if (sets.empty()) return;
    const std::int32_t before = available();
    const auto index = *rc::gen::inRange<int>(0, static_cast<int>(sets.size()));
    cluster_.sync_replica_set(sets[static_cast<std::size_t>(index)].meta.name);
    const Bounds bounds = this->bounds();
    if (available() < before) RC_ASSERT(available() >= bounds.replicas - bounds.unavailable);
    check_surge();
  }

  void scale() {
    Json json = cluster_.get("Deployment", "web");
    replicas_ = *rc::gen::inRange(0, 8);
    json["spec"]["replicas"] = replicas_;
    cluster_.update(json);
    scaled_ = true;
  }

  void change_template() {
    Json json = cluster_.get("Deployment", "web");
    json["spec"]["template"]["spec"]["containers"][0]["image"] =
        "web:" + std::to_string(*rc::gen::inRange(0, 4));
    cluster_.update(json);
  }

  /// Everything that starts becomes ready, everything that is stopped ends.
  void calm_down() {
    for (int i = 0; i < 300; ++i) {
      const Json before = cluster_.get("Deployment", "web");
      cluster_.sync_deployment("web");
      cluster_.sync_replica_sets();
      bool moved = cluster_.get("Deployment", "web") != before;
      for (const auto& pod : cluster_.pods()) {
        moved = moved || pod->state.terminating || !pod->state.ready;
        if (pod->state.terminating) {
          cluster_.stopped(pod->meta.name);
        } else {
          cluster_.set_ready(pod->meta.name, true);
        }
      }
      if (!moved && i > 3) return;
    }
    RC_FAIL("it never comes to rest");
  }

  void check_end() {
    const Json web = cluster_.get("Deployment", "web");
    const Json& image = web["spec"]["template"]["spec"]["containers"][0]["image"];
    RC_ASSERT(static_cast<std::int32_t>(cluster_.pods().size()) == replicas_);
    for (const auto& pod : cluster_.pods()) {
      RC_ASSERT(pod->object->json["spec"]["containers"][0]["image"] == image);
    }
    const Rollout state = rollout(web);
    RC_ASSERT(state.observed);
    RC_ASSERT(state.complete || state.rolled_back);
    std::set<std::int64_t> revisions;
    for (const ReplicaSet& set : cluster_.sets())
      RC_ASSERT(revisions.insert(set.revision()).second);
  }

 private:
  template <class T>
  static T pick(std::vector<T> values) {
    return values[static_cast<std::size_t>(
        *rc::gen::inRange<int>(0, static_cast<int>(values.size())))];
  }
  Bounds bounds() {
    const auto deployment = read_deployment(cluster_.find({"Deployment", "default", "web"}));
    return {deployment->replicas, deployment->surge(), deployment->unavailable()};
  }
  std::int32_t available() {
    return count_replicas(cluster_.pods(), 0, cluster_.now().wall).available;
  }
  void check_surge() {
    const Bounds bounds = this->bounds();
    const auto active = count_replicas(cluster_.pods(), 0, cluster_.now().wall).active;
    if (!scaled_) RC_ASSERT(active <= bounds.replicas + bounds.surge);
  }
  /// A set still has pods that it was told to let go.
  bool shrinking() {
    for (const ReplicaSet& set : cluster_.sets()) {
      const auto owned = claim(cluster_.pods(), set.meta.uid, set.selector).owned;
      if (count_replicas(owned, 0, cluster_.now().wall).active > set.replicas) return true;
    }
    return false;
  }
  PodSummaryPtr some_pod() {
    const auto pods = cluster_.pods();
    if (pods.empty()) return nullptr;
    return pods[static_cast<std::size_t>(*rc::gen::inRange<int>(0, static_cast<int>(pods.size())))];
  }
  void toggle_ready(bool ready) {
    const auto pod = some_pod();
    if (pod != nullptr && !pod->state.terminating) cluster_.set_ready(pod->meta.name, ready);
  }
  void finish_stopping() {
    const auto pod = some_pod();
    if (pod != nullptr && pod->state.terminating) cluster_.stopped(pod->meta.name);
  }

  ModelCluster cluster_;
  std::int32_t replicas_;
  bool scaled_ = false;
};

RC_GTEST_PROP(DeploymentProperty, KeepsItsBoundsAndConverges, ()) {
  Run run(*rc::gen::arbitrary<std::uint64_t>());
  const int steps = *rc::gen::inRange(5, 60);
  for (int i = 0; i < steps; ++i) run.random_step();
  run.calm_down();
  run.check_end();
}

RC_GTEST_PROP(DeploymentProperty, KeepsItsBoundsWhenControllersSeeOldState, ()) {
  Run run(*rc::gen::arbitrary<std::uint64_t>());
  const int steps = *rc::gen::inRange(5, 120);
  for (int i = 0; i < steps; ++i) run.interleaved_step();
  run.calm_down();
  run.check_end();
}

RC_GTEST_PROP(DeploymentProperty, ConvergesWhateverIsScaledWhen, ()) {
  Run run(*rc::gen::arbitrary<std::uint64_t>());
  const int steps = *rc::gen::inRange(5, 60);
  for (int i = 0; i < steps; ++i) {
    if (*rc::gen::inRange(0, 6) == 0) {
      run.scale();
    } else {
      run.random_step();
    }
  }
  run.calm_down();
  run.check_end();
}

}  // namespace
}  // namespace nexus::orchestration
