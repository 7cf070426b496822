// Containers that fail, a driver that comes and goes, a daemon that finds what it left.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "orchestration/json_read.hpp"
#include "orchestration/testing/test_cluster.hpp"

namespace nexus::orchestration {
namespace {

using namespace std::chrono_literals;
using testing::Contains;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

constexpr std::string_view kPod = R"(
apiVersion: v1
kind: ConfigMap
metadata: {name: colors}
data: {sky: blue}
---
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web}}
spec:
  terminationGracePeriodSeconds: 5
  volumes: [{name: colors, configMap: {name: colors}}]
  containers:
  - name: web
    image: web:1
    livenessProbe: {exec: {command: [check]}, periodSeconds: 5, failureThreshold: 2}
    volumeMounts: [{name: colors, mountPath: /etc/colors}]
)";
const ObjectRef kWeb{"Pod", "default", "web"};

class DriverTest : public testing::Test {
 protected:
  ~DriverTest() override { EXPECT_THAT(cluster_.violations(), IsEmpty()); }

  Json container() { return items(at(cluster_.get(kWeb), "status"), "containerStatuses").at(0); }
  bool runs(std::int64_t restarts) {
    return find(container(), "state", "running") != nullptr &&
           number_or(container(), "restartCount", -1) == restarts;
  }
  MemoryWorkloadDriver::Pod& pod() { return cluster_.driver.pods.at(cluster_.uid_of("web")); }
  TestCluster cluster_;
};

TEST_F(DriverTest, AContainerThatIsNotAliveIsStartedAgain) {
  cluster_.start();
  bool alive = true;
  cluster_.prober.answer = [&](const Check& check) {
    EXPECT_THAT(std::get<CommandCheck>(check).command, ElementsAre("check"));
    return CheckResult{alive, "exit code 1"};
  };
  cluster_.apply(kPod);
  cluster_.advance(1min);
  ASSERT_TRUE(runs(0));
  alive = false;
  ASSERT_TRUE(cluster_.wait_for([&] { return cluster_.driver.started.size() == 2; }, 15s));
  alive = true;
  cluster_.advance(1min);
  EXPECT_TRUE(runs(1));
  EXPECT_THAT(cluster_.driver.started, ElementsAre("web/web 0", "web/web 1"));
  EXPECT_THAT(cluster_.reasons(kWeb), Contains("Unhealthy"));
}

TEST_F(DriverTest, AProbeOfAPortThatNobodyNamedLeavesThePodRunningAndUnready) {
  cluster_.start();
  cluster_.prober.answer = [&](const Check&) {
    ADD_FAILURE() << "there is nothing to ask";
    return CheckResult{true, ""};
  };
  cluster_.apply(R"(
apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  containers:
  - name: web
    image: web:1
    ports: [{containerPort: 8080, name: http}]
    livenessProbe: {tcpSocket: {port: nowhere}, periodSeconds: 5, failureThreshold: 2}
    readinessProbe: {httpGet: {path: /, port: nowhere}, periodSeconds: 5}
)");
  cluster_.advance(1min);
  EXPECT_TRUE(runs(0));
  EXPECT_EQ(text(*find_condition(at(cluster_.get(kWeb), "status"), "Ready"), "status"), "False");
  std::vector<std::string> told;
  for (const EventRecord& record : cluster_.events.about(kWeb, cluster_.time.wall()))
    told.push_back(record.note.message);
  EXPECT_THAT(
      told, Contains("Readiness probe errored: no port of the container has the name \"nowhere\""));
}

TEST_F(DriverTest, AContainerThatKeepsEndingWaitsLongerAndLonger) {
  cluster_.start();
  cluster_.apply(kPod);
  const std::string uid = cluster_.uid_of("web");
  cluster_.driver.exit_container(uid, "web", 1);
  cluster_.settle();
  EXPECT_TRUE(runs(1));  // the first time at once
  cluster_.driver.exit_container(uid, "web", 137, true);
  cluster_.settle();
  EXPECT_EQ(text(at(at(container(), "state"), "waiting"), "reason"), "CrashLoopBackOff");
  EXPECT_EQ(text(at(at(container(), "lastState"), "terminated"), "reason"), "OOMKilled");
  cluster_.advance(9s);
  EXPECT_EQ(cluster_.driver.running(), 0u);
  cluster_.advance(1s);
  EXPECT_TRUE(runs(2));
}

TEST_F(DriverTest, BeforeTheDriverAnswersAllElseWorks) {
  cluster_.driver.lost = true;
  cluster_.start();
  EXPECT_TRUE(cluster_.has_started());
  EXPECT_FALSE(cluster_.orchestrator().ready());
  cluster_.apply(R"(
apiVersion: apps/v1
kind: ReplicaSet
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template: {metadata: {labels: {app: web}}, spec: {containers: [{name: c, image: "c:1"}]}}
)");
  EXPECT_THAT(cluster_.pods_of("web"), SizeIs(2));
  cluster_.advance(10s);
  EXPECT_THAT(cluster_.driver.pods, IsEmpty());
  cluster_.driver.lost = false;
  cluster_.advance(1s);
  EXPECT_TRUE(cluster_.orchestrator().ready());
  EXPECT_EQ(cluster_.driver.running(), 2u);
}

TEST_F(DriverTest, WhatHappenedWhileTheDriverWasAwayIsFoundOut) {
  cluster_.start();
  cluster_.apply(kPod);
  cluster_.driver.set_lost(true);
  cluster_.settle();
  pod().containers.at("web").status.state = ContainerState::Exited;
  pod().containers.at("web").status.exit_code = 3;
  cluster_.apply(R"(
apiVersion: v1
kind: Pod
metadata: {name: late}
spec: {containers: [{name: c, image: "c:1"}]}
)");
  cluster_.advance(3s);
  EXPECT_EQ(cluster_.driver.running(), 0u);
  cluster_.driver.set_lost(false);
  cluster_.advance(15s);
  EXPECT_EQ(cluster_.driver.running(), 2u);
  EXPECT_TRUE(runs(1));
  EXPECT_EQ(number_or(at(at(container(), "lastState"), "terminated"), "exitCode", 0), 3);
}

TEST_F(DriverTest, ADriverThatLostEverythingIsGivenItAnew) {
  cluster_.start();
  cluster_.apply(kPod);
  const std::string uid = cluster_.uid_of("web");
  cluster_.driver.set_lost(true);
  cluster_.driver.power_off();
  cluster_.driver.set_lost(false);
  cluster_.advance(15s);
  EXPECT_EQ(cluster_.driver.running(), 1u);
  EXPECT_EQ(cluster_.uid_of("web"), uid);
  EXPECT_TRUE(runs(1));
}

TEST_F(DriverTest, ADaemonThatStartsTakesOverWhatRuns) {
  cluster_.start();
  cluster_.apply(kPod);
  cluster_.crash();
  cluster_.start();
  cluster_.advance(1min);
  EXPECT_TRUE(runs(0));
  EXPECT_THAT(cluster_.driver.started, ElementsAre("web/web 0"));
}

TEST_F(DriverTest, AContainerThatEndsWhileADaemonStartsIsNotTakenForRunning) {
  cluster_.start();
  cluster_.apply(kPod);
  const std::string uid = cluster_.uid_of("web");
  cluster_.crash();
  cluster_.driver.on_list = [&] { cluster_.driver.exit_container(uid, "web", 1); };
  cluster_.start();
  cluster_.advance(15s);
  EXPECT_TRUE(runs(1));
  EXPECT_EQ(cluster_.driver.running(), 1u);

  cluster_.driver.set_lost(true);
  cluster_.settle();
  cluster_.driver.on_list = [&] { cluster_.driver.exit_container(uid, "web", 1); };
  cluster_.driver.set_lost(false);
  cluster_.advance(1min);
  EXPECT_TRUE(runs(2));
  EXPECT_EQ(cluster_.driver.running(), 1u);
}

TEST_F(DriverTest, ADaemonThatStartsAfterThePowerWentStartsEverything) {
  cluster_.start();
  cluster_.apply(kPod);
  cluster_.crash();
  cluster_.driver.power_off();
  cluster_.start();
  cluster_.advance(15s);
  EXPECT_TRUE(runs(1));
  EXPECT_THAT(cluster_.driver.started, ElementsAre("web/web 0", "web/web 1"));
}

TEST_F(DriverTest, WhatRunsWithoutAnObjectIsRemoved) {
  cluster_.start();
  cluster_.apply(kPod);
  cluster_.crash();
  ObjectWrite removal;
  removal.verb = ObjectWrite::Verb::Remove;
  removal.ref = kWeb;
  ASSERT_TRUE(cluster_.store.put(std::move(removal)));
  cluster_.start();
  EXPECT_THAT(cluster_.driver.pods, IsEmpty());
}

TEST_F(DriverTest, APodWhoseObjectCannotBeReadIsLeftRunning) {
  cluster_.start();
  cluster_.apply(kPod);
  cluster_.crash();
  Json broken = cluster_.get(kWeb);
  broken["spec"]["containers"][0]["livenessProbe"] = {{"httpGet", {{"port", true}}}};
  ASSERT_TRUE(cluster_.store.put({.verb = ObjectWrite::Verb::Update, .json = std::move(broken)}));
  cluster_.start();
  cluster_.advance(1min);
  EXPECT_EQ(cluster_.driver.running(), 1u);
  EXPECT_THAT(cluster_.reasons(kWeb), Contains("InvalidPod"));
  cluster_.remove(kWeb);
  EXPECT_TRUE(cluster_.get(kWeb).is_null());
  EXPECT_THAT(cluster_.driver.pods, IsEmpty());
}

TEST_F(DriverTest, APodThatCannotBeReadAnyMoreCanBeDeletedWhileItRuns) {
  cluster_.start();
  cluster_.apply(kPod);
  cluster_.edit(kWeb, [](Json& web) {
    web["spec"]["containers"][0]["livenessProbe"] = {{"httpGet", {{"port", true}}}};
  });
  EXPECT_EQ(cluster_.driver.running(), 1u);
  cluster_.remove(kWeb);
  cluster_.advance(10s);
  EXPECT_TRUE(cluster_.get(kWeb).is_null());
  EXPECT_THAT(cluster_.driver.pods, IsEmpty());
}

TEST_F(DriverTest, AnObjectThatIsRemovedByForceTakesItsPodAlong) {
  cluster_.start();
  cluster_.apply(kPod);
  ObjectWrite removal;
  removal.verb = ObjectWrite::Verb::Remove;
  removal.ref = kWeb;
  ASSERT_TRUE(cluster_.store.put(std::move(removal)));
  cluster_.advance(1s);
  EXPECT_THAT(cluster_.driver.pods, IsEmpty());
}

TEST_F(DriverTest, AWatchThatBreaksHidesNothing) {
  cluster_.start();
  cluster_.apply(kPod);
  // In one turn: what is made and removed before anybody looks.
  ObjectWrite removal;
  removal.verb = ObjectWrite::Verb::Remove;
  removal.ref = kWeb;
  ASSERT_TRUE(cluster_.store.put(std::move(removal)));
  ASSERT_TRUE(cluster_.store.put({.json = Json::parse(R"({"apiVersion":"v1","kind":"Pod",
        "metadata":{"name":"other","namespace":"default"},
        "spec":{"containers":[{"name":"c","image":"c:1"}]}})")}));
  cluster_.store.break_watches();
  cluster_.advance(2s);
  ASSERT_THAT(cluster_.driver.pods, SizeIs(1));
  EXPECT_EQ(cluster_.driver.pods.begin()->second.spec.name, "other");
  // And it follows again.
  cluster_.remove({"Pod", "default", "other"});
  ASSERT_TRUE(cluster_.wait_for([&] { return cluster_.driver.pods.empty(); }, 40s));
}

TEST_F(DriverTest, HooksRunInTheirContainer) {
  cluster_.start();
  cluster_.apply(R"(
apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  containers:
  - name: web
    image: web:1
    lifecycle:
      postStart: {exec: {command: [hello]}}
      preStop: {exec: {command: [bye]}}
)");
  EXPECT_THAT(cluster_.driver.calls, Contains("exec web/web hello"));
  cluster_.driver.on_exec = [&](const ExecSpec&) {
    EXPECT_EQ(cluster_.driver.running(), 1u);
    return 1;
  };
  cluster_.remove(kWeb);
  EXPECT_THAT(cluster_.driver.calls, Contains("exec web/web bye"));
  EXPECT_THAT(cluster_.reasons(kWeb), Contains("FailedPreStopHook"));
  EXPECT_THAT(cluster_.driver.pods, IsEmpty());  // a hook that fails holds nothing up
}

TEST_F(DriverTest, FilesOfAVolumeFollowTheirConfigMap) {
  cluster_.start();
  cluster_.apply(kPod);
  const auto sky = [&] {
    for (const Volume& volume : pod().spec.volumes) {
      if (const auto* files = std::get_if<FilesVolume>(&volume.source);
          files != nullptr && volume.name == "colors")
        return files->files.at(0).content;
    }
    return std::string();
  };
  EXPECT_EQ(sky(), "blue");
  cluster_.edit({"ConfigMap", "default", "colors"}, [](Json& map) { map["data"]["sky"] = "red"; });
  EXPECT_EQ(sky(), "red");
  EXPECT_TRUE(runs(0));
}

TEST_F(DriverTest, FilesThatCouldNotBeWrittenAreWrittenLater) {
  cluster_.start();
  cluster_.apply(kPod);
  cluster_.driver.set_lost(true);
  cluster_.edit({"ConfigMap", "default", "colors"}, [](Json& map) { map["data"]["sky"] = "red"; });
  cluster_.driver.set_lost(false);
  cluster_.advance(kConfigRetry);
  EXPECT_EQ(std::get<FilesVolume>(pod().spec.volumes.at(0).source).files.at(0).content, "red");
}

TEST_F(DriverTest, AFullDiskHoldsNothingUpForEver) {
  cluster_.start();
  bool full = true;
  cluster_.store.fault = [&]() -> std::optional<base::Error> {
    if (!full) return std::nullopt;
    return base::make_error(base::Errc::ResourceExhausted, "the disk is full");
  };
  cluster_.apply(kPod);
  cluster_.advance(10s);
  EXPECT_EQ(cluster_.driver.running(), 1u);  // nothing waits for its place to be written
  full = false;
  cluster_.advance(1s);
  EXPECT_TRUE(runs(0));
  EXPECT_EQ(text(at(cluster_.get(kWeb), "spec"), "nodeName"), "n1");
  full = true;
  cluster_.remove(kWeb);
  cluster_.advance(10s);
  EXPECT_THAT(cluster_.driver.pods, IsEmpty());
  full = false;
  cluster_.advance(1s);
  EXPECT_TRUE(cluster_.get(kWeb).is_null());
}

}  // namespace
}  // namespace nexus::orchestration
