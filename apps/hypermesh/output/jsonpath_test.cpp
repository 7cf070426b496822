#include "output/jsonpath.hpp"

#include <gtest/gtest.h>
#include <yaml-cpp/yaml.h>

#include "output/json_access.hpp"
#include "output/yaml.hpp"

namespace cli {
namespace {

struct Case {
  const char* text;
  const char* want;
};

const Json kDocument = Json::parse(R"({
  "kind": "List",
  "metadata": {"labels": {"kubernetes.io/name": "web"}},
  "items": [
    {"name": "a", "n": 1, "ready": true, "ports": [80, 443], "spec": {"image": "x:1"}},
    {"name": "b", "n": 2, "ready": false, "ports": [], "spec": {"image": "x:2"}},
    {"name": "c", "n": 3, "ready": true, "spec": {"image": "y:1"}}]})");

// The forms of kubectl's own documentation, and their edges.
TEST(JsonPath, SelectsWhatKubectlSelects) {
  const Case kCases[] = {
      {"{.kind}", "List"},
      {".kind", "List"},
      {"kind", "List"},
      {"{$.kind}", "List"},
      {"{.items[*].name}", "a b c"},
      {"{.items[0].name}", "a"},
      {"{.items[-1].name}", "c"},
      {"{.items[0:2].name}", "a b"},
      {"{.items[1:].name}", "b c"},
      {"{.items[::2].name}", "a c"},
      {"{.items[0,2].name}", "a c"},
      {"{.items[*]['name','n']}", "a 1 b 2 c 3"},
      {"{.items[0].ports}", "[80,443]"},
      {"{.items[*].ports[*]}", "80 443"},
      {"{..image}", "x:1 x:2 y:1"},
      {"{.metadata.labels.kubernetes\\.io/name}", "web"},
      {"{.metadata.labels['kubernetes.io/name']}", "web"},
      {"{.items[?(@.ready==true)].name}", "a c"},
      {"{.items[?(@.n>1)].name}", "b c"},
      {"{.items[?(@.n >= 2)].name}", "b c"},
      {"{.items[?(@.name!=\"a\")].name}", "b c"},
      {"{.items[?(@.ports)].name}", "a b"},
      {"{.items[?(@.spec.image=='x:2')].n}", "2"},
      {"{range .items[*]}{.name}={.n}{\"\\n\"}{end}", "a=1\nb=2\nc=3\n"},
      {"{range .items[*]}{range .ports[*]}{@},{end};{end}", "80,443,;;;"},
      {"kind: {.kind}!", "kind: List!"},
      {"{.kind}{'\\t'}{.items[0].n}", "List\t1"},
      {"{.absent.deeper}", ""},
      {"{.items[99].name}", ""},
      {"{range .items[*]}{$.kind}{end}", "ListListList"},
      {"", ""},
  };
  for (const Case& c : kCases) {
    const auto path = JsonPath::parse(c.text);
    ASSERT_TRUE(path) << c.text << ": " << path.error().describe();
    if (std::string_view(c.text).empty()) continue;
    EXPECT_EQ(path->render(kDocument).value(), c.want) << c.text;
  }
}

TEST(JsonPath, RefusesWithThePlace) {
  for (const char* text : {"{.a", "{.a]}", "{.items[}", "{.items[x]}", "{range .a}{.b}", "{end}",
                           "{'a}", "{.a[?(@.b==)]}", "{.a[?(@.b=={})]}", "{.items[0:1:0]}", "{..}",
                           "{.items['a'}", "{\"open}", "{.a[1:2:-1]}"}) {
    const auto path = JsonPath::parse(text);
    ASSERT_FALSE(path) << text;
    EXPECT_NE(path.error().message.find("character"), std::string::npos) << path.error().message;
  }
  std::string deep;
  for (int i = 0; i < 100; ++i) deep += "{range .a}";
  EXPECT_FALSE(JsonPath::parse(deep));
  std::string filters = "{.a";
  for (int i = 0; i < 100; ++i) filters += "[?(@.a";
  EXPECT_FALSE(JsonPath::parse(filters));
}

// What a reader of YAML gets back is what was written, and strings stay strings.
Json back(const YAML::Node& node) {
  if (node.IsMap()) {
    Json out = Json::object();
    for (const auto& entry : node) out[entry.first.as<std::string>()] = back(entry.second);
    return out;
  }
  if (node.IsSequence()) {
    Json out = Json::array();
    for (const auto& entry : node) out.push_back(back(entry));
    return out;
  }
  if (node.Tag() == "!" || node.IsNull()) return node.IsNull() ? Json() : Json(node.Scalar());
  const Json scalar = Json::parse(node.Scalar(), nullptr, false);
  return scalar.is_discarded() ? Json(node.Scalar()) : scalar;
}

TEST(Yaml, RoundTrips) {
  Json document = {{"empty", Json::object()},
                   {"none", Json::array()},
                   {"null", nullptr},
                   {"n", -3.5},
                   {"t", true},
                   {"nested", {{{"a", 1}, {"b", {{"c", {1, 2, Json::array({3})}}}}}, "x"}},
                   {"key: odd", "v"}};
  for (const char* text : {"",
                           "plain",
                           "true",
                           "Yes",
                           "off",
                           "null",
                           "~",
                           "12",
                           "1e3",
                           "0x1f",
                           "12:30:45",
                           "1_000",
                           ".5",
                           "-",
                           "- a",
                           "a: b",
                           "a #b",
                           "#c",
                           "{x}",
                           "[y]",
                           "*a",
                           "&b",
                           "!t",
                           "|",
                           ">",
                           "%d",
                           "@e",
                           "`f",
                           "'",
                           "\"",
                           "a\\b",
                           "tab\there",
                           "line\n",
                           "two\nlines",
                           "two\nlines\n\n",
                           "  leading\nspace",
                           "\n\nx\n",
                           "trailing ",
                           "ends:",
                           "\x1b[0m",
                           "üñí",
                           "2026-11-21",
                           "=",
                           "---",
                           "a\n   \nb",
                           "192.168.0.1",
                           "x\r\ny"}) {
    document["strings"].push_back(text);
  }
  EXPECT_EQ(back(YAML::Load(to_yaml(document))), document) << to_yaml(document);
}

TEST(Yaml, LooksAsKubernetesWritesIt) {
  const Json object = Json::parse(
      R"({"apiVersion":"v1","kind":"Service","metadata":{"name":"web","labels":{"app":"web"}},
    "spec":{"ports":[{"port":80,"targetPort":"http"}],"selector":{}},"data":{"run.sh":"#!/bin/sh\necho hi\n"}})");
  EXPECT_EQ(to_yaml(object),
            "apiVersion: v1\ndata:\n  run.sh: |\n    #!/bin/sh\n    echo hi\nkind: "
            "Service\nmetadata:\n  labels:\n    app: web\n  name: web\n"
            "spec:\n  ports:\n  - port: 80\n    targetPort: http\n  selector: {}\n");
}

}  // namespace
}  // namespace cli
