#include "orchestration/garbage_planner.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "orchestration/json_read.hpp"
#include "orchestration/replica_set_planner.hpp"
#include "orchestration/testing/model_cluster.hpp"

namespace nexus::orchestration {
namespace {

using namespace std::chrono_literals;

class GarbageTest : public testing::Test {
 protected:
  void deploy() {
    cluster_.create(web_deployment(2, "web:1"));
    for (int i = 0; i < 5; ++i) {
      cluster_.sync_deployment("web");
      cluster_.sync_replica_sets();
    }
    ASSERT_EQ(cluster_.pods().size(), 2u);
  }
  void mark(const std::string& kind, const std::string& name, const std::string& finalizer) {
    Json json = cluster_.get(kind, name);
    json["metadata"]["deletionTimestamp"] = base::to_rfc3339(cluster_.now().wall);
    json["metadata"]["finalizers"] = Json::array({finalizer});
    cluster_.update(json);
  }
  void stop_pods() {
    for (const auto& pod : cluster_.pods()) {
      if (pod->state.terminating) cluster_.stopped(pod->meta.name);
    }
  }
  ModelCluster cluster_;
};

TEST_F(GarbageTest, WhatIsOwnedGoesAfterItsOwner) {
  deploy();
  cluster_.remove({"Deployment", "default", "web"});
  cluster_.collect();
  EXPECT_TRUE(cluster_.sets().empty());
  EXPECT_EQ(cluster_.pods().size(), 2u);
  for (const auto& pod : cluster_.pods()) {
    EXPECT_TRUE(pod->state.terminating);
    EXPECT_EQ(pod->meta.deletion_grace_seconds, 5);
  }
}

TEST_F(GarbageTest, ForegroundWaitsForWhatBlocks) {
  deploy();
  mark("Deployment", "web", "foregroundDeletion");
  cluster_.collect();
  EXPECT_FALSE(cluster_.get("Deployment", "web").is_null());
  cluster_.collect();
  stop_pods();
  cluster_.collect();
  EXPECT_TRUE(cluster_.get("Deployment", "web").is_null());
  EXPECT_TRUE(cluster_.sets().empty());
  EXPECT_TRUE(cluster_.pods().empty());
}

// 250 pods of 70 KB are more than one transaction takes.
TEST_F(GarbageTest, PlansOfLargeObjectsFitIntoATransaction) {
  const auto bytes = [](const Plan& plan) {
    std::size_t sum = 0;
    for (const ObjectWrite& write : plan.writes) sum += write.json.dump().size();
    return sum;
  };
  Json deployment = web_deployment(200, "web:1");
  deployment["spec"]["template"]["metadata"]["annotations"]["note"] = std::string(70'000, 'x');
  cluster_.create(std::move(deployment));
  cluster_.sync_deployment("web");
  base::SeededRng rng(1);
  const Plan first = plan_replica_set(cluster_.sets().at(0), cluster_.pods(), cluster_.now(), rng);
  EXPECT_GT(first.writes.size(), 50u);
  EXPECT_LT(bytes(first), 12u << 20);
  for (int i = 0; i < 5; ++i) cluster_.sync_replica_sets();
  ASSERT_EQ(cluster_.pods().size(), 200u);

  cluster_.create(
      {{"apiVersion", "v1"}, {"kind", "Namespace"}, {"metadata", {{"name", "default"}}}});
  const ObjectRef ref{"Namespace", "", "default"};
  Json space = cluster_.find(ref)->json;
  space["metadata"]["deletionTimestamp"] = base::to_rfc3339(cluster_.now().wall);
  cluster_.update(space);
  const Plan last = plan_namespace(*cluster_.find(ref), cluster_, cluster_.now());
  EXPECT_GT(last.writes.size(), 50u);
  EXPECT_LT(bytes(last), 12u << 20);
}

TEST_F(GarbageTest, ACircleOfOwnersGoesInTheForeground) {
  for (const bool all_marked : {false, true}) {
    const std::vector<std::string> names{"a", "b", "c"};
    for (const std::string& name : names) {
      cluster_.create({{"apiVersion", "v1"},
                       {"kind", "ConfigMap"},
                       {"metadata", {{"name", name}, {"namespace", "default"}}}});
    }
    for (std::size_t i = 0; i < names.size(); ++i) {
      const std::string& owner = names[(i + 1) % names.size()];
      Json json = cluster_.get("ConfigMap", names[i]);
      json["metadata"]["ownerReferences"] =
          Json::array({{{"apiVersion", "v1"},
                        {"kind", "ConfigMap"},
                        {"name", owner},
                        {"uid", cluster_.get("ConfigMap", owner)["metadata"]["uid"]},
                        {"blockOwnerDeletion", true}}});
      cluster_.update(json);
    }
    for (const std::string& name : names) {
      if (all_marked || name == "a") mark("ConfigMap", name, "foregroundDeletion");
    }
    for (int i = 0; i < 5; ++i) cluster_.collect();
    for (const std::string& name : names)
      EXPECT_TRUE(cluster_.get("ConfigMap", name).is_null()) << name << all_marked;
  }
}

TEST_F(GarbageTest, OrphansStay) {
  deploy();
  mark("Deployment", "web", "orphan");
  cluster_.collect();
  EXPECT_TRUE(cluster_.get("Deployment", "web").is_null());
  ASSERT_EQ(cluster_.sets().size(), 1u);
  EXPECT_TRUE(cluster_.sets()[0].meta.owners.empty());
  for (const auto& pod : cluster_.pods()) EXPECT_FALSE(pod->state.terminating);
}

TEST_F(GarbageTest, AnOwnerOfTheSameNameIsNotTheOwner) {
  deploy();
  cluster_.remove({"Deployment", "default", "web"});
  cluster_.create(web_deployment(2, "web:2"));
  cluster_.collect();
  EXPECT_TRUE(cluster_.sets().empty());
}

TEST_F(GarbageTest, WithOneOfTwoOwnersLeftItStays) {
  cluster_.create({{"apiVersion", "v1"},
                   {"kind", "ConfigMap"},
                   {"metadata", {{"name", "a"}, {"namespace", "default"}}}});
  const std::string uid = cluster_.get("ConfigMap", "a")["metadata"]["uid"];
  cluster_.create({{"apiVersion", "v1"},
                   {"kind", "ConfigMap"},
                   {"metadata",
                    {{"name", "b"},
                     {"namespace", "default"},
                     {"ownerReferences",
                      {{{"kind", "ConfigMap"}, {"name", "a"}, {"uid", uid}},
                       {{"kind", "ConfigMap"}, {"name", "gone"}, {"uid", "gone"}}}}}}});
  cluster_.collect();
  EXPECT_FALSE(cluster_.get("ConfigMap", "b").is_null());
  cluster_.remove({"ConfigMap", "default", "a"});
  cluster_.collect();
  EXPECT_TRUE(cluster_.get("ConfigMap", "b").is_null());
}

TEST_F(GarbageTest, ANamespaceGoesWhenItIsEmpty) {
  deploy();
  cluster_.create({{"apiVersion", "v1"},
                   {"kind", "Secret"},
                   {"metadata", {{"name", "s"}, {"namespace", "default"}}}});
  cluster_.create({{"apiVersion", "v1"},
                   {"kind", "Namespace"},
                   {"metadata", {{"name", "default"}}},
                   {"spec", Json::object()}});
  const ObjectRef ref{"Namespace", "", "default"};
  Json json = cluster_.find(ref)->json;
  json["metadata"]["deletionTimestamp"] = base::to_rfc3339(cluster_.now().wall);
  cluster_.update(json);
  cluster_.collect();
  EXPECT_EQ(cluster_.find(ref)->json["status"]["phase"], "Terminating");
  EXPECT_FALSE(cluster_.get("Secret", "s").is_null());  // the pods may still read it
  stop_pods();
  cluster_.collect();
  EXPECT_EQ(cluster_.find(ref), nullptr);
  EXPECT_TRUE(cluster_.get("Secret", "s").is_null());
}

PodSummaryPtr summary(const char* name, bool placed, const char* phase, bool ready,
                      std::int64_t ready_age, std::int64_t restarts, std::int64_t age,
                      const char* cost = "") {
  auto pod = std::make_shared<PodSummary>();
  const base::WallTime now(std::chrono::hours(1000));
  pod->meta.name = name;
  pod->meta.created = now - std::chrono::seconds(age);
  if (*cost != 0) pod->meta.annotations["controller.kubernetes.io/pod-deletion-cost"] = cost;
  pod->state.scheduled = placed;
  pod->state.phase = std::string(phase) == "Pending" ? PodPhase::Pending : PodPhase::Running;
  pod->state.ready = ready;
  pod->state.ready_since = now - std::chrono::seconds(ready_age);
  pod->state.restarts = restarts;
  return pod;
}

TEST(DeletionOrder, IsThatOfKubernetes) {
  std::vector<PodSummaryPtr> pods = {
      summary("old-and-steady", true, "Running", true, 1000, 0, 1000),
      summary("expensive", true, "Running", true, 1, 9, 1, "100"),
      summary("ready-shortly", true, "Running", true, 10, 0, 1000),
      summary("restarted", true, "Running", true, 10, 5, 1000),
      summary("younger", true, "Running", true, 1000, 0, 900),
      summary("not-ready", true, "Running", false, 0, 0, 1000),
      summary("pending", true, "Pending", false, 0, 0, 1000),
      summary("unplaced", false, "Pending", false, 0, 0, 1000),
  };
  sort_for_deletion(pods);
  std::vector<std::string> names;
  for (const auto& pod : pods) names.push_back(pod->meta.name);
  EXPECT_EQ(names,
            (std::vector<std::string>{"unplaced", "pending", "not-ready", "restarted",
                                      "ready-shortly", "younger", "old-and-steady", "expensive"}));
}

}  // namespace
}  // namespace nexus::orchestration
