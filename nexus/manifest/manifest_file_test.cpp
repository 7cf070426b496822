#include "manifest/manifest_file.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace nexus::manifest {
namespace {

using testing::ElementsAre;

std::vector<std::string> names(const ParsedFile& parsed) {
  std::vector<std::string> all;
  for (const FileObject& object : parsed.objects) {
    all.push_back(std::string(object.kind->singular) + "/" + std::string(object.name()));
  }
  return all;
}

TEST(ManifestFile, ListsAreFlattenedWithTheirPlaces) {
  const ParsedFile parsed = parse_file(R"(apiVersion: v1
kind: List
items:
- apiVersion: v1
  kind: ConfigMap
  metadata: {name: a}
- apiVersion: v1
  kind: ConfigMapList
  items:
  - metadata: {name: b}
  - metadata: {name: C}
)",
                                       "f.yaml");
  EXPECT_THAT(names(parsed), ElementsAre("configmap/a", "configmap/b"));
  EXPECT_EQ(parsed.objects_seen, 3u);
  ASSERT_EQ(parsed.problems.size(), 1u);
  EXPECT_EQ(parsed.problems[0].position.line, 11u);
  EXPECT_EQ(parsed.problems[0].field, "metadata.name");
  EXPECT_FALSE(parsed.accepted());
}

TEST(ManifestFile, KeepsWhatWasWrittenBesideTheDefaults) {
  const ParsedFile parsed = parse_file(
      "{apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {containers: [{name: c, image: i}]}}",
      "f");
  ASSERT_EQ(parsed.objects.size(), 1u);
  EXPECT_FALSE(parsed.objects[0].written["spec"].contains("restartPolicy"));
  EXPECT_TRUE(parsed.objects[0].object["spec"].contains("restartPolicy"));
  EXPECT_EQ(parsed.objects[0].name_space(), "default");
}

TEST(ManifestFile, TheSameObjectInTwoFilesIsAProblem) {
  const char* text = "{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}";
  std::vector<ParsedFile> files;
  files.push_back(parse_file(text, "one.yaml"));
  files.push_back(parse_file(text, "two.yaml"));
  const ParsedFile joined = join_files(std::move(files));
  EXPECT_EQ(describe(joined.problems),
            "two.yaml:1: configmap/a appears twice; first in one.yaml:1");
  EXPECT_EQ(joined.objects.size(), 2u);
}

TEST(ManifestFile, NamespaceOfTheCommandLineCounts) {
  ParseOptions options;
  options.default_namespace = "prod";
  const ParsedFile parsed = parse_file(
      "{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}\n---\n{apiVersion: v1, kind: "
      "Namespace, metadata: {name: b}}",
      "f", options);
  EXPECT_EQ(parsed.objects[0].name_space(), "prod");
  EXPECT_EQ(parsed.objects[1].name_space(), "");
}

constexpr const char* kApplication = R"(apiVersion: v1
kind: ConfigMap
metadata: {name: config}
data: {here: x}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      imagePullSecrets: [{name: registry}]
      containers:
      - name: c
        image: i:1
        ports: [{name: http, containerPort: 80}]
        env:
        - {name: A, valueFrom: {configMapKeyRef: {name: config, key: here}}}
        - {name: B, valueFrom: {configMapKeyRef: {name: config, key: absent}}}
        - {name: C, valueFrom: {secretKeyRef: {name: gone, key: k}}}
        - {name: D, valueFrom: {secretKeyRef: {name: gone, key: k, optional: true}}}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: htpt}]}
---
apiVersion: v1
kind: Service
metadata: {name: other}
spec: {selector: {app: wbe}, ports: [{port: 80}]}
)";

TEST(References, ToNothingAreWarnedOf) {
  const ParsedFile parsed = parse_file(kApplication, "f.yaml");
  ASSERT_TRUE(parsed.accepted()) << describe(parsed.problems);
  const std::vector<std::string> known = {
      "f.yaml:21: spec.template.spec.containers[0].env[1].valueFrom.configMapKeyRef.key names a "
      "key that ConfigMap config "
      "does not have: absent",
      "f.yaml:28: spec.ports[0].targetPort names a port that the chosen pods do not have: htpt",
      "f.yaml:33: spec.selector chooses none of the pods here: app=wbe"};
  std::vector<std::string> said;
  for (const Problem& warning : check_references(parsed.objects))
    said.push_back(warning.headline());
  EXPECT_EQ(said, known);

  ReferenceSource source;
  const Json registry = {{"data", Json::object()}};
  source.find = [&](std::string_view kind, std::string_view, std::string_view name) {
    return kind == "Secret" && name == "registry" ? &registry : nullptr;
  };
  said.clear();
  for (const Problem& warning : check_references(parsed.objects, source))
    said.push_back(warning.headline());
  EXPECT_THAT(
      said,
      testing::Contains(
          "f.yaml:22: spec.template.spec.containers[0].env[2].valueFrom.secretKeyRef.name names a "
          "Secret that does not exist: gone"));
  EXPECT_EQ(said.size(), 4u);
}

}  // namespace
}  // namespace nexus::manifest
