#include "manifest/explain.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <nlohmann/json.hpp>
#include <set>

#include "manifest/kinds.hpp"
#include "manifest/schema.hpp"

namespace nexus::manifest {
namespace {

using nlohmann::json;
using testing::HasSubstr;

/// Every type that can be reached, once.
void each_type(const std::function<void(const ObjectType&)>& visit) {
  std::set<const ObjectType*> seen;
  const std::function<void(const ObjectType&)> go = [&](const ObjectType& type) {
    if (!seen.insert(&type).second) return;
    visit(type);
    for (const Field& field : type.fields) {
      if (field.object) go(*field.object);
    }
  };
  for (const KindInfo& kind : served_kinds()) go(schema_of(kind));
}

TEST(Schema, IsWellFormed) {
  each_type([](const ObjectType& type) {
    std::set<std::string_view> names;
    EXPECT_TRUE(type.name.starts_with("io.k8s.")) << type.name;
    EXPECT_TRUE(type.description.ends_with('.')) << type.name;
    for (const Field& field : type.fields) {
      const std::string where = std::string(type.name) + "." + std::string(field.name);
      EXPECT_TRUE(names.insert(field.name).second) << where << " is there twice";
      EXPECT_TRUE(field.description.ends_with('.')) << where;
      EXPECT_EQ(field.description.find('\n'), std::string_view::npos) << where;
      const bool of_objects =
          field.type == Type::Object ||
          ((field.type == Type::List || field.type == Type::Map) && field.element == Type::Object);
      EXPECT_EQ(of_objects, field.object != nullptr) << where;
      if (!field.fallback.empty()) EXPECT_TRUE(json::accept(field.fallback)) << where;
      if (!field.harmless.empty()) EXPECT_TRUE(json::accept(field.harmless)) << where;
      const bool needs_advice = field.support == Support::Refused ||
                                field.support == Support::NoEffect || !field.unserved.empty();
      EXPECT_EQ(needs_advice, !field.advice.empty()) << where;
      for (std::string_view key : {field.merge_key, field.unique[0], field.unique[1]}) {
        if (!key.empty() && field.object)
          EXPECT_NE(field.object->find(key), nullptr) << where << " has no " << key;
      }
    }
  });
}

TEST(Schema, EveryServedKindHasOne) {
  for (const KindInfo& kind : served_kinds()) {
    for (const char* field : {"apiVersion", "kind", "metadata"})
      EXPECT_NE(schema_of(kind).find(field), nullptr) << kind.kind;
  }
}

TEST(Explain, ShowsAField) {
  const auto text = explain("deployment.spec.strategy");
  ASSERT_TRUE(text) << text.error().describe();
  EXPECT_EQ(*text, R"(KIND:     Deployment
VERSION:  apps/v1
FIELD:    strategy <DeploymentStrategy>

DESCRIPTION:
  How pods are replaced when the template changes.
  How pods are replaced.

FIELDS:
  type <string>
    RollingUpdate replaces pods little by little, Recreate all at once.
    default "RollingUpdate"; one of RollingUpdate, Recreate
  rollingUpdate <RollingUpdateDeployment>
    Only with type RollingUpdate.
)");
}

TEST(Explain, TakesEveryNameOfAKindAndListsOfLists) {
  EXPECT_THAT(*explain("po.spec.containers.image"), HasSubstr("FIELD:    image <string>"));
  EXPECT_THAT(*explain("pods.spec.containers[0].ports[].protocol"),
              HasSubstr("one of TCP, UDP, SCTP"));
  EXPECT_THAT(*explain("svc"), HasSubstr("KIND:     Service"));
  EXPECT_THAT(*explain("pod.spec.volumes.nfs"),
              HasSubstr("not supported: use persistentVolumeClaim"));
  EXPECT_THAT(*explain("pod.spec.affinity"), HasSubstr("has no effect"));
  EXPECT_THAT(*explain("deploy", true), HasSubstr("\n        containers <list of Container>"));
  EXPECT_EQ(explain("deployment.spec.stratgy").error().hints.at(0),
            "did you mean deployment.spec.strategy?");
  EXPECT_EQ(explain("pod.spec.nodeSelector.x").error().code, base::Errc::NotFound);
  EXPECT_EQ(explain("sts.spec").error().code, base::Errc::Unsupported);
}

TEST(Completion, FollowsTheSchema) {
  std::vector<std::string> paths;
  for (const PathCompletion& one : complete_path("deployment.spec.re")) paths.push_back(one.path);
  EXPECT_THAT(paths, testing::ElementsAre("deployment.spec.replicas",
                                          "deployment.spec.revisionHistoryLimit"));
  ASSERT_FALSE(complete_path("depl").empty());
  EXPECT_EQ(complete_path("depl")[0].path, "deployment.");
  EXPECT_EQ(complete_path("deployment.sp").at(0).path, "deployment.spec.");
  EXPECT_TRUE(complete_path("nothing.x").empty());
}

TEST(OpenApi, RefersOnlyToWhatItHas) {
  for (const std::string& version : openapi_versions()) {
    const json document = openapi_v3(version);
    const std::string text = document.dump();
    std::size_t references = 0;
    for (std::size_t at = text.find("#/components/schemas/"); at != std::string::npos;
         at = text.find("#/components/schemas/", at + 1)) {
      const std::size_t begin = at + std::string_view("#/components/schemas/").size();
      const std::string name = text.substr(begin, text.find('"', begin) - begin);
      EXPECT_TRUE(document["components"]["schemas"].contains(name)) << name;
      ++references;
    }
    EXPECT_GT(references, 5u) << version;
  }
  const json apps = openapi_v3("apps/v1");
  const json& deployment = apps["components"]["schemas"]["io.k8s.api.apps.v1.Deployment"];
  EXPECT_EQ(deployment["x-kubernetes-group-version-kind"][0]["kind"], "Deployment");
  EXPECT_TRUE(apps["paths"].contains("/apis/apps/v1/namespaces/{namespace}/deployments/{name}"));
  const json& container =
      apps["components"]["schemas"]["io.k8s.api.core.v1.PodSpec"]["properties"]["containers"];
  EXPECT_EQ(container["x-kubernetes-patch-merge-key"], "name");
  EXPECT_THAT(openapi_versions(),
              testing::ElementsAre("apps/v1", "batch/v1", "discovery.k8s.io/v1", "v1"));
}

}  // namespace
}  // namespace nexus::manifest
