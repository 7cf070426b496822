#include "orchestration/job_planner.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "orchestration/json_read.hpp"
#include "orchestration/testing/model_cluster.hpp"
#include "orchestration/views.hpp"

namespace nexus::orchestration {
namespace {

using namespace std::chrono_literals;

Json backup_job(const std::function<void(Json&)>& edit = [](Json&) {}) {
  Json json = Json::parse(R"({
    "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "backup", "namespace": "default"},
    "spec": {"completions": 1, "parallelism": 1, "backoffLimit": 2,
             "template": {"metadata": {"labels": {"app": "backup"}},
                          "spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "busybox:1"}]}}}})");
  edit(json["spec"]);
  return json;
}

class JobTest : public testing::Test {
 protected:
  std::size_t sync() { return cluster_.sync_job("backup").writes.size(); }
  Json job() { return cluster_.get("Job", "backup"); }
  std::vector<std::string> active() {
    std::vector<std::string> names;
    for (const auto& pod : cluster_.pods()) {
      if (pod->state.active()) names.push_back(pod->meta.name);
    }
    return names;
  }
  std::string condition() {
    const Json json = job();
    for (const char* type : {"Complete", "Failed"}) {
      const Json* found = find_condition(at(json, "status"), type);
      if (found != nullptr && text(*found, "status") == "True")
        return std::string(type) + "/" + text(*found, "reason");
    }
    return "";
  }
  ModelCluster cluster_;
};

TEST_F(JobTest, RunsOnePodToItsEnd) {
  cluster_.create(backup_job());
  sync();
  ASSERT_EQ(active().size(), 1u);
  const auto pod = cluster_.pods()[0];
  EXPECT_EQ(pod->meta.labels.at("job-name"), "backup");
  EXPECT_EQ(workload_of(pod->object->json), (WorkloadName{"Job", "backup"}));
  cluster_.finish(pod->meta.name, true);
  sync();
  EXPECT_EQ(condition(), "Complete/CompletionsReached");
  EXPECT_EQ(job()["status"]["succeeded"], 1);
  EXPECT_TRUE(cluster_.pods()[0]->meta.finalizers.empty());
  sync();
  EXPECT_EQ(sync(), 0u);
  EXPECT_EQ(job()["status"]["active"], 0);
}

TEST_F(JobTest, RunsAsManyAtOnceAsAllowedAndAsManyAsNeeded) {
  cluster_.create(
      backup_job([](Json& spec) { spec.update({{"completions", 5}, {"parallelism", 2}}); }));
  for (int done = 0; done < 5; ++done) {
    sync();
    EXPECT_EQ(active().size(), std::min<std::size_t>(2, 5 - static_cast<std::size_t>(done)));
    cluster_.finish(active()[0], true);
  }
  sync();
  EXPECT_EQ(condition(), "Complete/CompletionsReached");
  EXPECT_EQ(cluster_.pods().size(), 5u);
}

TEST_F(JobTest, FailuresWaitTenSecondsDoublingAndEndAtTheLimit) {
  cluster_.create(backup_job());
  base::Duration wait = 10s;
  for (int failure = 0; failure < 3; ++failure) {
    sync();
    ASSERT_EQ(active().size(), 1u) << failure;
    cluster_.finish(active()[0], false);
    cluster_.forget_wake();
    sync();
    if (failure == 2) break;
    EXPECT_TRUE(active().empty());
    ASSERT_TRUE(cluster_.next_wake());
    EXPECT_EQ(*cluster_.next_wake(), cluster_.now().wall + wait);
    cluster_.advance(wait);
    wait *= 2;
  }
  EXPECT_EQ(condition(), "Failed/BackoffLimitExceeded");
  EXPECT_EQ(job()["status"]["failed"], 3);
}

TEST_F(JobTest, RestartsInPlaceCountTowardsTheLimit) {
  cluster_.create(
      backup_job([](Json& spec) { spec["template"]["spec"]["restartPolicy"] = "OnFailure"; }));
  sync();
  cluster_.restart(active()[0], 1);
  sync();
  EXPECT_EQ(condition(), "");
  cluster_.restart(active()[0], 2);
  sync();
  EXPECT_EQ(condition(), "Failed/BackoffLimitExceeded");
  EXPECT_TRUE(active().empty());
}

TEST_F(JobTest, ADeadlineEndsIt) {
  cluster_.create(backup_job([](Json& spec) { spec["activeDeadlineSeconds"] = 60; }));
  sync();
  ASSERT_TRUE(cluster_.next_wake());
  cluster_.advance(60s);
  sync();
  EXPECT_EQ(condition(), "Failed/DeadlineExceeded");
  EXPECT_TRUE(active().empty());
}

TEST_F(JobTest, IsRemovedWhenItsTimeIsUp) {
  cluster_.create(backup_job([](Json& spec) { spec["ttlSecondsAfterFinished"] = 30; }));
  sync();
  cluster_.finish(active()[0], true);
  sync();
  cluster_.forget_wake();
  sync();
  EXPECT_EQ(cluster_.next_wake(), cluster_.now().wall + 30s);
  cluster_.advance(30s);
  sync();
  EXPECT_TRUE(job().is_null());
  cluster_.collect();
  for (const auto& pod : cluster_.pods()) cluster_.stopped(pod->meta.name);
  EXPECT_TRUE(cluster_.pods().empty());
}

TEST_F(JobTest, SuspendStopsItsPodsAndResumeStartsThem) {
  cluster_.create(backup_job());
  sync();
  Json json = job();
  json["spec"]["suspend"] = true;
  cluster_.update(json);
  sync();
  EXPECT_TRUE(active().empty());
  json = job();
  EXPECT_FALSE(json["status"].contains("startTime"));
  json["spec"]["suspend"] = false;
  cluster_.update(json);
  sync();
  EXPECT_EQ(active().size(), 1u);
}

TEST_F(JobTest, MorePodsThanFitIntoOnePlanAreStoppedByTheNext) {
  cluster_.create(
      backup_job([](Json& spec) { spec.update({{"completions", 900}, {"parallelism", 900}}); }));
  while (active().size() < 900) ASSERT_LE(sync(), kJobBurst + 1);
  Json json = job();
  json["spec"]["suspend"] = true;
  cluster_.update(json);
  for (int plans = 0; !active().empty(); ++plans) {
    ASSERT_LT(plans, 3);
    ASSERT_LE(sync(), kJobWritesMax + 1);
    EXPECT_EQ(job()["status"]["active"], active().size());
  }
}

TEST_F(JobTest, MoreEndsThanFitIntoOnePlanAreAllCountedBeforeMorePodsAreMade) {
  cluster_.create(
      backup_job([](Json& spec) { spec.update({{"completions", 700}, {"parallelism", 600}}); }));
  while (active().size() < 600) sync();
  for (const std::string& name : active()) cluster_.finish(name, true);
  EXPECT_EQ(sync(), kJobWritesMax + 1);
  EXPECT_EQ(job()["status"]["succeeded"], kJobWritesMax);
  EXPECT_TRUE(active().empty());
  sync();
  EXPECT_EQ(job()["status"]["succeeded"], 600);
  EXPECT_EQ(active().size(), 100u);
}

TEST_F(JobTest, AFinalizerOutlivesItsTime) {
  cluster_.create(backup_job([](Json& spec) { spec["ttlSecondsAfterFinished"] = 0; }));
  Json json = job();
  json["metadata"]["finalizers"] = Json::array({"example.org/report"});
  cluster_.update(json);
  sync();
  cluster_.finish(active()[0], true);
  sync();
  sync();
  ASSERT_FALSE(job().is_null());
  EXPECT_TRUE(job()["metadata"].contains("deletionTimestamp"));
}

TEST_F(JobTest, AWorkQueueEndsWhenOneSucceededAndAllHaveEnded) {
  cluster_.create(backup_job([](Json& spec) {
    spec.erase("completions");
    spec["parallelism"] = 3;
  }));
  sync();
  ASSERT_EQ(active().size(), 3u);
  cluster_.finish(active()[0], true);
  sync();
  EXPECT_EQ(active().size(), 2u);
  EXPECT_EQ(condition(), "");
  while (!active().empty()) cluster_.finish(active()[0], true);
  sync();
  EXPECT_EQ(condition(), "Complete/CompletionsReached");
}

TEST_F(JobTest, APodThatIsDeletedWhileItRunsCountsOnce) {
  cluster_.create(backup_job());
  sync();
  const std::string name = active()[0];
  Plan mark;
  mark.writes.push_back(
      *deletion_of(*cluster_.find({"Pod", "default", name}), cluster_.now().wall, 30));
  ASSERT_TRUE(cluster_.apply(mark));
  sync();
  EXPECT_EQ(active().size(), 1u);  // replaced at once
  cluster_.stopped(name);          // has a last status, and waits to be counted
  sync();
  EXPECT_EQ(job()["status"]["failed"], 1);
  cluster_.stopped(name);
  sync();
  EXPECT_EQ(job()["status"]["failed"], 1);
}

TEST_F(JobTest, PodsOfADeletedJobAreLetGo) {
  cluster_.create(backup_job());
  sync();
  cluster_.remove({"Job", "default", "backup"});
  cluster_.collect();
  const auto pods = cluster_.pods();
  ASSERT_EQ(pods.size(), 1u);
  EXPECT_TRUE(pods[0]->state.terminating);
  EXPECT_TRUE(pods[0]->meta.finalizers.empty());
}

// Pods end, are deleted, and the controller runs at any time: every end is counted exactly once.
RC_GTEST_PROP(JobProperty, CountsEveryEndOnce, ()) {
  ModelCluster cluster(*rc::gen::arbitrary<std::uint64_t>());
  const int completions = *rc::gen::inRange(1, 6);
  cluster.create(backup_job([&](Json& spec) {
    spec["completions"] = completions;
    spec["parallelism"] = *rc::gen::inRange(1, 4);
    spec["backoffLimit"] = 1000;
  }));
  std::int64_t succeeded = 0, failed = 0;
  const int steps = *rc::gen::inRange(10, 80);
  for (int i = 0; i < steps; ++i) {
    const auto pods = cluster.pods();
    const int action = *rc::gen::inRange(0, 6);
    if (action < 3 || pods.empty()) {
      cluster.sync_job("backup");
      cluster.advance(1s);
      continue;
    }
    const auto& pod =
        pods[static_cast<std::size_t>(*rc::gen::inRange<int>(0, static_cast<int>(pods.size())))];
    if (pod->state.active() && action == 3) {
      const bool success = *rc::gen::arbitrary<bool>();
      cluster.finish(pod->meta.name, success);
      ++(success ? succeeded : failed);
    } else if (action == 4) {
      if (auto mark = deletion_of(*pod->object, cluster.now().wall, 0)) {
        Plan plan;
        plan.writes.push_back(std::move(*mark));
        RC_ASSERT(cluster.apply(plan));
      }
    } else if (pod->state.terminating) {
      const bool ended =
          pod->state.phase == PodPhase::Failed || pod->state.phase == PodPhase::Succeeded;
      if (!ended && !pod->meta.finalizers.empty()) ++failed;
      cluster.stopped(pod->meta.name);
    }
    RC_ASSERT(number_or(cluster.get("Job", "backup")["status"], "succeeded", 0) <= succeeded);
  }
  cluster.sync_job("backup");
  const Json status = cluster.get("Job", "backup")["status"];
  RC_ASSERT(number_or(status, "succeeded", 0) == succeeded);
  RC_ASSERT(number_or(status, "failed", 0) == failed);
}

}  // namespace
}  // namespace nexus::orchestration
