#include "manifest/patch.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "manifest/diff.hpp"
#include "manifest/yaml_document.hpp"

namespace nexus::manifest {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Json yaml(std::string_view text) {
  const Documents documents = read_documents(text, "test");
  EXPECT_TRUE(documents.problems.empty()) << text << describe(documents.problems);
  return documents.documents.empty() ? Json() : documents.documents[0].value;
}

// RFC 7386, appendix A.
TEST(MergePatch, FollowsTheExamplesOfTheRfc) {
  const char* cases[][3] = {
      {R"({"a":"b"})", R"({"a":"c"})", R"({"a":"c"})"},
      {R"({"a":"b"})", R"({"b":"c"})", R"({"a":"b","b":"c"})"},
      {R"({"a":"b"})", R"({"a":null})", R"({})"},
      {R"({"a":"b","b":"c"})", R"({"a":null})", R"({"b":"c"})"},
      {R"({"a":["b"]})", R"({"a":"c"})", R"({"a":"c"})"},
      {R"({"a":"c"})", R"({"a":["b"]})", R"({"a":["b"]})"},
      {R"({"a":{"b":"c"}})", R"({"a":{"b":"d","c":null}})", R"({"a":{"b":"d"}})"},
      {R"({"a":[{"b":"c"}]})", R"({"a":[1]})", R"({"a":[1]})"},
      {R"(["a","b"])", R"(["c","d"])", R"(["c","d"])"},
      {R"({"a":"b"})", R"(["c"])", R"(["c"])"},
      {R"({"a":"foo"})", "null", "null"},
      {R"({"a":"foo"})", R"("bar")", R"("bar")"},
      {R"({"e":null})", R"({"a":1})", R"({"a":1,"e":null})"},
      {R"([1,2])", R"({"a":"b","c":null})", R"({"a":"b"})"},
      {R"({})", R"({"a":{"bb":{"ccc":null}}})", R"({"a":{"bb":{}}})"}};
  for (const auto& [target, patch, result] : cases) {
    EXPECT_EQ(merge_patch(Json::parse(target), Json::parse(patch))->dump(), result)
        << target << " + " << patch;
  }
}

TEST(JsonPatch, FollowsTheRfc) {
  const char* cases[][3] = {
      {R"({"foo":"bar"})", R"([{"op":"add","path":"/baz","value":"qux"}])",
       R"({"baz":"qux","foo":"bar"})"},
      {R"({"foo":["bar","baz"]})", R"([{"op":"add","path":"/foo/1","value":"qux"}])",
       R"({"foo":["bar","qux","baz"]})"},
      {R"({"foo":["bar"]})", R"([{"op":"add","path":"/foo/-","value":["abc","def"]}])",
       R"({"foo":["bar",["abc","def"]]})"},
      {R"({"baz":"qux","foo":"bar"})", R"([{"op":"remove","path":"/baz"}])", R"({"foo":"bar"})"},
      {R"({"baz":"qux"})", R"([{"op":"replace","path":"/baz","value":"boo"}])", R"({"baz":"boo"})"},
      {R"({"a":{"b":1},"c":{}})", R"([{"op":"move","from":"/a/b","path":"/c/d"}])",
       R"({"a":{},"c":{"d":1}})"},
      {R"({"a":1})",
       R"([{"op":"copy","from":"/a","path":"/b"},{"op":"test","path":"/b","value":1}])",
       R"({"a":1,"b":1})"},
      {R"({"/":9,"~1":10})", R"([{"op":"test","path":"/~01","value":10}])", R"({"/":9,"~1":10})"}};
  for (const auto& [target, patch, result] : cases) {
    const auto patched = json_patch(Json::parse(target), Json::parse(patch));
    ASSERT_TRUE(patched) << patch << ": " << patched.error().describe();
    EXPECT_EQ(patched->dump(), result) << patch;
  }
}

TEST(JsonPatch, RefusesWithTheOperation) {
  const Json target = Json::parse(R"({"a":1,"l":[]})");
  EXPECT_EQ(
      json_patch(target, Json::parse(R"([{"op":"test","path":"/a","value":2}])")).error().code,
      base::Errc::Conflict);
  for (const char* bad :
       {R"({})", R"([1])", R"([{"op":"x","path":"/a"}])", R"([{"op":"remove","path":"/b"}])",
        R"([{"op":"add","path":"a","value":1}])", R"([{"op":"add","path":"/l/5","value":1}])",
        R"([{"op":"add","path":"/l/x","value":1}])", R"([{"op":"copy","path":"/b","from":"/z"}])",
        R"([{"op":"move","path":"/b"}])", R"([{"op":"add","path":"/q/r","value":1}])",
        R"([{"op":"replace","path":"/a"}])", R"([{"op":1,"path":"/a"}])"}) {
    const auto result = json_patch(target, Json::parse(bad));
    ASSERT_FALSE(result) << bad << " gave " << *result;
    EXPECT_EQ(result.error().code, base::Errc::InvalidArgument) << bad << result.error().message;
  }
}

TEST(JsonPatch, CopiesAreBounded) {
  Json doubling = Json::array();
  for (int i = 0; i < 200; ++i) doubling.push_back({{"op", "copy"}, {"from", ""}, {"path", "/a"}});
  EXPECT_EQ(json_patch(Json::parse(R"({"a":{}})"), doubling).error().code,
            base::Errc::ResourceExhausted);
  Json wide = Json::array();
  for (int i = 0; i < 64; ++i) wide.push_back({{"op", "copy"}, {"from", "/l"}, {"path", "/l/-"}});
  Json moving = Json::array();
  for (int i = 0; i < 64; ++i) {
    moving.push_back({{"op", "move"}, {"from", "/a"}, {"path", "/b"}});
    moving.push_back({{"op", "move"}, {"from", "/b"}, {"path", "/a"}});
  }
  const Json large = {{"a", std::string(1u << 20, 'x')}};
  EXPECT_EQ(json_patch(large, moving).error().code, base::Errc::ResourceExhausted);
  EXPECT_EQ(json_patch(Json::parse(R"({"l":[1]})"), wide).error().code,
            base::Errc::ResourceExhausted);
}

constexpr std::string_view kDeployment = R"(
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {a: b}, finalizers: [x/y]}
spec:
  replicas: 3
  strategy: {type: RollingUpdate, rollingUpdate: {maxSurge: 1, maxUnavailable: 0}}
  template:
    spec:
      containers:
      - {name: web, image: web:1, env: [{name: A, value: "1"}, {name: B, value: "2"}], args: [x, z]}
      - {name: log, image: log:1}
)";

Json patched(std::string_view patch) {
  const auto result =
      strategic_merge_patch(yaml(kDeployment), yaml(patch), *find_kind("deployment"));
  EXPECT_TRUE(result) << result.error().describe();
  return result.value_or(Json());
}
Json containers(const Json& object) {
  return object["spec"]["template"]["spec"]["containers"];
}

TEST(StrategicMergePatch, MergesContainersByName) {
  const Json result =
      containers(patched("spec: {template: {spec: {containers: [{name: web, image: web:2, args: "
                         "[z], env: [{name: B, value: '3'}, {name: C, value: '4'}]}]}}}"));
  EXPECT_EQ(
      result.dump(),
      R"([{"args":["z"],"env":[{"name":"A","value":"1"},{"name":"B","value":"3"},{"name":"C","value":"4"}],"image":"web:2","name":"web"},{"image":"log:1","name":"log"}])");
}

TEST(StrategicMergePatch, DirectivesDeleteReplaceAndOrder) {
  EXPECT_EQ(
      containers(patched("spec: {template: {spec: {containers: [{name: log, $patch: delete}]}}}"))
          .size(),
      1u);
  EXPECT_EQ(
      containers(
          patched(
              "spec: {template: {spec: {containers: [{$patch: replace}, {name: new, image: i}]}}}"))
          .dump(),
      R"([{"image":"i","name":"new"}])");
  EXPECT_EQ(
      patched("spec: {strategy: {$retainKeys: [type], type: Recreate}}")["spec"]["strategy"].dump(),
      R"({"type":"Recreate"})");
  EXPECT_EQ(patched("metadata: {labels: {$patch: replace, c: d}}")["metadata"]["labels"].dump(),
            R"({"c":"d"})");
  EXPECT_FALSE(patched("metadata: {labels: {$patch: delete}}")["metadata"].contains("labels"));
  EXPECT_EQ(patched("metadata: {labels: {a: null, c: d}}")["metadata"]["labels"].dump(),
            R"({"c":"d"})");
  const Json ordered =
      containers(patched("spec: {template: {spec: {$setElementOrder/containers: [{name: new}, "
                         "{name: log}, {name: web}], containers: [{name: new, image: i}]}}}"));
  EXPECT_EQ(ordered[0]["name"], "new");
  EXPECT_EQ(ordered[1]["name"], "log");
  EXPECT_EQ(ordered[2]["name"], "web");
}

TEST(StrategicMergePatch, ListsOfScalarsJoinWhereTheSchemaSaysSo) {
  EXPECT_EQ(patched("metadata: {finalizers: [p/q, x/y]}")["metadata"]["finalizers"].dump(),
            R"(["x/y","p/q"])");
  EXPECT_EQ(
      patched("metadata: {$deleteFromPrimitiveList/finalizers: [x/y]}")["metadata"]["finalizers"]
          .dump(),
      "[]");
}

TEST(StrategicMergePatch, RefusesWhatItCannotMean) {
  const auto refused = [](std::string_view patch) {
    const auto result =
        strategic_merge_patch(yaml(kDeployment), yaml(patch), *find_kind("deployment"));
    return result ? std::string("accepted") : result.error().message;
  };
  EXPECT_THAT(refused("spec: {template: {spec: {containers: [{image: x}]}}}"),
              HasSubstr("has no name"));
  EXPECT_THAT(refused("spec: {$patch: merg}"), HasSubstr("replace, delete or merge"));
  EXPECT_THAT(refused("spec: {$what: 1}"), HasSubstr("not a directive"));
  EXPECT_THAT(refused("[1]"), HasSubstr("is an object"));
}

TEST(ApplyMerge, TakesAwayWhatWasAppliedAndKeepsWhatOthersSet) {
  const Json last = yaml(
      "{spec: {replicas: 3, template: {spec: {containers: [{name: web, image: web:1, env: [{name: "
      "A, value: '1'}]}, {name: old, image: o}]}}}, metadata: {labels: {mine: x, gone: y}}}");
  const Json wanted = yaml(
      "{spec: {template: {spec: {containers: [{name: web, image: web:2, env: []}]}}}, metadata: "
      "{labels: {mine: z}}}");
  Json current = last;
  current["spec"]["replicas"] = 7;
  current["spec"]["paused"] = true;
  current["metadata"]["labels"]["theirs"] = "t";
  current["spec"]["template"]["spec"]["containers"].push_back({{"name", "injected"}});
  current["spec"]["template"]["spec"]["containers"][0]["imagePullPolicy"] = "Always";
  const Json merged = *apply_merge(last, wanted, current, *find_kind("deployment"));
  EXPECT_EQ(
      merged.dump(),
      R"({"metadata":{"labels":{"mine":"z","theirs":"t"}},"spec":{"paused":true,"template":{"spec":{"containers":[{"env":[],"image":"web:2","imagePullPolicy":"Always","name":"web"},{"name":"injected"}]}}}})");
}

TEST(ApplyMerge, AMapThatIsNotWrittenAnyMoreKeepsWhatOthersSet) {
  const Json last = yaml("{metadata: {name: web, labels: {mine: x}, annotations: {note: y}}}");
  const Json current = yaml(
      "{metadata: {name: web, labels: {mine: changed, theirs: t}, annotations: {note: y}}, spec: "
      "{paused: true}}");
  const Json wanted = yaml("{metadata: {name: web}}");
  EXPECT_EQ(apply_merge(last, wanted, current, *find_kind("deployment"))->dump(),
            R"({"metadata":{"labels":{"theirs":"t"},"name":"web"},"spec":{"paused":true}})");
}

TEST(ApplyMerge, OnePortOverTwoProtocolsStaysTwoPorts) {
  const Json wanted = yaml(
      "{spec: {type: NodePort, ports: [{name: dns, port: 53, protocol: UDP}, {name: dns-tcp, port: "
      "53}]}}");
  Json current = wanted;
  current["spec"]["ports"][0]["nodePort"] = 30001;
  current["spec"]["ports"][1]["nodePort"] = 30002;
  current["spec"]["ports"][1]["protocol"] = "TCP";
  EXPECT_EQ(*apply_merge(wanted, wanted, current, *find_kind("service")), current);
}

TEST(ApplyMerge, AppliedTwiceIsAppliedOnce) {
  const Json wanted = yaml(kDeployment);
  const Json once = *apply_merge(Json(), wanted, Json(), *find_kind("deployment"));
  EXPECT_EQ(once, wanted);
  EXPECT_EQ(*apply_merge(wanted, wanted, once, *find_kind("deployment")), once);
}

TEST(ApplyMerge, UnionsDropTheirOtherMembers) {
  const Json last = yaml("{spec: {strategy: {type: RollingUpdate}}}");
  Json current = yaml("{spec: {strategy: {type: RollingUpdate, rollingUpdate: {maxSurge: 25%}}}}");
  const Json wanted = yaml("{spec: {strategy: {type: Recreate}}}");
  EXPECT_EQ(apply_merge(last, wanted, current, *find_kind("deployment"))->dump(),
            R"({"spec":{"strategy":{"type":"Recreate"}}})");
}

std::vector<std::string> diff(const char* kind, const Json& before, const Json& after) {
  std::vector<std::string> lines;
  for (const FieldChange& change : diff_objects(*find_kind(kind), before, after))
    lines.push_back(change.text());
  return lines;
}

TEST(Diff, NamesChangedFieldsByTheirKeys) {
  const Json before = yaml(kDeployment);
  Json after = before;
  after["metadata"]["resourceVersion"] = "5";
  after["metadata"]["annotations"] = {{"deployment.kubernetes.io/revision", "2"}};
  after["metadata"]["labels"]["app.kubernetes.io/name"] = "web";
  after["status"] = {{"replicas", 1}};
  after["spec"]["replicas"] = 5;
  Json& list = after["spec"]["template"]["spec"]["containers"];
  list[0]["image"] = "web:2";
  list[0]["env"][1]["value"] = "3";
  list[0]["args"] = {"x"};
  list.erase(1);
  list.push_back({{"name", "new"}, {"image", "n"}});
  EXPECT_THAT(
      diff("deployment", before, after),
      ElementsAre("+ metadata.labels[app.kubernetes.io/name]: web", "~ spec.replicas: 3 -> 5",
                  "~ spec.template.spec.containers[web].args: [\"x\",\"z\"] -> [\"x\"]",
                  "~ spec.template.spec.containers[web].env[B].value: 2 -> 3",
                  "~ spec.template.spec.containers[web].image: web:1 -> web:2",
                  "- spec.template.spec.containers[log]: {\"image\":\"log:1\",\"name\":\"log\"}",
                  "+ spec.template.spec.containers[new]: {\"image\":\"n\",\"name\":\"new\"}"));
  EXPECT_TRUE(diff("deployment", before, before).empty());
}

TEST(Diff, NoticesOrder) {
  const Json before = yaml(kDeployment);
  Json after = before;
  std::swap(after["spec"]["template"]["spec"]["containers"][0],
            after["spec"]["template"]["spec"]["containers"][1]);
  EXPECT_EQ(diff("deployment", before, after).size(), 1u);
}

TEST(Diff, HidesSecrets) {
  const Json before = yaml("{kind: Secret, data: {a: eA==, b: eA==}}");
  const Json after = yaml("{kind: Secret, data: {a: eQ==, c: eA==}, type: Opaque}");
  EXPECT_THAT(diff("secret", before, after),
              ElementsAre("~ data.a: (secret) -> (secret)", "- data.b: (secret)",
                          "+ data.c: (secret)", "+ type: Opaque"));
}

TEST(Diff, OfANewObject) {
  EXPECT_THAT(diff("configmap", Json(), yaml("{kind: ConfigMap, data: {a: b}}")),
              ElementsAre("+ data.a: b", "+ kind: ConfigMap"));
}

}  // namespace
}  // namespace nexus::manifest
