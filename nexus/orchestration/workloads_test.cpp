// What people ask for comes to run, changes in steps, and goes.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "orchestration/json_read.hpp"
#include "orchestration/testing/test_cluster.hpp"

namespace nexus::orchestration {
namespace {

using namespace std::chrono_literals;
using testing::Contains;
using testing::IsEmpty;
using testing::SizeIs;

const ObjectRef kDeployment{"Deployment", "default", "web"};

constexpr std::string_view kWeb = R"(
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 3
  strategy: {rollingUpdate: {maxSurge: 1, maxUnavailable: 0}}
  progressDeadlineSeconds: 60
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: web
        image: web:1
        ports: [{containerPort: 8080}]
        readinessProbe: {httpGet: {path: /ready, port: 8080}}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}
)";

constexpr std::string_view kJob = R"(
apiVersion: batch/v1
kind: Job
metadata: {name: sum}
spec:
  completions: 3
  parallelism: 2
  backoffLimit: 2
  template:
    metadata: {labels: {app: sum}}
    spec: {restartPolicy: Never, containers: [{name: sum, image: "sum:1"}]}
)";

class WorkloadsTest : public testing::Test {
 protected:
  WorkloadsTest() { cluster_.start(); }
  ~WorkloadsTest() override { EXPECT_THAT(cluster_.violations(), IsEmpty()); }

  bool complete(const std::string& kind, const std::string& name) {
    return cluster_.wait_for([&] { return cluster_.state(kind, name).complete; });
  }
  bool only_image(const std::string& image) {
    const auto pods = cluster_.pods_of("web");
    return std::ranges::all_of(pods,
                               [&](const std::string& pod) { return image_of(pod) == image; });
  }
  std::string image_of(const std::string& pod) {
    return text(items(at(cluster_.get({"Pod", "default", pod}), "spec"), "containers")[0], "image");
  }
  void set_image(const std::string& image) {
    cluster_.edit(kDeployment, [&](Json& json) {
      json["spec"]["template"]["spec"]["containers"][0]["image"] = image;
    });
  }
  TestCluster cluster_;
};

TEST_F(WorkloadsTest, ADeploymentComesUp) {
  cluster_.apply(kWeb);
  ASSERT_TRUE(complete("Deployment", "web"));
  ASSERT_THAT(cluster_.pods_of("web"), SizeIs(3));
  EXPECT_EQ(cluster_.driver.running(), 3u);
  for (const std::string& pod : cluster_.pods_of("web")) {
    const Json object = cluster_.get({"Pod", "default", pod});
    EXPECT_EQ(text(at(object, "spec"), "nodeName"), "n1");
    EXPECT_EQ(text(at(object, "status"), "phase"), "Running");
  }
  EXPECT_THAT(cluster_.backends("web"), SizeIs(6));  // of both families
}

TEST_F(WorkloadsTest, AnUpdateKeepsItsPromisesAtEveryStep) {
  cluster_.apply(kWeb);
  ASSERT_TRUE(complete("Deployment", "web"));
  set_image("web:2");
  const bool done = cluster_.wait_for([&] {
    std::size_t living = 0;
    for (const std::string& pod : cluster_.pods_of("web"))
      living +=
          find(cluster_.get({"Pod", "default", pod}), "metadata", "deletionTimestamp") == nullptr;
    EXPECT_LE(living, 4u);                           // three, and the surge
    EXPECT_GE(cluster_.backends("web").size(), 6u);  // three serve at any moment
    return cluster_.state("Deployment", "web").complete && only_image("web:2");
  });
  EXPECT_TRUE(done);
  EXPECT_TRUE(cluster_.wait_for([&] { return cluster_.driver.pods.size() == 3; }));
}

TEST_F(WorkloadsTest, AnUpdateThatFailsIsTakenBack) {
  cluster_.apply(kWeb);
  ASSERT_TRUE(complete("Deployment", "web"));
  cluster_.driver.on_pull = [](const std::string& image) -> std::optional<base::Error> {
    if (image != "web:bad") return std::nullopt;
    return base::make_error(base::Errc::NotFound, "no such image");
  };
  set_image("web:bad");
  cluster_.advance(30s);
  EXPECT_FALSE(cluster_.state("Deployment", "web").failed);
  ASSERT_TRUE(cluster_.wait_for([&] { return cluster_.state("Deployment", "web").failed; }));
  ASSERT_TRUE(cluster_.wait_for([&] { return only_image("web:1"); }));
  EXPECT_THAT(cluster_.backends("web"), SizeIs(6));
}

TEST_F(WorkloadsTest, PeopleScaleAndGoBack) {
  cluster_.apply(kWeb);
  ASSERT_TRUE(complete("Deployment", "web"));
  Orchestrator& orchestrator = cluster_.orchestrator();
  const WorkloadId web{"Deployment", "default", "web"};
  ASSERT_TRUE(cluster_.answer(orchestrator.scale("ann", web, 1)));
  ASSERT_TRUE(cluster_.wait_for([&] { return cluster_.driver.pods.size() == 1; }));
  ASSERT_TRUE(cluster_.answer(orchestrator.update_image("ann", web, "web", "web:2")));
  ASSERT_TRUE(cluster_.wait_for([&] { return only_image("web:2"); }));
  ASSERT_TRUE(complete("Deployment", "web"));
  ASSERT_TRUE(cluster_.answer(orchestrator.rollback("ann", web, 0)));
  ASSERT_TRUE(cluster_.wait_for([&] { return only_image("web:1"); }));
  EXPECT_EQ(cluster_.answer(orchestrator.rollback("ann", web, 7)).error().code,
            base::Errc::NotFound);
  EXPECT_EQ(
      cluster_.answer(orchestrator.scale("ann", {"Deployment", "default", "db"}, 1)).error().code,
      base::Errc::NotFound);
  ASSERT_TRUE(cluster_.answer(orchestrator.remove("ann", web)));
  ASSERT_TRUE(cluster_.wait_for([&] { return cluster_.driver.pods.empty(); }));
  EXPECT_EQ(cluster_.answer(orchestrator.state(web)).error().code, base::Errc::NotFound);
}

TEST_F(WorkloadsTest, AJobRunsToItsEnd) {
  cluster_.driver.exits_at_once["sum:1"] = 0;
  cluster_.apply(kJob);
  ASSERT_TRUE(complete("Job", "sum"));
  EXPECT_THAT(cluster_.driver.started, SizeIs(3));
  EXPECT_EQ(cluster_.state("Job", "sum").ready, 3);
}

TEST_F(WorkloadsTest, AJobGivesUpAfterItsFailures) {
  cluster_.driver.exits_at_once["sum:1"] = 1;
  cluster_.apply(kJob);
  ASSERT_TRUE(cluster_.wait_for([&] { return cluster_.state("Job", "sum").failed; }, 1h));
  cluster_.advance(1h);
  EXPECT_LE(cluster_.driver.started.size(), 4u);  // three failures, and one that ran beside
  EXPECT_EQ(cluster_.driver.running(), 0u);
}

TEST_F(WorkloadsTest, WhatIsOwnedGoesWithItsOwner) {
  cluster_.apply(kWeb);
  ASSERT_TRUE(complete("Deployment", "web"));
  cluster_.remove(kDeployment);
  ASSERT_TRUE(cluster_.wait_for([&] {
    return cluster_.store.all("ReplicaSet").empty() && cluster_.store.all("Pod").empty();
  }));
  EXPECT_THAT(cluster_.driver.pods, IsEmpty());
  EXPECT_THAT(cluster_.backends("web"), IsEmpty());
  EXPECT_FALSE(cluster_.network.table.empty());  // the service is still there, and refuses
}

TEST_F(WorkloadsTest, ANamespaceGoesWithAllThatIsInIt) {
  cluster_.apply(R"(
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: colors, namespace: shop}
data: {a: b}
---
apiVersion: v1
kind: Pod
metadata: {name: cart, namespace: shop}
spec: {containers: [{name: c, image: "c:1"}]}
---
apiVersion: v1
kind: Service
metadata: {name: cart, namespace: shop}
spec: {selector: {app: cart}, ports: [{port: 80}]}
)");
  ASSERT_EQ(cluster_.driver.running(), 1u);
  cluster_.remove({"Namespace", "", "shop"});
  ASSERT_TRUE(cluster_.wait_for([&] { return cluster_.get({"Namespace", "", "shop"}).is_null(); }));
  for (const char* kind : {"ConfigMap", "Pod", "Service"})
    EXPECT_THAT(cluster_.store.all(kind), IsEmpty()) << kind;
  EXPECT_THAT(cluster_.driver.pods, IsEmpty());
  EXPECT_THAT(cluster_.network.table, IsEmpty());
  EXPECT_THAT(cluster_.names, IsEmpty());
}

TEST_F(WorkloadsTest, APodThatFitsNowhereWaitsForRoom) {
  const auto pod = [](const std::string& name) {
    return "apiVersion: v1\nkind: Pod\nmetadata: {name: " + name +
           "}\nspec: {containers: [{name: c, image: 'c:1', resources: {requests: {cpu: '3'}}}]}\n";
  };
  cluster_.apply(pod("one"));
  cluster_.apply(pod("two"));
  cluster_.advance(1min);
  EXPECT_EQ(cluster_.driver.running(), 1u);
  EXPECT_THAT(cluster_.reasons({"Pod", "default", "two"}), Contains("FailedScheduling"));
  cluster_.remove({"Pod", "default", "one"});
  ASSERT_TRUE(cluster_.wait_for(
      [&] { return cluster_.driver.started == std::vector<std::string>{"one/c 0", "two/c 0"}; }));
  EXPECT_EQ(cluster_.driver.running(), 1u);
}

TEST_F(WorkloadsTest, APodThatWasNeverPlacedGoesAtOnce) {
  cluster_.apply(R"(
apiVersion: v1
kind: Pod
metadata: {name: far}
spec: {nodeSelector: {moon: "yes"}, containers: [{name: c, image: "c:1"}]}
)");
  EXPECT_THAT(cluster_.driver.calls, testing::Not(Contains("create far")));
  cluster_.remove({"Pod", "default", "far"});
  EXPECT_THAT(cluster_.store.all("Pod"), IsEmpty());
}

TEST_F(WorkloadsTest, APodThatNamesANodeWhichThereIsNotSaysSoAndCanBeDeleted) {
  cluster_.apply(R"(
apiVersion: v1
kind: Pod
metadata: {name: far}
spec: {nodeName: nosuch, containers: [{name: c, image: "c:1"}]}
)");
  const ObjectRef far{"Pod", "default", "far"};
  EXPECT_THAT(cluster_.reasons(far), Contains("FailedScheduling"));
  const Json status = at(cluster_.get(far), "status");
  const Json* scheduled = find_condition(status, "PodScheduled");
  ASSERT_NE(scheduled, nullptr);
  EXPECT_EQ(text(*scheduled, "message"), "there is no node nosuch");
  cluster_.remove(far);
  EXPECT_THAT(cluster_.store.all("Pod"), IsEmpty());

  cluster_.apply(R"(
apiVersion: v1
kind: Pod
metadata: {name: far}
spec: {nodeName: nosuch, containers: [{name: c, image: "c:1"}]}
)");
  cluster_.crash();
  ASSERT_TRUE(cluster_.store.put(*background_deletion_of(*cluster_.store.find(far), {})));
  cluster_.start();
  EXPECT_THAT(cluster_.store.all("Pod"), IsEmpty());
}

TEST_F(WorkloadsTest, PodsThatHaveFinishedDoNotUseUpTheNode) {
  cluster_.driver.exits_at_once["sum:1"] = 0;
  const auto count = static_cast<std::int64_t>(kFinishedKeptMax) + 20;
  std::string many(kJob);
  many.replace(many.find("completions: 3"), 14, "completions: " + std::to_string(count));
  many.replace(many.find("parallelism: 2"), 14, "parallelism: 9");
  cluster_.apply(many);
  ASSERT_TRUE(complete("Job", "sum"));
  cluster_.settle();
  EXPECT_EQ(cluster_.driver.pods.size(), kFinishedKeptMax);
  EXPECT_EQ(cluster_.state("Job", "sum").ready, count);
  // What is deleted makes room, and a new daemon begins with what there is.
  cluster_.remove({"Pod", "default", cluster_.driver.pods.begin()->second.spec.name});
  ASSERT_TRUE(
      cluster_.wait_for([&] { return cluster_.driver.pods.size() == kFinishedKeptMax - 1; }));
  cluster_.crash();
  cluster_.start();
  EXPECT_EQ(cluster_.driver.pods.size(), kFinishedKeptMax - 1);
  EXPECT_EQ(cluster_.state("Job", "sum").ready, count);
}

TEST_F(WorkloadsTest, APodThatHasFinishedIsNoEndpoint) {
  cluster_.apply(R"(
apiVersion: v1
kind: Pod
metadata: {name: once, labels: {app: once}}
spec: {restartPolicy: Never, containers: [{name: c, image: "c:1"}]}
---
apiVersion: v1
kind: Service
metadata: {name: once}
spec: {selector: {app: once}, publishNotReadyAddresses: true, ports: [{port: 80}]}
)");
  EXPECT_THAT(cluster_.backends("once"), SizeIs(2));
  cluster_.driver.exit_container(cluster_.uid_of("once"), "c", 0);
  cluster_.settle();
  EXPECT_THAT(cluster_.backends("once"), IsEmpty());
}

TEST_F(WorkloadsTest, AnImageThatCannotBeFetchedIsTriedAgain) {
  bool there = false;
  cluster_.driver.on_pull = [&](const std::string&) -> std::optional<base::Error> {
    if (there) return std::nullopt;
    return base::make_error(base::Errc::NotFound, "no such image");
  };
  cluster_.apply(kWeb);
  cluster_.advance(1min);
  const std::string pod = cluster_.pods_of("web").at(0);
  const Json status =
      items(at(cluster_.get({"Pod", "default", pod}), "status"), "containerStatuses").at(0);
  EXPECT_EQ(text(at(at(status, "state"), "waiting"), "reason"), "ImagePullBackOff");
  there = true;
  EXPECT_TRUE(complete("Deployment", "web"));
}

}  // namespace
}  // namespace nexus::orchestration
