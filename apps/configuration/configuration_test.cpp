#include "configuration/configuration.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>

#include "configuration/reference_page.hpp"

namespace apps {
namespace {

using namespace std::chrono_literals;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;

base::config::Loaded example(const std::string& name) {
  auto loaded =
      load_configuration({std::string(PROJECT_SOURCE_DIR "/tests/accept/config/") + name}, {});
  EXPECT_TRUE(loaded) << loaded.error().describe();
  for (const auto& problem : loaded->problems) ADD_FAILURE() << to_line(problem);
  return std::move(*loaded);
}

TEST(ExampleConfigurations, NodeTomlMeansWhatItSays) {
  const auto effective = example("node.toml").effective;
  EXPECT_EQ(effective.text("hypermesh.node.id"), "nexus-node-1");
  EXPECT_EQ(effective.text("hypermesh.node.data_directory"), "/var/lib/nexus");
  EXPECT_EQ(effective.duration("stoq.transport.key_rotation_interval"), 24h);
  EXPECT_TRUE(effective.flag("hypermesh.storage.fsync"));
  EXPECT_THAT(effective.without_effect(),
              Contains("hypermesh.consensus.timeout (consensus among several nodes)"));
}

TEST(ExampleConfigurations, ScalarsAndAllFeaturesExpand) {
  EXPECT_EQ(example("nexus-stoq.yaml").effective.text("stoq.routing.algorithm"),
            "ml_enhanced_dijkstra");
  const auto full = example("hypermesh-full.yaml").effective;
  EXPECT_TRUE(full.flag("nexus.dns_ct.enabled"));
  EXPECT_TRUE(full.flag("stoq.cdn.enabled"));
  EXPECT_EQ(full.text("hypermesh.consensus.algorithm"), "raft_byzantine");
}

// A key that is neither honoured nor named as without effect would be dropped in silence.
TEST(ExampleConfigurations, WhatHasNoEffectIsNamed) {
  EXPECT_THAT(example("stoq.yaml").effective.without_effect(),
              Contains("stoq.edge.cache_size (edge network)"));
  EXPECT_THAT(example("stoq-only.yaml").effective.without_effect(),
              Contains("stoq.mode (content network)"));
}

// `REWRITE=1 apps_configuration_test` writes the page anew; the difference is reviewed.
TEST(Configuration, ThePageNamesEveryKey) {
  const std::string path = PROJECT_SOURCE_DIR "/docs/operating/configuration.md";
  const std::string page = configuration_page(all_layers());
  if (std::getenv("REWRITE")) std::ofstream(path) << page;
  std::ifstream file(path);
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(file), {}), page)
      << "REWRITE=1 writes it anew";
}

TEST(Configuration, NoMorePodsThanANodeHasAddresses) {
  const auto problems = [](const char* pods) {
    std::vector<std::string> lines;
    for (const auto& problem :
         base::config::load(all_layers(), {}, {{"NEXUS_ORCHESTRATION__PODS_MAX", pods}}).problems)
      lines.push_back(to_line(problem));
    return lines;
  };
  EXPECT_THAT(problems("253"), testing::IsEmpty());
  EXPECT_THAT(problems("254"), ElementsAre(HasSubstr("want at most 253")));
}

TEST(Configuration, AMissingFileIsNamed) {
  EXPECT_THAT(load_configuration({"/nowhere/x.yaml"}, {}).error().message,
              HasSubstr("/nowhere/x.yaml"));
  EXPECT_THAT(load_configuration({"/nowhere/x.json"}, {}).error().message,
              HasSubstr(".yaml, .yml or .toml"));
}

}  // namespace
}  // namespace apps
