// The daemon dies at every step that it takes towards the outside, one after the other, and what
// comes of it in the end is always the same.

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "orchestration/json_read.hpp"
#include "orchestration/testing/test_cluster.hpp"

namespace nexus::orchestration {
namespace {

using namespace std::chrono_literals;
using testing::IsEmpty;
using testing::SizeIs;

constexpr std::string_view kWeb = R"(
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: COUNT
  strategy: {rollingUpdate: {maxSurge: 1, maxUnavailable: 0}}
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 5
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
  completions: COUNT
  template:
    metadata: {labels: {app: sum}}
    spec: {restartPolicy: Never, containers: [{name: sum, image: "sum:1"}]}
)";

std::string with_count(std::string_view manifest, std::size_t count) {
  constexpr std::string_view kPlace = "COUNT";
  std::string text(manifest);
  return text.replace(text.find(kPlace), kPlace.size(), std::to_string(count));
}

/// A daemon that dies at given steps, and the people that use it.
class Story {
 public:
  /// Dies at the `first_death`th step of its life, the next one after `second_death` more.
  Story(std::size_t first_death, std::size_t second_death) : deaths_{second_death, first_death} {
    cluster_.driver.exits_at_once["sum:1"] = 0;
    begin();
  }

  TestCluster& cluster() { return cluster_; }
  /// Whether it took as many steps as were to be taken.
  bool died() const { return died_; }

  /// Whatever dies meanwhile. False: it never comes to that.
  bool comes_to(const std::function<bool()>& holds) {
    for (;;) {
      if (!cluster_.gate.dead() && cluster_.wait_for(holds)) return true;
      if (!cluster_.gate.dead()) return false;
      died_ = true;
      cluster_.crash();
      begin();
    }
  }
  /// Somebody asks the daemon, which therefore lives.
  void when_it_lives(const std::function<void()>& ask) {
    comes_to([] { return true; });
    ask();
  }

 private:
  void begin() {
    cluster_.gate.disarm();
    if (!deaths_.empty()) {
      cluster_.gate.arm(deaths_.back());
      deaths_.pop_back();
    }
    cluster_.start();
  }

  TestCluster cluster_;
  std::vector<std::size_t> deaths_;
  bool died_ = false;
};

/// Every attempt ran once, and none was a second one.
void expect_started_once(const TestCluster& cluster) {
  std::set<std::string> seen;
  for (const std::string& attempt : cluster.driver.started) {
    EXPECT_TRUE(seen.insert(attempt).second) << attempt << " was started twice";
    EXPECT_TRUE(attempt.ends_with(" 0")) << attempt << " was a restart";
  }
}

void expect_serves(TestCluster& cluster, std::size_t replicas, const std::string& image) {
  const auto pods = cluster.pods_of("web");
  EXPECT_THAT(pods, SizeIs(replicas));
  EXPECT_THAT(cluster.driver.pods, SizeIs(pods.size() + cluster.pods_of("sum").size()));
  std::set<std::string> addresses;
  for (const std::string& name : pods) {
    const auto pod = cluster.driver.pods.find(cluster.uid_of(name));
    ASSERT_NE(pod, cluster.driver.pods.end()) << name << " does not run";
    EXPECT_TRUE(pod->second.containers.at("web").spec.image.starts_with(image));
    EXPECT_EQ(pod->second.containers.at("web").status.state, ContainerState::Running);
    addresses.insert(pod->second.addresses.begin(), pod->second.addresses.end());
  }
  EXPECT_EQ(cluster.backends("web"), addresses);
  EXPECT_EQ(cluster.resolved("web"), addresses);
  EXPECT_THAT(cluster.store.all("ReplicaSet").size(), testing::Le(2u));
}

struct Plot {
  std::size_t pods = 1;  ///< Of the deployment, and of the job.
  std::size_t first_death = 1, second_death = 1;
};

/// False: the daemon did not take so many steps.
bool tell(const Plot& plot) {
  SCOPED_TRACE(fmt::format("{} pods, dies at step {}, then after {} more", plot.pods,
                           plot.first_death, plot.second_death));
  Story story(plot.first_death, plot.second_death);
  TestCluster& cluster = story.cluster();
  const auto complete = [&](const char* kind, const char* name) {
    return cluster.state(kind, name).complete;
  };
  const auto runs = [&](std::size_t pods) { return cluster.driver.pods.size() == pods; };
  const auto is_reached = [&] {
    const std::size_t addresses = 2 * plot.pods;  // of both families
    return cluster.backends("web").size() == addresses &&
           cluster.resolved("web").size() == addresses;
  };

  story.when_it_lives([&] { cluster.apply(with_count(kWeb, plot.pods)); });
  EXPECT_TRUE(story.comes_to([&] { return complete("Deployment", "web") && is_reached(); }));
  EXPECT_TRUE(story.comes_to([&] { return runs(plot.pods); }));
  expect_serves(cluster, plot.pods, "web:1");

  story.when_it_lives([&] {
    cluster.edit({"Deployment", "default", "web"}, [](Json& web) {
      web["spec"]["template"]["spec"]["containers"][0]["image"] = "web:2";
    });
    cluster.apply(with_count(kJob, plot.pods));
  });
  EXPECT_TRUE(story.comes_to([&] {
    return complete("Deployment", "web") && complete("Job", "sum") && is_reached() &&
           runs(cluster.store.all("Pod").size()) && cluster.pods_of("web").size() == plot.pods;
  }));
  expect_serves(cluster, plot.pods, "web:2");
  EXPECT_THAT(cluster.pods_of("sum"), SizeIs(plot.pods));
  expect_started_once(cluster);

  story.when_it_lives([&] {
    cluster.remove({"Deployment", "default", "web"});
    cluster.remove({"Job", "default", "sum"});
    cluster.remove({"Service", "default", "web"});
  });
  EXPECT_TRUE(story.comes_to([&] {
    return cluster.store.all("Pod").empty() && cluster.store.all("ReplicaSet").empty() &&
           cluster.store.all("Job").empty() && cluster.network.table.empty() && runs(0);
  }));
  EXPECT_THAT(cluster.violations(), IsEmpty());
  return story.died();
}

std::size_t somewhat_later(std::size_t step) {
  return 1 + step * 7 % 23;
}

TEST(Crash, AtEveryStepTheEndIsTheSame) {
  std::size_t step = 1;
  while (tell({.pods = 1, .first_death = step, .second_death = somewhat_later(step)}) &&
         !HasFailure())
    ++step;
  EXPECT_GT(step, 60u);
}

TEST(Crash, OfManyPodsEachEndsTheSame) {
  for (std::size_t step = 1; step < 300 && !HasFailure(); step += 29)
    tell({.pods = 3, .first_death = step, .second_death = somewhat_later(step)});
}

}  // namespace
}  // namespace nexus::orchestration
