// The service network and DNS lead to the pods that are ready, and to no others.

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

constexpr std::string_view kPod = R"(
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web}}
spec:
  terminationGracePeriodSeconds: 20
  containers:
  - name: web
    image: web:1
    ports: [{containerPort: 8080}]
    readinessProbe: {httpGet: {path: /ready, port: 8080}, periodSeconds: 5, failureThreshold: 2}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: v1
kind: Service
metadata: {name: peers}
spec: {clusterIP: None, selector: {app: web}, ports: [{port: 8080}]}
)";
const ObjectRef kWeb{"Pod", "default", "web"};

class TrafficTest : public testing::Test {
 protected:
  TrafficTest() { cluster_.start(); }

  bool is_ready() {
    for (const Json& condition : items(at(cluster_.get(kWeb), "status"), "conditions")) {
      if (text(condition, "type") == "Ready") return text(condition, "status") == "True";
    }
    return false;
  }
  bool stop_was_asked() { return std::ranges::count(cluster_.driver.calls, "stop web/web") > 0; }
  TestCluster cluster_;
};

TEST_F(TrafficTest, ReadinessOpensAndClosesTableAndNamesAtOnce) {
  bool well = false;
  cluster_.prober.answer = [&](const Check& check) {
    EXPECT_EQ(std::get<HttpCheck>(check).path, "/ready");
    return CheckResult{well, "GET /ready: status 503"};
  };
  cluster_.apply(kPod);
  cluster_.advance(20s);
  EXPECT_FALSE(is_ready());
  EXPECT_THAT(cluster_.backends("web"), IsEmpty());
  EXPECT_THAT(cluster_.resolved("peers"), IsEmpty());
  EXPECT_THAT(cluster_.reasons(kWeb), Contains("Unhealthy"));

  const auto whole = [&](std::size_t count) {
    return cluster_.backends("web").size() == count && cluster_.resolved("web").size() == count &&
           cluster_.resolved("peers").size() == count && is_ready() == (count > 0);
  };
  well = true;
  ASSERT_TRUE(cluster_.wait_for([&] { return is_ready(); }, 5s));
  EXPECT_TRUE(whole(2));
  EXPECT_THAT(cluster_.orchestrator().endpoint_slices("default"), SizeIs(4));

  well = false;
  ASSERT_TRUE(cluster_.wait_for([&] { return !is_ready(); }, 10s));
  EXPECT_TRUE(whole(0));
  EXPECT_EQ(cluster_.driver.running(), 1u);
}

TEST_F(TrafficTest, APodIsStoppedOnlyAfterTheTableIsWithoutIt) {
  cluster_.apply(kPod);
  ASSERT_TRUE(cluster_.wait_for([&] { return is_ready(); }));
  cluster_.network.fails = true;
  cluster_.remove(kWeb);
  cluster_.advance(2s);
  EXPECT_FALSE(stop_was_asked());
  EXPECT_THAT(cluster_.resolved("web"), IsEmpty());
  cluster_.network.fails = false;
  ASSERT_TRUE(cluster_.wait_for([&] { return cluster_.backends("web").empty(); }, 2s));
  EXPECT_FALSE(stop_was_asked());  // what was just connected gets its answer
  cluster_.advance(kDrain);
  EXPECT_TRUE(stop_was_asked());
  EXPECT_TRUE(cluster_.get(kWeb).is_null());
  EXPECT_THAT(cluster_.violations(), IsEmpty());
}

TEST_F(TrafficTest, APodThatServedNobodyIsStoppedAtOnce) {
  cluster_.prober.answer = [](const Check&) { return CheckResult{false, "no"}; };
  cluster_.apply(kPod);
  cluster_.remove(kWeb);
  EXPECT_TRUE(stop_was_asked());
  EXPECT_TRUE(cluster_.get(kWeb).is_null());
}

TEST_F(TrafficTest, ANetworkThatDoesNotAnswerHoldsNoPodForEver) {
  cluster_.apply(kPod);
  ASSERT_TRUE(cluster_.wait_for([&] { return is_ready(); }));
  cluster_.network.fails = true;
  cluster_.remove(kWeb);
  cluster_.advance(kWithdrawMax - 1ms);
  EXPECT_FALSE(stop_was_asked());
  cluster_.advance(1ms);
  EXPECT_TRUE(stop_was_asked());
  EXPECT_TRUE(cluster_.get(kWeb).is_null());
}

TEST_F(TrafficTest, APodWithoutItsLabelIsLeftAlone) {
  cluster_.apply(kPod);
  ASSERT_TRUE(cluster_.wait_for([&] { return is_ready(); }));
  cluster_.edit(kWeb, [](Json& pod) { pod["metadata"]["labels"]["app"] = "old"; });
  EXPECT_THAT(cluster_.backends("web"), IsEmpty());
  EXPECT_THAT(cluster_.resolved("peers"), IsEmpty());
  EXPECT_EQ(cluster_.driver.running(), 1u);
}

TEST_F(TrafficTest, WhatTheNetworkMayHaveForgottenIsToldAgain) {
  cluster_.apply(kPod);
  ASSERT_TRUE(cluster_.wait_for([&] { return is_ready(); }));
  cluster_.network.table.clear();
  cluster_.driver.set_lost(true);
  cluster_.settle();
  cluster_.driver.set_lost(false);
  cluster_.settle();
  EXPECT_THAT(cluster_.backends("web"), SizeIs(2));
}

TEST_F(TrafficTest, ADaemonThatStartsKeepsTheTrafficOfWhatRuns) {
  cluster_.apply(kPod);
  ASSERT_TRUE(cluster_.wait_for([&] { return is_ready(); }));
  const std::vector<ServicePort> before = cluster_.network.table;
  cluster_.crash();
  cluster_.prober.answer = [](const Check&) { return CheckResult{false, "not asked yet"}; };
  cluster_.start();
  EXPECT_EQ(cluster_.network.table, before);
  EXPECT_THAT(cluster_.resolved("web"), SizeIs(2));
  ASSERT_TRUE(cluster_.wait_for([&] { return cluster_.backends("web").empty(); }, 1min));
}

TEST_F(TrafficTest, WhatADeadDaemonLeftOpenIsDrainedToo) {
  cluster_.apply(kPod);
  ASSERT_TRUE(cluster_.wait_for([&] { return is_ready(); }));
  cluster_.crash();
  cluster_.remove(kWeb);
  EXPECT_THAT(cluster_.backends("web"), SizeIs(2));
  cluster_.start();
  EXPECT_THAT(cluster_.backends("web"), IsEmpty());
  EXPECT_FALSE(stop_was_asked());
  cluster_.advance(kDrain);
  EXPECT_TRUE(stop_was_asked());
  EXPECT_TRUE(cluster_.get(kWeb).is_null());
}

TEST_F(TrafficTest, AServiceThatGoesTakesItsAddressesAlong) {
  cluster_.apply(kPod);
  cluster_.remove({"Service", "default", "web"});
  cluster_.remove({"Service", "default", "peers"});
  EXPECT_THAT(cluster_.network.table, IsEmpty());
  EXPECT_THAT(cluster_.names, IsEmpty());
}

}  // namespace
}  // namespace nexus::orchestration
