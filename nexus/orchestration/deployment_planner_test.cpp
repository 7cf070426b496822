#include "orchestration/deployment_planner.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "orchestration/conditions.hpp"
#include "orchestration/json_read.hpp"
#include "orchestration/testing/model_cluster.hpp"
#include "orchestration/views.hpp"

namespace nexus::orchestration {
namespace {

using namespace std::chrono_literals;

class DeploymentTest : public testing::Test {
 protected:
  /// Controllers run until they have nothing to do; pods of `good` images are ready at once, marked
  /// ones stop at once.
  void settle() {
    for (int round = 0; round < 200; ++round) {
      const std::size_t writes = step();
      bool moved = writes > 0;
      for (const PodSummaryPtr& pod : cluster_.pods()) {
        if (pod->state.terminating) {
          cluster_.stopped(pod->meta.name);
          moved = true;
        } else if (!pod->state.ready && good(*pod)) {
          cluster_.set_ready(pod->meta.name, true);
          moved = true;
        }
      }
      if (!moved) return;
    }
    FAIL() << "the controllers never come to rest";
  }
  std::size_t step() {
    std::size_t writes = cluster_.sync_deployment("web").writes.size();
    for (const ReplicaSet& set : cluster_.sets())
      writes += cluster_.sync_replica_set(set.meta.name).writes.size();
    return writes;
  }
  static std::string image(const PodSummary& pod) {
    return text(items(at(pod.object->json, "spec"), "containers")[0], "image");
  }
  static bool good(const PodSummary& pod) { return !image(pod).starts_with("bad"); }

  std::map<std::string, int> images() {
    std::map<std::string, int> out;
    for (const PodSummaryPtr& pod : cluster_.pods()) {
      if (pod->state.active()) ++out[image(*pod)];
    }
    return out;
  }
  Json web() { return cluster_.get("Deployment", "web"); }
  void set_image(const std::string& image) {
    Json json = web();
    json["spec"]["template"]["spec"]["containers"][0]["image"] = image;
    cluster_.update(json);
  }
  void edit(const std::function<void(Json&)>& change) {
    Json json = web();
    change(json["spec"]);
    cluster_.update(json);
  }
  std::string reason(const std::string& type) {
    const Json json = web();
    const Json* condition = find_condition(at(json, "status"), type);
    return condition == nullptr ? "" : text(*condition, "reason");
  }

  ModelCluster cluster_;
};

TEST_F(DeploymentTest, ARolloutIsNotOverWhileTheNetworkLeadsToAnOldPod) {
  cluster_.create(web_deployment(3, "web:1"));
  settle();
  set_image("web:2");
  for (int round = 0; round < 50; ++round) {
    step();
    for (const PodSummaryPtr& pod : cluster_.pods()) {
      if (!pod->state.terminating && !pod->state.ready) cluster_.set_ready(pod->meta.name, true);
    }
  }
  EXPECT_EQ(images(), (std::map<std::string, int>{{"web:2", 3}}));
  EXPECT_EQ(number_or(at(web(), "status"), "replicas", 0), 6);
  EXPECT_NE(reason("Progressing"), "NewReplicaSetAvailable");
  settle();
  EXPECT_EQ(number_or(at(web(), "status"), "replicas", 0), 3);
  EXPECT_EQ(reason("Progressing"), "NewReplicaSetAvailable");
}

TEST_F(DeploymentTest, ANewOneGetsAllItsReplicas) {
  cluster_.create(web_deployment(3, "web:1"));
  settle();
  EXPECT_EQ(images(), (std::map<std::string, int>{{"web:1", 3}}));
  const Rollout state = rollout(web());
  EXPECT_TRUE(state.complete) << state.message;
  EXPECT_EQ(reason("Progressing"), "NewReplicaSetAvailable");
  EXPECT_EQ(reason("Available"), "MinimumReplicasAvailable");
  ASSERT_EQ(cluster_.sets().size(), 1u);
  EXPECT_EQ(cluster_.sets()[0].revision(), 1);
  EXPECT_EQ(web()["metadata"]["annotations"]["deployment.kubernetes.io/revision"], "1");
}

TEST_F(DeploymentTest, PodsCarryTheHashThatTheirSetSelects) {
  cluster_.create(web_deployment(1, "web:1"));
  settle();
  const ReplicaSet set = cluster_.sets()[0];
  const auto pod = cluster_.pods().at(0);
  EXPECT_TRUE(set.selector.matches(pod->meta.labels));
  EXPECT_EQ(set.meta.name, "web-" + pod->meta.labels.at("pod-template-hash"));
  EXPECT_EQ(workload_of(pod->object->json), (WorkloadName{"Deployment", "web"}));
}

TEST_F(DeploymentTest, AnUpdateMovesEveryPodAndKeepsTheOldSetForHistory) {
  cluster_.create(web_deployment(3, "web:1"));
  settle();
  set_image("web:2");
  settle();
  EXPECT_EQ(images(), (std::map<std::string, int>{{"web:2", 3}}));
  EXPECT_TRUE(rollout(web()).complete);
  const auto rows = history(web(), cluster_);
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0].revision, 2);
  EXPECT_EQ(rows[0].state, "current");
  EXPECT_EQ(rows[1].state, "superseded");
}

TEST_F(DeploymentTest, AnUpdateStopsAtABadVersionWithEveryOldPodInService) {
  cluster_.create(web_deployment(3, "web:1"));
  settle();
  set_image("bad:2");
  settle();
  EXPECT_EQ(images(), (std::map<std::string, int>{{"web:1", 3}, {"bad:2", 1}}));
  EXPECT_FALSE(rollout(web()).complete);
  EXPECT_EQ(cluster_.next_wake().has_value(), true);
}

TEST_F(DeploymentTest, AFailedRolloutGoesBackToTheLastCompleteRevision) {
  cluster_.create(web_deployment(3, "web:1"));
  settle();
  set_image("bad:2");
  settle();
  cluster_.advance(601s);
  settle();
  EXPECT_EQ(images(), (std::map<std::string, int>{{"web:1", 3}}));
  EXPECT_EQ(web()["spec"]["template"]["spec"]["containers"][0]["image"], "web:1");
  EXPECT_FALSE(
      at(at(at(web()["spec"], "template"), "metadata"), "labels").contains("pod-template-hash"));
  EXPECT_EQ(reason("Progressing"), "RolledBack");
  const Rollout state = rollout(web());
  EXPECT_TRUE(state.failed);
  EXPECT_TRUE(state.rolled_back);
  EXPECT_THAT(state.message, testing::HasSubstr("revision 2 made no progress for 600 s"));
  const auto rows = history(web(), cluster_);
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0].revision, 3);
  EXPECT_EQ(rows[0].state, "current");
  EXPECT_EQ(rows[1].state, "rolled back");

  // The next change is judged for itself.
  edit([](Json& spec) { spec["replicas"] = 4; });
  settle();
  EXPECT_TRUE(rollout(web()).complete);
  EXPECT_EQ(reason("Progressing"), "NewReplicaSetAvailable");
}

TEST_F(DeploymentTest, TheSameBadTemplateIsTriedAgainWhenAskedForAgain) {
  cluster_.create(web_deployment(2, "web:1"));
  settle();
  for (int attempt = 0; attempt < 2; ++attempt) {
    set_image("bad:2");
    settle();
    EXPECT_EQ(images().at("bad:2"), 1);
    EXPECT_FALSE(rollout(web()).failed);
    cluster_.advance(601s);
    settle();
    EXPECT_EQ(images(), (std::map<std::string, int>{{"web:1", 2}}));
    EXPECT_TRUE(rollout(web()).rolled_back);
  }
}

TEST_F(DeploymentTest, WithNothingToGoBackToAFailureIsOnlyReported) {
  cluster_.create(web_deployment(2, "bad:1"));
  settle();
  cluster_.advance(601s);
  settle();
  EXPECT_EQ(reason("Progressing"), "ProgressDeadlineExceeded");
  EXPECT_TRUE(rollout(web()).failed);
  EXPECT_EQ(images(), (std::map<std::string, int>{{"bad:1", 2}}));
}

TEST_F(DeploymentTest, AutomaticRollbackCanBeSwitchedOff) {
  Json json = web_deployment(2, "web:1");
  json["metadata"]["annotations"]["hypermesh.io/automatic-rollback"] = "false";
  cluster_.create(json);
  settle();
  set_image("bad:2");
  settle();
  cluster_.advance(601s);
  settle();
  EXPECT_EQ(web()["spec"]["template"]["spec"]["containers"][0]["image"], "bad:2");
  EXPECT_EQ(reason("Progressing"), "ProgressDeadlineExceeded");
}

TEST_F(DeploymentTest, ACompleteRolloutIsNeverRolledBackByLaterFailures) {
  cluster_.create(web_deployment(2, "web:1"));
  settle();
  set_image("web:2");
  settle();
  cluster_.set_ready(cluster_.pods()[0]->meta.name, false);
  step();
  cluster_.advance(2h);
  step();
  EXPECT_EQ(reason("Progressing"), "NewReplicaSetAvailable");
  EXPECT_EQ(web()["spec"]["template"]["spec"]["containers"][0]["image"], "web:2");
}

TEST_F(DeploymentTest, ProgressMovesTheDeadline) {
  Json json = web_deployment(3, "bad:1", 3, 0);
  cluster_.create(json);
  settle();
  for (int i = 0; i < 3; ++i) {
    cluster_.advance(500s);
    cluster_.set_ready(cluster_.pods()[static_cast<std::size_t>(i)]->meta.name, true);
    step();
    step();
    EXPECT_NE(reason("Progressing"), "ProgressDeadlineExceeded") << i;
  }
  EXPECT_TRUE(rollout(web()).complete);
}

TEST_F(DeploymentTest, PausedKeepsTheOldTemplateButScales) {
  cluster_.create(web_deployment(2, "web:1"));
  settle();
  edit([](Json& spec) {
    spec["paused"] = true;
    spec["template"]["spec"]["containers"][0]["image"] = "web:2";
  });
  settle();
  EXPECT_EQ(images(), (std::map<std::string, int>{{"web:1", 2}}));
  EXPECT_EQ(reason("Progressing"), "DeploymentPaused");
  edit([](Json& spec) { spec["replicas"] = 4; });
  settle();
  EXPECT_EQ(images(), (std::map<std::string, int>{{"web:1", 4}}));
  edit([](Json& spec) { spec.erase("paused"); });
  settle();
  EXPECT_EQ(images(), (std::map<std::string, int>{{"web:2", 4}}));
  EXPECT_TRUE(rollout(web()).complete);
}

TEST_F(DeploymentTest, RecreateNeverRunsTwoVersions) {
  Json json = web_deployment(3, "web:1");
  json["spec"]["strategy"] = {{"type", "Recreate"}};
  cluster_.create(json);
  settle();
  set_image("web:2");
  step();
  step();
  EXPECT_EQ(images(), (std::map<std::string, int>{}));
  EXPECT_EQ(cluster_.pods().size(), 3u);  // being stopped
  step();
  EXPECT_EQ(cluster_.pods().size(), 3u);
  settle();
  EXPECT_EQ(images(), (std::map<std::string, int>{{"web:2", 3}}));
}

TEST_F(DeploymentTest, ScalingInTheMiddleOfARolloutKeepsTheProportion) {
  cluster_.create(web_deployment(10, "web:1", 3, 2));
  settle();
  set_image("bad:2");
  settle();  // stops with 8 old and 5 new
  EXPECT_EQ(images(), (std::map<std::string, int>{{"web:1", 8}, {"bad:2", 5}}));
  edit([](Json& spec) { spec["replicas"] = 20; });
  step();
  step();
  const auto now = images();
  EXPECT_EQ(now.at("web:1") + now.at("bad:2"), 23);
  EXPECT_NEAR(now.at("web:1"), 23.0 * 8 / 13, 1);
}

TEST_F(DeploymentTest, MinReadySecondsDelayAvailability) {
  Json json = web_deployment(1, "web:1");
  json["spec"]["minReadySeconds"] = 30;
  cluster_.create(json);
  settle();
  EXPECT_FALSE(rollout(web()).complete);
  EXPECT_EQ(web()["status"]["readyReplicas"], 1);
  EXPECT_EQ(web()["status"]["availableReplicas"], 0);
  ASSERT_TRUE(cluster_.next_wake());
  EXPECT_EQ(*cluster_.next_wake(), cluster_.now().wall + 30s);
  cluster_.advance(30s);
  settle();
  EXPECT_TRUE(rollout(web()).complete);
}

TEST_F(DeploymentTest, HistoryIsCutToItsLimit) {
  Json json = web_deployment(1, "web:0");
  json["spec"]["revisionHistoryLimit"] = 2;
  cluster_.create(json);
  settle();
  for (int i = 1; i <= 5; ++i) {
    cluster_.advance(1s);
    set_image("web:" + std::to_string(i));
    settle();
  }
  const auto rows = history(web(), cluster_);
  ASSERT_EQ(rows.size(), 3u);
  EXPECT_EQ(rows.front().revision, 6);
  EXPECT_EQ(rows.back().images, std::vector<std::string>{"web:3"});
}

TEST_F(DeploymentTest, AForeignSetOfTheSameNameMakesAnotherHash) {
  const std::string hash = template_hash(web_deployment(1, "web:1")["spec"]["template"], 0);
  cluster_.create(
      Json{{"apiVersion", "apps/v1"},
           {"kind", "ReplicaSet"},
           {"metadata",
            {{"name", "web-" + hash},
             {"namespace", "default"},
             {"ownerReferences",
              {{{"kind", "Other"}, {"name", "o"}, {"uid", "o"}, {"controller", true}}}}}},
           {"spec", {{"replicas", 0}, {"selector", {{"matchLabels", {{"x", "y"}}}}}}}});
  cluster_.create(web_deployment(1, "web:1"));
  settle();
  EXPECT_TRUE(rollout(web()).complete);
  EXPECT_EQ(web()["status"]["collisionCount"], 1);
}

TEST_F(DeploymentTest, PodsLeftByADeletedDeploymentAreAdopted) {
  cluster_.create(web_deployment(2, "web:1"));
  settle();
  const auto before = cluster_.pods();
  Json json = web_deployment(2, "web:1");
  for (const ReplicaSet& set : cluster_.sets()) {
    Json orphan = set.object->json;
    orphan["metadata"].erase("ownerReferences");
    cluster_.update(orphan);
  }
  cluster_.remove({"Deployment", "default", "web"});
  cluster_.create(json);
  settle();
  EXPECT_EQ(cluster_.sets().size(), 1u);
  ASSERT_EQ(cluster_.pods().size(), 2u);
  EXPECT_EQ(cluster_.pods()[0]->meta.uid, before[0]->meta.uid);
}

struct BoundsCase {
  std::int32_t replicas;
  const char *surge, *unavailable;
  std::int32_t surge_pods, unavailable_pods;
};
TEST(DeploymentBounds, RoundAsKubernetesDoes) {
  const std::vector<BoundsCase> cases = {
      {4, "25%", "25%", 1, 1},   {3, "25%", "25%", 1, 0},
      {1, "25%", "25%", 1, 0},   {10, "0%", "5%", 0, 1},  // both would be 0: one may be unavailable
      {2, "100%", "100%", 2, 2},
  };
  for (const BoundsCase& each : cases) {
    auto object = std::make_shared<Object>();
    object->json = web_deployment(each.replicas, "i", each.surge, each.unavailable);
    const auto deployment = read_deployment(object);
    ASSERT_TRUE(deployment);
    EXPECT_EQ(deployment->surge(), each.surge_pods) << each.replicas << each.surge;
    EXPECT_EQ(deployment->unavailable(), each.unavailable_pods)
        << each.replicas << each.unavailable;
  }
}

}  // namespace
}  // namespace nexus::orchestration
