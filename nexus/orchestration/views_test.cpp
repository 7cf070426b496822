#include "orchestration/views.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "orchestration/testing/map_view.hpp"
#include "orchestration/why.hpp"

namespace nexus::orchestration {
namespace {

using namespace std::chrono_literals;

base::WallTime clock_time(const char* text) {
  return *base::parse_rfc3339(text);
}

Json web_pod(const char* status) {
  Json pod = Json::parse(R"({
    "apiVersion": "v1", "kind": "Pod",
    "metadata": {"name": "web-bcdfg-x1y2z", "namespace": "default", "uid": "u1",
                 "creationTimestamp": "2026-11-21T12:00:00Z",
                 "labels": {"app": "web", "pod-template-hash": "bcdfg"},
                 "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-bcdfg", "uid": "r1",
                                      "controller": true}]},
    "spec": {"nodeName": "n1", "restartPolicy": "Always",
             "initContainers": [{"name": "init", "image": "busybox:1"}],
             "containers": [{"name": "web", "image": "nginx:1.27", "resources": {"limits": {"memory": "32Mi"}},
                             "readinessProbe": {"httpGet": {"path": "/healthz", "port": 8080}}}]}})");
  pod["status"] = Json::parse(status);
  return pod;
}

constexpr const char* kReady = R"({
  "phase": "Running", "podIP": "fd00::2", "podIPs": [{"ip": "fd00::2"}, {"ip": "10.1.1.2"}],
  "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "2026-11-21T12:00:01Z"}],
  "initContainerStatuses": [{"name": "init", "restartCount": 0, "ready": true,
                             "state": {"terminated": {"exitCode": 0, "reason": "Completed"}}}],
  "containerStatuses": [{"name": "web", "ready": true, "started": true, "restartCount": 2,
                         "state": {"running": {"startedAt": "2026-11-21T12:00:01Z"}},
                         "lastState": {"terminated": {"exitCode": 137, "reason": "OOMKilled", "finishedAt": "2026-11-21T12:00:00Z"}}}]})";

constexpr const char* kCrashing = R"({
  "phase": "Running",
  "conditions": [{"type": "Ready", "status": "False", "lastTransitionTime": "2026-11-21T12:00:01Z"}],
  "initContainerStatuses": [{"name": "init", "restartCount": 0, "ready": true,
                             "state": {"terminated": {"exitCode": 0, "reason": "Completed"}}}],
  "containerStatuses": [{"name": "web", "ready": false, "restartCount": 4,
                         "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 1m20s: next start at 12:09:00"}},
                         "lastState": {"terminated": {"exitCode": 1, "reason": "Error", "finishedAt": "2026-11-21T12:07:40Z"}}}]})";

TEST(PodRow, NamesTheDeploymentAndSaysReady) {
  const PodRow row = pod_row(web_pod(kReady), 4711);
  EXPECT_EQ(row.workload, (WorkloadName{"Deployment", "web"}));
  EXPECT_TRUE(row.ready);
  EXPECT_EQ(row.state, "Running");
  EXPECT_EQ(row.restarts, 2);
  EXPECT_EQ(row.pid, 4711);
  EXPECT_EQ(row.ip, "fd00::2");
  EXPECT_EQ(row.ips.size(), 2u);
  EXPECT_EQ(row.image, "nginx:1.27");
  EXPECT_EQ(row.last_restart, clock_time("2026-11-21T12:00:00Z"));
  const Json json = to_json(row);
  EXPECT_EQ(json["ready"], true);
  EXPECT_EQ(json["pid"], 4711);
  EXPECT_EQ(json["workload"], "web");
}

struct StateCase {
  const char* status;
  const char* state;
};
TEST(PodRow, ShowsTheStateThatKubectlShows) {
  const std::vector<StateCase> cases = {
      {"{}", "Pending"},
      {kCrashing, "CrashLoopBackOff"},
      {R"({"phase":"Pending","initContainerStatuses":[{"state":{"waiting":{"reason":"PodInitializing"}}}]})",
       "Init:0/1"},
      {R"({"phase":"Pending","initContainerStatuses":[{"state":{"running":{}}}]})", "Init:0/1"},
      {R"({"phase":"Pending","initContainerStatuses":[{"state":{"waiting":{"reason":"ImagePullBackOff"}}}]})",
       "Init:ImagePullBackOff"},
      {R"({"phase":"Pending","initContainerStatuses":[{"state":{"terminated":{"exitCode":3}}}]})",
       "Init:ExitCode:3"},
      {R"({"phase":"Pending","containerStatuses":[{"state":{"waiting":{"reason":"ErrImagePull"}}}]})",
       "ErrImagePull"},
      {R"({"phase":"Succeeded","containerStatuses":[{"state":{"terminated":{"exitCode":0,"reason":"Completed"}}}]})",
       "Completed"},
      {R"({"phase":"Failed","reason":"DeadlineExceeded"})", "DeadlineExceeded"},
  };
  for (const StateCase& each : cases) {
    EXPECT_EQ(pod_row(web_pod(each.status), 0).state, each.state) << each.status;
  }
  Json leaving = web_pod(kReady);
  leaving["metadata"]["deletionTimestamp"] = "2026-11-21T12:00:30Z";
  EXPECT_EQ(pod_row(leaving, 0).state, "Terminating");
  EXPECT_FALSE(pod_row(leaving, 0).ready);
}

TEST(WorkloadOf, IsTheJobOrNothing) {
  Json pod = web_pod(kReady);
  pod["metadata"]["ownerReferences"][0]["kind"] = "Job";
  pod["metadata"]["ownerReferences"][0]["name"] = "backup";
  EXPECT_EQ(workload_of(pod), (WorkloadName{"Job", "backup"}));
  pod["metadata"].erase("ownerReferences");
  EXPECT_EQ(workload_of(pod), WorkloadName{});
}

Json deployment(const char* status) {
  Json json = Json::parse(R"({
    "apiVersion": "apps/v1", "kind": "Deployment",
    "metadata": {"name": "web", "namespace": "default", "uid": "d1", "generation": 2},
    "spec": {"replicas": 3, "template": {"metadata": {"labels": {"app": "web"}},
                                         "spec": {"containers": [{"name": "web", "image": "nginx:1.28"}]}}}})");
  json["status"] = Json::parse(status);
  return json;
}

TEST(Rollout, IsCompleteOnlyWhenTheLatestSpecWasSeen) {
  const char* counts =
      R"({"observedGeneration": %d, "replicas": 3, "updatedReplicas": 3, "readyReplicas": 3,
                           "availableReplicas": 3})";
  char text[200];
  std::snprintf(text, sizeof text, counts, 1);
  EXPECT_FALSE(rollout(deployment(text)).complete);
  std::snprintf(text, sizeof text, counts, 2);
  EXPECT_TRUE(rollout(deployment(text)).complete);
  const Rollout back = rollout(deployment(
      R"({"observedGeneration": 2, "replicas": 3, "updatedReplicas": 3, "availableReplicas": 3,
          "conditions": [{"type": "Progressing", "status": "True", "reason": "RolledBack", "message": "m"}]})"));
  EXPECT_TRUE(back.failed);
  EXPECT_TRUE(back.rolled_back);
  EXPECT_FALSE(back.complete);
}

TEST(History, ListsRevisionsNewestFirst) {
  MapView view;
  const Json web = deployment("{}");
  const auto put = [&](const char* name, const char* revision, const char* image,
                       const char* rolled_back) {
    Json set{
        {"apiVersion", "apps/v1"},
        {"kind", "ReplicaSet"},
        {"metadata",
         {{"name", name},
          {"namespace", "default"},
          {"uid", name},
          {"annotations",
           {{"deployment.kubernetes.io/revision", revision}, {"hypermesh.io/changed-by", "ana"}}},
          {"ownerReferences",
           {{{"apiVersion", "apps/v1"},
             {"kind", "Deployment"},
             {"name", "web"},
             {"uid", "d1"},
             {"controller", true}}}}}},
        {"spec",
         {{"replicas", 0},
          {"template",
           {{"metadata", {{"labels", {{"app", "web"}, {"pod-template-hash", name}}}}},
            {"spec", {{"containers", {{{"name", "web"}, {"image", image}}}}}}}}}}};
    if (*rolled_back != 0) set["metadata"]["annotations"]["hypermesh.io/rolled-back"] = rolled_back;
    view.put(set);
  };
  put("web-a", "1", "nginx:1.27", "");
  put("web-b", "3", "nginx:1.28", "");
  put("web-c", "2", "nginx:bad", "never ready");
  const auto rows = history(web, view);
  ASSERT_EQ(rows.size(), 3u);
  EXPECT_EQ(rows[0].revision, 3);
  EXPECT_EQ(rows[0].state, "current");
  EXPECT_EQ(rows[0].who, "ana");
  EXPECT_EQ(rows[1].state, "rolled back");
  EXPECT_EQ(rows[1].detail, "never ready");
  EXPECT_EQ(rows[2].state, "superseded");
  EXPECT_EQ(rows[2].images, std::vector<std::string>{"nginx:1.27"});
}

class WhyTest : public testing::Test {
 protected:
  WhyAnswer ask(const ObjectRef& ref, const char* last_line = "") {
    auto answer = why(ref, {.view = &view_,
                            .events = &events_,
                            .now = clock_time("2026-11-21T12:08:00Z"),
                            .last_line = last_line});
    EXPECT_TRUE(answer) << answer.error().describe();
    return answer ? *answer : WhyAnswer{};
  }
  const ObjectRef pod_{"Pod", "default", "web-bcdfg-x1y2z"};
  MapView view_;
  EventLog events_;
};

TEST_F(WhyTest, ACrashLoopNamesExitCodeLastLineAndNextTry) {
  view_.put(web_pod(kCrashing));
  const WhyAnswer answer = ask(pod_, "config: missing key DB_URL");
  EXPECT_EQ(answer.state, "CrashLoopBackOff");
  EXPECT_EQ(answer.summary, "a container has ended 5 times; it exited 1");
  EXPECT_THAT(answer.reasons, testing::Contains("last line: \"config: missing key DB_URL\""));
  EXPECT_THAT(answer.reasons, testing::Contains(testing::StartsWith("back-off 1m20s")));
  EXPECT_THAT(answer.hints, testing::Contains("hm rollback web"));
  const auto crashed = crashed_container({"Deployment", "default", "web"}, view_);
  ASSERT_TRUE(crashed);
  EXPECT_EQ(crashed->container, "web");
  EXPECT_FALSE(crashed->previous);
}

TEST_F(WhyTest, AnUnreadyPodTellsItsProbeAndTheLatestWarnings) {
  Json pod = web_pod(kReady);
  pod["status"]["containerStatuses"][0]["ready"] = false;
  pod["status"]["containerStatuses"][0].erase("lastState");
  pod["status"]["conditions"][0]["status"] = "False";
  view_.put(pod);
  events_.record({.about = pod_,
                  .about_uid = "u1",
                  .warning = true,
                  .reason = "Unhealthy",
                  .message = "Readiness probe failed: GET /healthz: status 500"},
                 "node", clock_time("2026-11-21T12:07:00Z"));
  const WhyAnswer answer = ask(pod_);
  EXPECT_EQ(answer.summary, "it runs, but container web is not ready; it gets no traffic");
  EXPECT_THAT(answer.reasons,
              testing::Contains("its readiness probe is GET /healthz on port 8080"));
  EXPECT_THAT(answer.reasons,
              testing::Contains("Readiness probe failed: GET /healthz: status 500"));
}

TEST_F(WhyTest, AnUnplacedPodTellsWhatExcludedTheNodes) {
  view_.put(web_pod(
      R"({"phase":"Pending","conditions":[{"type":"PodScheduled","status":"False","reason":"Unschedulable",
    "message":"0 of 1 nodes fit: n1 memory: needs 16 GiB, 11 GiB free","lastTransitionTime":"2026-11-21T12:00:01Z"}]})"));
  const WhyAnswer answer = ask(pod_);
  EXPECT_EQ(answer.summary, "no node fits it");
  EXPECT_EQ(answer.reasons.at(0), "0 of 1 nodes fit: n1 memory: needs 16 GiB, 11 GiB free");
}

TEST_F(WhyTest, AServiceWithoutPodsSaysSo) {
  view_.put(Json::parse(
      R"({"apiVersion":"v1","kind":"Service","metadata":{"name":"web","namespace":"default"},
    "spec":{"selector":{"app":"web"},"ports":[{"port":80}]}})"));
  EXPECT_EQ(ask({"Service", "default", "web"}).state, "NoEndpoints");
  view_.put(web_pod(kReady));
  EXPECT_EQ(ask({"Service", "default", "web"}).summary,
            "1 of 1 pods that match \"app=web\" are ready");
}

TEST_F(WhyTest, WhatDoesNotExistIsNotFound) {
  const auto answer = why(pod_, {.view = &view_, .events = &events_, .now = {}, .last_line = ""});
  EXPECT_EQ(answer.error().code, base::Errc::NotFound);
}

TEST(EventLog, CountsRepetitionsAndForgetsTheOldest) {
  EventLog log(3, 1h);
  const base::WallTime t0 = clock_time("2026-11-21T12:00:00Z");
  const auto note = [](const char* reason) {
    return EventNote{.about = {"Pod", "default", "a"},
                     .about_uid = "u",
                     .warning = false,
                     .reason = reason,
                     .message = "m"};
  };
  log.record(note("A"), "node", t0);
  log.record(note("B"), "node", t0 + 1s);
  log.record(note("A"), "node", t0 + 2s);
  auto seen = log.list(t0 + 3s);
  ASSERT_EQ(seen.size(), 2u);
  EXPECT_EQ(seen[1].note.reason, "A");
  EXPECT_EQ(seen[1].count, 2u);
  EXPECT_EQ(seen[1].first, t0);
  log.record(note("C"), "node", t0 + 3s);
  log.record(note("D"), "node", t0 + 4s);
  seen = log.list(t0 + 5s);
  ASSERT_EQ(seen.size(), 3u);
  EXPECT_EQ(seen[0].note.reason, "A");
  EXPECT_TRUE(log.list(t0 + 2h).empty());
  EXPECT_TRUE(log.list(t0 + 5s, "other").empty());
  // Whoever watches goes on after the last event that a log before this one gave out.
  EventLog next(3, 1h);
  next.record(note("E"), "node", t0 + 6s);
  EXPECT_GT(next.sequence(), log.sequence());
}

TEST(EventLog, ALongMessageIsCutBetweenCharacters) {
  EventLog log;
  std::string message(kEventMessageBytesMax - 4, 'x');
  message += "\u00e9\u00e9\u00e9";  // the limit is within the first
  log.record({.message = message}, "node", clock_time("2026-11-21T12:00:00Z"));
  const std::string kept = log.list(clock_time("2026-11-21T12:00:00Z")).at(0).note.message;
  EXPECT_EQ(kept, std::string(kEventMessageBytesMax - 4, 'x') + "...");
}

}  // namespace
}  // namespace nexus::orchestration
