#include "orchestration/pod_lifecycle.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "orchestration/json_read.hpp"

namespace nexus::orchestration {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;

namespace ev = pod_event;

Json pod_json(const char* spec) {
  Json json = Json::parse(
      R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":"web-1","namespace":"default","uid":"u1"}})");
  json["spec"] = Json::parse(spec);
  return json;
}

constexpr const char* kPlain = R"({"restartPolicy":"Always","terminationGracePeriodSeconds":30,
  "containers":[{"name":"web","image":"web:1"}]})";

/// Plays the driver and the clock; writes down what the lifecycle asks for, in words.
class LifecycleTest : public testing::Test {
 protected:
  void make(Json json) {
    json_ = std::move(json);
    life_ = std::make_unique<PodLifecycle>(NodeFacts{"n1", {"fd00::1", "10.1.0.1"}});
    desire();
    take(life_->step(ev::Observed{}, now_));
  }
  void make(const char* spec) { make(pod_json(spec)); }
  void desire() {
    auto object = std::make_shared<Object>();
    object->json = json_;
    auto pod = read_pod(object);
    ASSERT_TRUE(pod) << pod.error().describe();
    take(life_->step(ev::Desired{*pod}, now_));
  }
  void step(PodEvent event) { take(life_->step(std::move(event), now_)); }
  void advance(base::Duration by) {
    now_.mono += by;
    now_.wall += by;
    step(ev::Tick{});
  }
  /// Advances to the time that the lifecycle asked for.
  base::Duration to_timeout() {
    const auto next = life_->next_timeout();
    EXPECT_TRUE(next);
    if (!next) return {};
    const base::Duration by = *next - now_.mono;
    advance(by);
    return by;
  }
  void take(PodEffects effects) {
    for (const PodEffect& effect : effects) {
      if (const auto* tell = std::get_if<pod_effect::Tell>(&effect)) {
        told_.push_back(tell->reason);
        continue;
      }
      asked_.push_back(words(effect));
    }
  }
  static std::string words(const PodEffect& effect) {
    struct Words {
      std::string operator()(const pod_effect::CreateSandbox&) { return "sandbox"; }
      std::string operator()(const pod_effect::PullImage& e) { return "pull " + e.image; }
      std::string operator()(const pod_effect::StartContainer& e) {
        return "start " + e.container + " " + std::to_string(e.attempt);
      }
      std::string operator()(const pod_effect::StopContainer& e) {
        return "stop " + e.container + " " +
               std::to_string(
                   std::chrono::duration_cast<std::chrono::milliseconds>(e.grace).count()) +
               "ms";
      }
      std::string operator()(const pod_effect::RunHook& e) {
        return std::string(e.kind == HookKind::PreStop ? "preStop " : "postStart ") + e.container;
      }
      std::string operator()(const pod_effect::RunCheck& e) {
        return "check " + std::string(to_text(e.kind)) + " " + e.container;
      }
      std::string operator()(const pod_effect::SetLimits& e) {
        return "limits " + e.container + " " + std::to_string(e.limits.memory_bytes_max);
      }
      std::string operator()(const pod_effect::Withdraw&) { return "withdraw"; }
      std::string operator()(const pod_effect::RemovePod&) { return "remove"; }
      std::string operator()(const pod_effect::DeleteObject&) { return "delete"; }
      std::string operator()(const pod_effect::Tell&) { return "tell"; }
    };
    return std::visit(Words{}, effect);
  }
  std::vector<std::string> asked() { return std::exchange(asked_, {}); }

  static PodStatus sandbox() {
    return {.uid = "u1",
            .name_space = "default",
            .name = "web-1",
            .ready = true,
            .addresses = {"fd00::2", "10.1.0.2"},
            .containers = {}};
  }
  ContainerStatus container(const char* name, std::uint32_t attempt, ContainerState state,
                            std::int32_t exit_code = 0) {
    return {.id = {"u1", name},
            .attempt = attempt,
            .state = state,
            .pid = state == ContainerState::Running ? 4711 : 0,
            .exit_code = exit_code,
            .image = "img",
            .started = now_.wall,
            .finished = state == ContainerState::Exited ? now_.wall : base::WallTime{}};
  }
  void sandbox_stands() { step(ev::SandboxDone{sandbox()}); }
  void pulled(const std::string& name, const std::string& image) {
    step(ev::PullDone{name, image,
                      ImageStatus{.reference = image, .resolved = image + "@sha256:1"}});
  }
  void started(const char* name, std::uint32_t attempt) {
    step(ev::StartDone{name, attempt, container(name, attempt, ContainerState::Running)});
  }
  void exited(const char* name, std::uint32_t attempt, std::int32_t code) {
    step(ev::Exited{container(name, attempt, ContainerState::Exited, code)});
  }
  void up() {
    make(kPlain);
    sandbox_stands();
    pulled("web", "web:1");
    started("web", 0);
    asked();
  }
  void checked(const char* name, std::uint32_t attempt, ProbeKind kind, bool passed) {
    step(ev::CheckDone{name, attempt, kind, {passed, passed ? "" : "status 500"}});
  }
  void mark_deleted(std::int64_t grace) {
    json_["metadata"]["deletionTimestamp"] =
        base::to_rfc3339(now_.wall + std::chrono::seconds(grace), 9);
    json_["metadata"]["deletionGracePeriodSeconds"] = grace;
    desire();
  }
  Json status() {
    Json status = life_->status(at(json_, "status"));
    return status;
  }
  Json container_status(std::size_t index = 0) { return status()["containerStatuses"][index]; }
  std::string condition(const char* type) {
    const Json json = status();
    return text(*find_condition(json, type), "status");
  }
  /// The daemon is killed: a new lifecycle learns from the object and the driver.
  void crash(std::optional<PodStatus> observed) {
    json_["status"] = status();
    life_ = std::make_unique<PodLifecycle>(NodeFacts{"n1", {"fd00::1", "10.1.0.1"}});
    asked_.clear();
    desire();
    step(ev::Observed{std::move(observed)});
  }

  Json json_;
  Now now_{base::MonotonicTime(1h), base::WallTime(std::chrono::hours(500'000))};
  std::unique_ptr<PodLifecycle> life_;
  std::vector<std::string> asked_, told_;
};

TEST_F(LifecycleTest, SandboxAndImageAreMadeAtTheSameTimeThenTheContainerStarts) {
  make(kPlain);
  EXPECT_THAT(asked(), ElementsAre("sandbox", "pull web:1"));
  EXPECT_EQ(container_status()["state"]["waiting"]["reason"], "ContainerCreating");
  pulled("web", "web:1");
  EXPECT_THAT(asked(), IsEmpty());
  sandbox_stands();
  EXPECT_THAT(asked(), ElementsAre("start web 0"));
  EXPECT_EQ(status()["phase"], "Pending");
  started("web", 0);
  EXPECT_THAT(asked(), IsEmpty());
  EXPECT_EQ(status()["phase"], "Running");
  EXPECT_EQ(status()["podIP"], "fd00::2");
  EXPECT_EQ(status()["podIPs"][1]["ip"], "10.1.0.2");
  EXPECT_EQ(status()["hostIP"], "fd00::1");
  EXPECT_EQ(condition("Ready"), "True");
  EXPECT_TRUE(life_->ready());
  EXPECT_EQ(container_status()["imageID"], "web:1@sha256:1");
  EXPECT_EQ(life_->next_timeout(), std::nullopt);
}

TEST_F(LifecycleTest, InitContainersRunOneAfterTheOther) {
  make(
      R"({"restartPolicy":"Always","initContainers":[{"name":"a","image":"i"},{"name":"b","image":"i"}],
           "containers":[{"name":"web","image":"w"}]})");
  sandbox_stands();
  pulled("a", "i");
  pulled("b", "i");
  pulled("web", "w");
  asked();
  EXPECT_EQ(container_status()["state"]["waiting"]["reason"], "PodInitializing");
  started("a", 0);
  EXPECT_THAT(asked(), IsEmpty());
  exited("a", 0, 0);
  EXPECT_THAT(asked(), ElementsAre("start b 0"));
  started("b", 0);
  exited("b", 0, 1);
  EXPECT_THAT(asked(), ElementsAre("start b 1"));  // the first restart is at once
  EXPECT_EQ(condition("Initialized"), "False");
  started("b", 1);
  exited("b", 1, 0);
  EXPECT_THAT(asked(), ElementsAre("start web 0"));
  EXPECT_EQ(condition("Initialized"), "True");
  started("web", 0);
  EXPECT_EQ(condition("Ready"), "True");
}

TEST_F(LifecycleTest, AFailedInitContainerEndsAPodThatNeverRestarts) {
  make(
      R"({"restartPolicy":"Never","initContainers":[{"name":"a","image":"i"}],"containers":[{"name":"web","image":"i"}]})");
  sandbox_stands();
  pulled("a", "i");
  pulled("web", "i");
  started("a", 0);
  exited("a", 0, 3);
  asked();
  EXPECT_EQ(status()["phase"], "Failed");
  advance(1h);
  EXPECT_THAT(asked(), IsEmpty());
}

TEST_F(LifecycleTest, RestartsAreAtOnceThenAfterTenSecondsDoublingToFiveMinutes) {
  up();
  std::vector<std::int64_t> waits;
  for (std::uint32_t attempt = 0; attempt < 9; ++attempt) {
    exited("web", attempt, 1);
    if (asked_.empty()) {
      EXPECT_EQ(container_status()["state"]["waiting"]["reason"], "CrashLoopBackOff");
      EXPECT_EQ(container_status()["lastState"]["terminated"]["exitCode"], 1);
      EXPECT_EQ(status()["phase"], "Running");
      waits.push_back(to_timeout() / 1s);
    } else {
      waits.push_back(0);
    }
    EXPECT_THAT(asked(), ElementsAre("start web " + std::to_string(attempt + 1)));
    started("web", attempt + 1);
    EXPECT_EQ(container_status()["restartCount"], attempt + 1);
  }
  EXPECT_THAT(waits, ElementsAre(0, 10, 20, 40, 80, 160, 300, 300, 300));
}

TEST_F(LifecycleTest, AfterTenMinutesOfRunningTheBackOffBeginsAnew) {
  up();
  exited("web", 0, 1);
  started("web", 1);
  exited("web", 1, 1);
  to_timeout();
  started("web", 2);
  asked();
  ContainerStatus ended = container("web", 2, ContainerState::Exited, 1);
  now_.mono += 10min;
  now_.wall += 10min;
  ended.finished = now_.wall;
  step(ev::Exited{ended});
  EXPECT_THAT(asked(), ElementsAre("start web 3"));
}

TEST_F(LifecycleTest, EndsAreWordedAsInKubernetes) {
  up();
  ContainerStatus ended = container("web", 0, ContainerState::Exited, 137);
  ended.out_of_memory = true;
  ended.signal = 9;
  step(ev::Exited{ended});
  EXPECT_EQ(container_status()["state"]["terminated"]["reason"], "OOMKilled");
  EXPECT_EQ(container_status()["state"]["terminated"]["exitCode"], 137);
  started("web", 1);
  EXPECT_EQ(container_status()["lastState"]["terminated"]["reason"], "OOMKilled");
  EXPECT_TRUE(container_status()["state"].contains("running"));
}

struct PolicyCase {
  const char* policy;
  int code;
  const char* phase;
};
TEST_F(LifecycleTest, RestartPoliciesDecideTheEnd) {
  for (const PolicyCase& each :
       {PolicyCase{"Never", 0, "Succeeded"}, PolicyCase{"Never", 1, "Failed"},
        PolicyCase{"OnFailure", 0, "Succeeded"}, PolicyCase{"OnFailure", 1, "Running"},
        PolicyCase{"Always", 0, "Running"}}) {
    Json json = pod_json(kPlain);
    json["spec"]["restartPolicy"] = each.policy;
    make(json);
    sandbox_stands();
    pulled("web", "web:1");
    started("web", 0);
    exited("web", 0, each.code);
    EXPECT_EQ(status()["phase"], each.phase) << each.policy << each.code;
  }
}

TEST_F(LifecycleTest, APullThatFailsIsTriedAgainWithBackOff) {
  make(kPlain);
  sandbox_stands();
  asked();
  const auto fail = [&] {
    step(ev::PullDone{"web", "web:1", base::fail(base::Errc::NotFound, "no such image")});
  };
  fail();
  EXPECT_EQ(container_status()["state"]["waiting"]["reason"], "ErrImagePull");
  EXPECT_EQ(container_status()["state"]["waiting"]["message"], "no such image");
  EXPECT_EQ(to_timeout(), 10s);
  EXPECT_THAT(asked(), ElementsAre("pull web:1"));
  fail();
  EXPECT_EQ(container_status()["state"]["waiting"]["reason"], "ImagePullBackOff");
  EXPECT_EQ(to_timeout(), 20s);
  asked();
  pulled("web", "web:1");
  EXPECT_THAT(asked(), ElementsAre("start web 0"));
}

TEST_F(LifecycleTest, AnImageThatWasRemovedIsFetchedAgain) {
  make(kPlain);
  sandbox_stands();
  pulled("web", "web:1");
  asked();
  step(ev::StartDone{"web", 0, base::fail(base::Errc::NotFound, "no image web:1")});
  EXPECT_THAT(asked(), ElementsAre("pull web:1"));
  pulled("web", "web:1");
  EXPECT_THAT(asked(), ElementsAre("start web 1"));
}

TEST_F(LifecycleTest, AStartThatFailsCountsLikeACrash) {
  make(kPlain);
  sandbox_stands();
  pulled("web", "web:1");
  step(ev::StartDone{"web", 0,
                     base::fail(base::Errc::InvalidArgument, "no such program: /bin/nope")});
  asked();
  EXPECT_EQ(container_status()["state"]["terminated"]["reason"], "StartError");
  step(ev::StartDone{"web", 1,
                     base::fail(base::Errc::InvalidArgument, "no such program: /bin/nope")});
  EXPECT_EQ(container_status()["state"]["waiting"]["reason"], "CrashLoopBackOff");
  EXPECT_EQ(container_status()["lastState"]["terminated"]["message"], "no such program: /bin/nope");
  EXPECT_EQ(to_timeout(), 10s);
  EXPECT_THAT(asked(), ElementsAre("start web 2"));
}

TEST_F(LifecycleTest, WhatIsMissingInConfigurationWaitsForAChange) {
  make(kPlain);
  sandbox_stands();
  pulled("web", "web:1");
  step(
      ev::StartDone{"web", 0, base::fail(base::Errc::NotFound, "configmap \"c\" not found"), true});
  asked();
  EXPECT_EQ(container_status()["state"]["waiting"]["reason"], "CreateContainerConfigError");
  EXPECT_EQ(container_status()["restartCount"], 0);
  step(ev::ConfigChanged{});
  EXPECT_THAT(asked(), ElementsAre("start web 0"));
}

TEST_F(LifecycleTest, ReadinessFollowsTheProbe) {
  make(
      R"({"containers":[{"name":"web","image":"web:1","readinessProbe":{"tcpSocket":{"port":80},"periodSeconds":1,"failureThreshold":2}}]})");
  sandbox_stands();
  pulled("web", "web:1");
  started("web", 0);
  EXPECT_THAT(asked_, testing::Contains("check Readiness web"));
  EXPECT_FALSE(life_->ready());
  EXPECT_EQ(status()["phase"], "Running");
  checked("web", 0, ProbeKind::Readiness, false);
  EXPECT_LT(to_timeout(), 100ms);  // before the first success it is asked often
  checked("web", 0, ProbeKind::Readiness, true);
  EXPECT_TRUE(life_->ready());
  for (int failures = 0; failures < 2; ++failures) {
    to_timeout();
    checked("web", 0, ProbeKind::Readiness, false);
  }
  EXPECT_FALSE(life_->ready());
  EXPECT_EQ(condition("ContainersReady"), "False");
  EXPECT_THAT(told_, testing::Contains("Unhealthy"));
}

TEST_F(LifecycleTest, LivenessRestartsTheContainer) {
  make(
      R"({"terminationGracePeriodSeconds":7,"containers":[{"name":"web","image":"web:1","livenessProbe":{"tcpSocket":{"port":80},"periodSeconds":5,"failureThreshold":2}}]})");
  sandbox_stands();
  pulled("web", "web:1");
  started("web", 0);
  checked("web", 0, ProbeKind::Liveness, false);
  EXPECT_EQ(to_timeout(), 5s);
  asked();
  checked("web", 0, ProbeKind::Liveness, false);
  EXPECT_THAT(asked(), ElementsAre("stop web 7000ms"));
  EXPECT_FALSE(life_->ready());
  step(ev::StopDone{"web", 0, container("web", 0, ContainerState::Exited, 143)});
  EXPECT_THAT(asked(), ElementsAre("start web 1"));
}

TEST_F(LifecycleTest, OtherProbesWaitForTheStartupProbe) {
  make(R"({"containers":[{"name":"web","image":"web:1",
      "startupProbe":{"exec":{"command":["ok"]},"periodSeconds":10,"failureThreshold":2},
      "readinessProbe":{"tcpSocket":{"port":80}},"livenessProbe":{"tcpSocket":{"port":80}}}]})");
  sandbox_stands();
  pulled("web", "web:1");
  asked();
  started("web", 0);
  EXPECT_THAT(asked(), ElementsAre("check Startup web"));
  EXPECT_EQ(container_status()["started"], false);
  checked("web", 0, ProbeKind::Startup, true);
  EXPECT_THAT(asked(), testing::UnorderedElementsAre("check Readiness web", "check Liveness web"));
  EXPECT_EQ(container_status()["started"], true);
}

TEST_F(LifecycleTest, AStartupProbeThatKeepsFailingRestartsTheContainer) {
  make(
      R"({"containers":[{"name":"web","image":"web:1","startupProbe":{"exec":{"command":["ok"]},"periodSeconds":10,"failureThreshold":2}}]})");
  sandbox_stands();
  pulled("web", "web:1");
  started("web", 0);
  const base::MonotonicTime start = now_.mono;
  asked();
  while (asked_.empty() || asked_.back().starts_with("check")) {
    checked("web", 0, ProbeKind::Startup, false);
    if (!asked_.empty() && asked_.back().starts_with("stop")) break;
    asked();
    to_timeout();
  }
  EXPECT_EQ(now_.mono - start, 10s);
}

TEST_F(LifecycleTest, ReadinessGatesHoldThePodBack) {
  Json json = pod_json(kPlain);
  json["spec"]["readinessGates"] = {{{"conditionType", "example.com/lb"}}};
  make(json);
  sandbox_stands();
  pulled("web", "web:1");
  started("web", 0);
  EXPECT_EQ(condition("ContainersReady"), "True");
  EXPECT_EQ(condition("Ready"), "False");
  json_["status"] = status();
  json_["status"]["conditions"].push_back({{"type", "example.com/lb"}, {"status", "True"}});
  desire();
  EXPECT_EQ(condition("Ready"), "True");
  EXPECT_EQ(condition("example.com/lb"), "True");  // kept in what we write
}

TEST_F(LifecycleTest, TheEndIsWithdrawDrainStopRemoveDelete) {
  up();
  mark_deleted(30);
  EXPECT_THAT(asked(), ElementsAre("withdraw"));
  EXPECT_FALSE(life_->ready());
  EXPECT_EQ(condition("Ready"), "True") << "the network still leads to it";
  step(ev::Withdrawn{true});
  EXPECT_EQ(condition("Ready"), "False");
  EXPECT_THAT(asked(), IsEmpty());
  EXPECT_EQ(to_timeout(), kDrain);
  EXPECT_THAT(asked(), ElementsAre("stop web 29000ms"));
  step(ev::StopDone{"web", 0, container("web", 0, ContainerState::Exited, 0)});
  EXPECT_THAT(asked(), ElementsAre("remove"));
  step(ev::RemoveDone{});
  EXPECT_THAT(asked(), ElementsAre("delete"));
  EXPECT_TRUE(life_->gone());
}

TEST_F(LifecycleTest, WithoutAServiceThereIsNothingToDrain) {
  up();
  mark_deleted(30);
  asked();
  step(ev::Withdrawn{false});
  EXPECT_THAT(asked(), ElementsAre("stop web 30000ms"));
}

TEST_F(LifecycleTest, AServiceNetworkThatDoesNotAnswerHoldsNothingUpForLong) {
  up();
  mark_deleted(30);
  asked();
  EXPECT_EQ(to_timeout(), kWithdrawMax);
  EXPECT_THAT(asked(), ElementsAre("stop web 25000ms"));
}

TEST_F(LifecycleTest, PreStopRunsWithinTheGrace) {
  Json json = pod_json(kPlain);
  json["spec"]["containers"][0]["lifecycle"]["preStop"]["exec"]["command"] = {"bye"};
  make(json);
  sandbox_stands();
  pulled("web", "web:1");
  started("web", 0);
  asked();
  mark_deleted(10);
  step(ev::Withdrawn{false});
  EXPECT_THAT(asked(), ElementsAre("withdraw", "preStop web"));
  advance(4s);
  EXPECT_THAT(asked(), IsEmpty());
  step(ev::HookDone{"web", 0, HookKind::PreStop, {}});
  EXPECT_THAT(asked(), ElementsAre("stop web 6000ms"));
}

TEST_F(LifecycleTest, AHookThatHangsLeavesALittleForTheProgram) {
  Json json = pod_json(kPlain);
  json["spec"]["containers"][0]["lifecycle"]["preStop"]["exec"]["command"] = {"hang"};
  make(json);
  sandbox_stands();
  pulled("web", "web:1");
  started("web", 0);
  mark_deleted(10);
  step(ev::Withdrawn{false});
  asked();
  EXPECT_EQ(to_timeout(), 10s);
  EXPECT_THAT(asked(), ElementsAre("stop web 2000ms"));
}

TEST_F(LifecycleTest, AFailedPostStartHookEndsTheContainer) {
  Json json = pod_json(kPlain);
  json["spec"]["containers"][0]["lifecycle"]["postStart"]["exec"]["command"] = {"hello"};
  make(json);
  sandbox_stands();
  pulled("web", "web:1");
  started("web", 0);
  EXPECT_FALSE(life_->ready());
  asked();
  step(ev::HookDone{"web", 0, HookKind::PostStart, base::fail(base::Errc::Internal, "exit 1")});
  EXPECT_THAT(asked(), ElementsAre("stop web 30000ms"));
  EXPECT_THAT(told_, testing::Contains("FailedPostStartHook"));
}

TEST_F(LifecycleTest, WithoutGraceThePodIsRemovedAtOnce) {
  up();
  mark_deleted(0);
  EXPECT_THAT(asked(), ElementsAre("remove"));
}

TEST_F(LifecycleTest, TheGraceCanBeShortened) {
  up();
  mark_deleted(30);
  step(ev::Withdrawn{false});
  asked();
  mark_deleted(0);
  EXPECT_THAT(asked(), ElementsAre("remove"));
}

TEST_F(LifecycleTest, AContainerThatIsNeverReportedAsEndedDoesNotHoldThePod) {
  up();
  mark_deleted(5);
  step(ev::Withdrawn{false});
  asked();
  to_timeout();
  to_timeout();
  EXPECT_THAT(asked(), ElementsAre("remove"));
}

TEST_F(LifecycleTest, ADeletionWaitsForAStartThatIsUnderWay) {
  make(kPlain);
  sandbox_stands();
  pulled("web", "web:1");
  asked();
  mark_deleted(30);
  EXPECT_THAT(asked(), IsEmpty());
  started("web", 0);
  EXPECT_THAT(asked(), ElementsAre("stop web 30000ms"));
}

TEST_F(LifecycleTest, AnObjectThatVanishedTakesItsContainersAlong) {
  up();
  step(ev::Desired{nullptr});
  EXPECT_THAT(asked(), ElementsAre("remove"));
  step(ev::RemoveDone{});
  EXPECT_THAT(asked(), IsEmpty());
  EXPECT_TRUE(life_->gone());
}

TEST_F(LifecycleTest, ARemovalThatFailsIsTriedAgain) {
  up();
  mark_deleted(0);
  asked();
  step(ev::RemoveDone{base::fail(base::Errc::Unavailable, "keeper")});
  EXPECT_THAT(asked(), IsEmpty());
  EXPECT_EQ(to_timeout(), 1s);
  EXPECT_THAT(asked(), ElementsAre("remove"));
}

TEST_F(LifecycleTest, ADeadlineEndsThePod) {
  Json json = pod_json(kPlain);
  json["spec"]["activeDeadlineSeconds"] = 60;
  make(json);
  sandbox_stands();
  pulled("web", "web:1");
  started("web", 0);
  asked();
  EXPECT_EQ(to_timeout(), 60s);
  EXPECT_THAT(asked(), ElementsAre("stop web 30000ms"));
  step(ev::StopDone{"web", 0, container("web", 0, ContainerState::Exited, 143)});
  EXPECT_EQ(status()["phase"], "Failed");
  EXPECT_EQ(status()["reason"], "DeadlineExceeded");
  EXPECT_THAT(asked(), IsEmpty());
}

TEST_F(LifecycleTest, LimitsChangeWithoutARestart) {
  up();
  json_["spec"]["containers"][0]["resources"]["limits"]["memory"] = "64Mi";
  desire();
  EXPECT_THAT(asked(), ElementsAre("limits web 67108864"));
}

TEST_F(LifecycleTest, ANewImageRestartsTheContainer) {
  up();
  json_["spec"]["containers"][0]["image"] = "web:2";
  desire();
  EXPECT_THAT(asked(), ElementsAre("pull web:2", "stop web 30000ms"));
  step(ev::StopDone{"web", 0, container("web", 0, ContainerState::Exited, 0)});
  pulled("web", "web:2");
  EXPECT_THAT(asked(), ElementsAre("start web 1"));
}

TEST_F(LifecycleTest, AfterACrashOfTheDaemonWhatRunsIsTakenOver) {
  Json json = pod_json(kPlain);
  json["spec"]["containers"][0]["readinessProbe"] = {{"tcpSocket", {{"port", 80}}}};
  make(json);
  sandbox_stands();
  pulled("web", "web:1");
  started("web", 0);
  exited("web", 0, 1);
  started("web", 1);
  checked("web", 1, ProbeKind::Readiness, true);
  const Json before = status();
  PodStatus observed = sandbox();
  observed.containers = {container("web", 1, ContainerState::Running)};
  advance(5min);
  crash(observed);
  EXPECT_THAT(asked(), ElementsAre("limits web 0"));
  EXPECT_EQ(status(), before);
  EXPECT_TRUE(life_->ready());  // until a probe says otherwise
}

TEST_F(LifecycleTest, WhatEndedWhileTheDaemonWasAwayIsRestarted) {
  up();
  PodStatus observed = sandbox();
  observed.containers = {container("web", 0, ContainerState::Exited, 9)};
  crash(observed);
  EXPECT_THAT(asked(), ElementsAre("start web 1"));
  EXPECT_EQ(container_status()["state"]["terminated"]["exitCode"], 9);
}

TEST_F(LifecycleTest, ACrashBetweenStartAndStatusIsHarmless) {
  make(kPlain);
  PodStatus observed = sandbox();
  observed.containers = {container("web", 0, ContainerState::Running)};
  crash(observed);
  EXPECT_THAT(asked(), ElementsAre("limits web 0"));
  EXPECT_EQ(status()["phase"], "Running");
  EXPECT_EQ(container_status()["restartCount"], 0);
}

TEST_F(LifecycleTest, AStartThatWasBegunIsFinishedAsTheSameAttempt) {
  make(kPlain);
  PodStatus observed = sandbox();
  observed.containers = {container("web", 0, ContainerState::Created)};
  crash(observed);
  EXPECT_THAT(asked(), ElementsAre("start web 0"));
}

TEST_F(LifecycleTest, AfterALossOfPowerEverythingStartsAnewAndTheCountGoesOn) {
  make(
      R"({"restartPolicy":"Always","initContainers":[{"name":"a","image":"i"}],"containers":[{"name":"web","image":"w"}]})");
  sandbox_stands();
  pulled("a", "i");
  pulled("web", "w");
  started("a", 0);
  exited("a", 0, 0);
  started("web", 0);
  crash(std::nullopt);
  EXPECT_THAT(asked(), ElementsAre("sandbox"));
  sandbox_stands();
  EXPECT_THAT(asked(), ElementsAre("start a 1"));
  started("a", 1);
  exited("a", 1, 0);
  EXPECT_THAT(asked(), ElementsAre("start web 1"));
  started("web", 1);
  EXPECT_EQ(container_status()["restartCount"], 1);
  EXPECT_EQ(container_status()["lastState"]["terminated"]["reason"], "ContainerStatusUnknown");
}

TEST_F(LifecycleTest, NodesThatAreStoppedAndStartedMakeNoContainerWaitForItsBackOff) {
  up();
  for (std::uint32_t attempt = 0; attempt < 3; ++attempt) {
    PodStatus observed = sandbox();
    observed.ready = false;
    observed.containers = {container("web", attempt, ContainerState::Exited, 0)};
    crash(observed);
    EXPECT_THAT(asked(), ElementsAre("sandbox"));
    sandbox_stands();
    EXPECT_THAT(asked(), ElementsAre("start web " + std::to_string(attempt + 1)));
    started("web", attempt + 1);
  }
}

TEST_F(LifecycleTest, ALostContainerOfAPodThatNeverRestartsIsAFailure) {
  Json json = pod_json(kPlain);
  json["spec"]["restartPolicy"] = "Never";
  make(json);
  sandbox_stands();
  pulled("web", "web:1");
  started("web", 0);
  crash(std::nullopt);
  EXPECT_THAT(asked(), IsEmpty());
  EXPECT_EQ(status()["phase"], "Failed");
}

TEST_F(LifecycleTest, AFinishedPodIsLeftAloneAfterACrash) {
  Json json = pod_json(kPlain);
  json["spec"]["restartPolicy"] = "Never";
  make(json);
  sandbox_stands();
  pulled("web", "web:1");
  started("web", 0);
  exited("web", 0, 0);
  const Json before = status();
  crash(std::nullopt);
  EXPECT_THAT(asked(), IsEmpty());
  EXPECT_EQ(status()["phase"], "Succeeded");
  EXPECT_EQ(container_status(), before["containerStatuses"][0]);
}

TEST_F(LifecycleTest, ABackOffGoesOnAfterACrash) {
  up();
  exited("web", 0, 1);
  started("web", 1);
  exited("web", 1, 1);
  started("web", 2);  // not asked for: ignored
  EXPECT_EQ(container_status()["state"]["waiting"]["reason"], "CrashLoopBackOff");
  PodStatus observed = sandbox();
  observed.containers = {container("web", 1, ContainerState::Exited, 1)};
  now_.mono += 4s;
  now_.wall += 4s;
  crash(observed);
  EXPECT_THAT(asked(), IsEmpty());
  EXPECT_EQ(to_timeout(), 6s);
  EXPECT_THAT(asked(), ElementsAre("start web 2"));
}

TEST_F(LifecycleTest, ADriverThatGoesAwayStopsNothingAndGoesOnWhenItIsBack) {
  up();
  step(ev::DriverLost{});
  advance(1min);
  EXPECT_THAT(asked(), IsEmpty());
  EXPECT_TRUE(life_->ready());
  PodStatus observed = sandbox();
  observed.containers = {container("web", 0, ContainerState::Running)};
  step(ev::Observed{observed});
  EXPECT_THAT(asked(), IsEmpty());
  observed.containers = {container("web", 0, ContainerState::Exited, 1)};
  step(ev::Observed{observed});
  EXPECT_THAT(asked(), ElementsAre("start web 1"));
}

TEST_F(LifecycleTest, ACrashInTheMiddleOfAnEndGoesOnWithIt) {
  up();
  mark_deleted(30);
  step(ev::Withdrawn{true});
  now_.mono += 10s;
  now_.wall += 10s;
  PodStatus observed = sandbox();
  observed.containers = {container("web", 0, ContainerState::Running)};
  crash(observed);
  EXPECT_THAT(asked(), ElementsAre("limits web 0", "withdraw"));
  step(ev::Withdrawn{false});
  EXPECT_THAT(asked(), ElementsAre("stop web 20000ms"));
  crash(std::nullopt);
  EXPECT_THAT(asked(), ElementsAre("remove"));
}

TEST_F(LifecycleTest, StatusIsEqualWhenNothingChanged) {
  up();
  json_["status"] = status();
  desire();
  advance(1h);
  EXPECT_EQ(status(), json_["status"]);
}

}  // namespace
}  // namespace nexus::orchestration
