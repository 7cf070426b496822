#include "manifest/yaml_document.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace nexus::manifest {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

Documents read(std::string_view text) {
  return read_documents(text, "app.yaml");
}

Json one(std::string_view text) {
  Documents documents = read(text);
  EXPECT_TRUE(documents.problems.empty()) << text << "\n" << describe(documents.problems);
  EXPECT_EQ(documents.documents.size(), 1u) << text;
  return documents.documents.empty() ? Json() : documents.documents[0].value;
}

std::string refused(std::string_view text) {
  const Documents documents = read(text);
  EXPECT_FALSE(documents.problems.empty()) << text;
  return describe(documents.problems);
}

TEST(YamlScalars, MeanWhatTheyMeanToKubernetes) {
  const std::pair<const char*, const char*> cases[] = {
      {"a", R"("a")"},
      {"'a'", R"("a")"},
      {"\"a\\nb\"", R"("a\nb")"},
      {"yes", "true"},
      {"on", "true"},
      {"y", "true"},
      {"No", "false"},
      {"OFF", "false"},
      {"n", "false"},
      {"'yes'", R"("yes")"},
      {"~", "null"},
      {"null", "null"},
      {"", "null"},
      {"''", R"("")"},
      {"0644", "420"},
      {"0o644", "420"},
      {"0x1F", "31"},
      {"0b101", "5"},
      {"-0x10", "-16"},
      {"1_000", "1000"},
      {"08", "8.0"},
      {"1.5", "1.5"},
      {".5", "0.5"},
      {"1e3", "1000.0"},
      {"1.10", "1.1"},
      {"1.2.3", R"("1.2.3")"},
      {"100m", R"("100m")"},
      {"+5", "5"},
      {"-", "[null]"},
      {"12:30", R"("12:30")"},
      {"2026-03-01", R"("2026-03-01")"},
      {"18446744073709551615", "18446744073709551615"},
      {"9223372036854775808", "9223372036854775808"},
      {"-9223372036854775808", "-9223372036854775808"},
      {"!!str 12", R"("12")"},
      {"!!int '12'", "12"},
      {"!!float 1", "1.0"},
      {"! 12", R"("12")"},
      {"1e", R"("1e")"},
      {"0x", R"("0x")"},
      {"_", R"("_")"},
      {"Yess", R"("Yess")"},
      {"1 2", R"("1 2")"},
      {"nUll", R"("nUll")"}};
  for (const auto& [yaml, json] : cases) {
    EXPECT_EQ(
        one(std::string("k: ") + (std::string_view(yaml) == "-" ? "\n-" : yaml) + "\n")["k"].dump(),
        json)
        << yaml;
  }
  EXPECT_THAT(refused("a: .inf"), StartsWith("app.yaml:1: .inf is not a number"));
  EXPECT_THAT(refused("a: !!int x"), StartsWith("app.yaml:1: x is not a !!int"));
  EXPECT_THAT(refused("a: !thing x"), StartsWith("app.yaml:1: tag !thing is not supported"));
  EXPECT_THAT(refused("a: !!set {x}"),
              StartsWith("app.yaml:1: tag tag:yaml.org,2002:set is not supported"));
}

TEST(YamlScalars, KeysBecomeText) {
  EXPECT_EQ(one("1: a\ntrue: b\nx: c\n").dump(), R"({"1":"a","true":"b","x":"c"})");
  EXPECT_THAT(refused("a: {{ .Values.x }}"), HasSubstr("helm template"));
  EXPECT_THAT(refused("? [a]\n: b\n"), StartsWith("app.yaml:1: a list or mapping cannot be a key"));
}

TEST(YamlDocument, ReadsSeveralAndLeavesOutEmptyOnes) {
  const Documents documents = read("---\n# nothing\n---\na: 1\n---\n---\nb: 2\n...\n---\n");
  EXPECT_TRUE(documents.problems.empty());
  ASSERT_EQ(documents.documents.size(), 2u);
  EXPECT_EQ(documents.documents[1].positions.member("b")->key.line, 7u);
  EXPECT_TRUE(read("").documents.empty());
  EXPECT_TRUE(read("# only a comment\n").documents.empty());
}

TEST(YamlDocument, ReadsKyamlAndJson) {
  const char* kyaml =
      "---\n{\n  # a comment\n  kind: \"Pod\",\n  metadata: {\n    name: \"x\", },\n  list: [ 1, "
      "2, ],\n}\n";
  EXPECT_EQ(one(kyaml).dump(), R"({"kind":"Pod","list":[1,2],"metadata":{"name":"x"}})");
  EXPECT_EQ(one("{\n\t\"a\": \"x\\/y\",\n\t\"b\": [true, null, 1.5]\n}").dump(),
            R"({"a":"x/y","b":[true,null,1.5]})");
  EXPECT_EQ(one(R"({"a": "\ud83d\ude00", "b": "\\ud83d\\ude00"})")["a"], "\xf0\x9f\x98\x80");
  EXPECT_EQ(one(R"({"a": "\ud83d\ude00", "b": "\\ud83d\\ude00"})")["b"], "\\ud83d\\ude00");
}

TEST(YamlDocument, KnowsWhereEverythingIs) {
  const Documents documents = read("spec:\n  list:\n  - name: a\n  - {name: b, flex: {x: 1}}\n");
  const PositionTree& tree = documents.documents[0].positions;
  FieldPath path;
  path.push_key("spec");
  path.push_key("list");
  path.push_index(1);
  path.push_key("flex");
  ASSERT_NE(tree.find(path), nullptr);
  EXPECT_EQ(tree.find(path)->key, (Position{4, 15}));
  EXPECT_EQ(tree.find(path)->value, (Position{4, 21}));
  path.push_key("absent");
  EXPECT_EQ(tree.find(path), nullptr);
  EXPECT_EQ(tree.nearest(path).key, (Position{4, 15}));
  EXPECT_EQ(path.text(), "spec.list[1].flex.absent");
}

TEST(YamlDocument, AliasesAndMergesAreExpanded) {
  EXPECT_EQ(one("a: &x {p: 1}\nb: *x\nc:\n  <<: *x\n  q: 2\n")["c"].dump(), R"({"p":1,"q":2})");
  EXPECT_EQ(one("a: &x {p: 1}\nb: &y {p: 2, r: 3}\nc: {<<: [*x, *y], r: 4}\n")["c"].dump(),
            R"({"p":1,"r":4})");
  EXPECT_EQ(one("a: &x b\n*x : c\n")["b"], "c");
  EXPECT_EQ(one("a: &x 1\nb: &x 2\nc: *x\n")["c"], 2);
  EXPECT_THAT(refused("a: *x\n"), StartsWith("app.yaml:1: alias *x has no anchor &x"));
  EXPECT_THAT(refused("a: &x 1\n---\nb: *x\n"), StartsWith("app.yaml:3: alias *x has no anchor"));
  EXPECT_THAT(refused("a: {<<: 1}\n"), HasSubstr("<< wants a mapping"));
}

TEST(YamlDocument, CyclesAreRefused) {
  EXPECT_THAT(refused("a: &x\n  b: [*x]\n"),
              StartsWith("app.yaml:2: alias *x stands inside of what it names"));
  EXPECT_THAT(refused("&x [*x]\n"), HasSubstr("a cycle"));
  EXPECT_THAT(refused("a: &x\n  <<: *x\n"), HasSubstr("a cycle"));
}

TEST(YamlDocument, DuplicateKeysAreAllNamedWithBothLines) {
  const Documents documents = read("a: 1\nb:\n  c: 1\n  c: 2\na: 3\n");
  EXPECT_EQ(describe(documents.problems),
            "app.yaml:4: b.c appears twice; first in line 3\napp.yaml:5: a appears twice; first in "
            "line 1");
  EXPECT_EQ(describe(read("{a: 1, 'a': 2}").problems),
            "app.yaml:1: a appears twice; first in line 1");
}

TEST(YamlDocument, SyntaxErrorsNameTheLineAndWhatToDo) {
  EXPECT_THAT(refused("a: 1\n\tb: 2\n"), HasSubstr("hint: indent with spaces"));
  EXPECT_THAT(refused("a: 1\n\tb: 2\n"), StartsWith("app.yaml:2: "));
  EXPECT_THAT(refused("a:\n  b: 1\n c: 2\n"), StartsWith("app.yaml:3: "));
  EXPECT_THAT(refused("a: b: c\n"), HasSubstr("hint: quote a text that holds"));
  EXPECT_THAT(refused("a: 'x\nb: y\n"), HasSubstr("it begins in line 1"));
  EXPECT_THAT(refused("a: 1\nb: \xff\n"), HasSubstr("UTF-8"));
  EXPECT_THAT(refused("a: 1\nb: \xff\n"), StartsWith("app.yaml:2: "));
  EXPECT_THAT(refused("a: @x"), HasSubstr("quote"));
  EXPECT_THAT(refused(std::string("a: \0b", 5)), StartsWith("app.yaml:1: control characters"));
}

TEST(YamlDocument, WhatStandsBeforeASyntaxErrorIsKept) {
  const Documents documents = read("a: 1\n---\nb: [\n");
  EXPECT_EQ(documents.documents.size(), 1u);
  EXPECT_EQ(documents.problems.size(), 1u);
}

TEST(YamlLimits, TenMegabytesOfNestingAreRefusedAtOnce) {
  const std::size_t size = 10u << 20;
  for (const std::string_view unit :
       {"[", "{", "- ", "? ", "[{a: ", "a:\n ", "- - [", "!!seq [", "&a ["}) {
    std::string text;
    while (text.size() + unit.size() <= size) text += unit;
    EXPECT_THAT(refused(text), HasSubstr("app.yaml:")) << unit;
  }
  EXPECT_THAT(refused(std::string(size, '[')), HasSubstr("nested deeper than 100 levels"));
  EXPECT_THAT(refused(std::string(size + 1, 'a')), HasSubstr("at most 10485760"));
}

TEST(YamlLimits, AliasBombsAreCountedBeforeTheyAreBuilt) {
  std::string laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 12; ++i) {
    laughs += fmt::format("a{}: &a{} [", i, i);
    for (int j = 0; j < 10; ++j) laughs += fmt::format("*a{},", i - 1);
    laughs += "]\n";
  }
  EXPECT_THAT(refused(laughs), HasSubstr("more than 100000 values with aliases expanded"));
  std::string large = "a: &a " + std::string(1 << 20, 'x') + "\nb: [";
  for (int i = 0; i < 1000; ++i) large += "*a,";
  EXPECT_THAT(refused(large + "]\n"), HasSubstr("bytes with aliases expanded"));
  std::string merges = "m0: &m0 {a: 1}\n";
  for (int i = 1; i < 200; ++i)
    merges += fmt::format("m{}: &m{} {{<<: [*m{}, *m{}]}}\n", i, i, i - 1, i - 1);
  EXPECT_THAT(refused(merges), HasSubstr("with aliases expanded"));
  std::string lists = "s0: &s0 [{a: 1}]\n";
  for (int i = 1; i < 90; ++i) lists += fmt::format("s{}: &s{} [*s{}, *s{}]\n", i, i, i - 1, i - 1);
  EXPECT_THAT(refused("m: {<<: *s80}\n" + lists), HasSubstr("has no anchor"));
  EXPECT_THAT(refused(lists + "m: {<<: *s80}\n"), HasSubstr("with aliases expanded"));
  std::string deep = "d0: &d0 [x]\n";
  for (int i = 1; i < 150; ++i) deep += fmt::format("d{}: &d{} [*d{}]\n", i, i, i - 1);
  EXPECT_THAT(refused(deep), HasSubstr("nested deeper than 100 levels with aliases"));
}

TEST(YamlLimits, ManyValuesAreRefused) {
  std::string text = "[";
  for (int i = 0; i < 200'000; ++i) text += "1,";
  EXPECT_THAT(refused(text), HasSubstr("more than 100000 values"));
}

TEST(ReadJson, IsBounded) {
  EXPECT_EQ(read_json(R"({"a": [1, {"b": null}], "c": "x"})")->dump(),
            R"({"a":[1,{"b":null}],"c":"x"})");
  EXPECT_EQ(read_json(std::string(10u << 20, '[')).error().code, base::Errc::ResourceExhausted);
  EXPECT_THAT(read_json(R"({"a": 1, "a": 2})").error().message, HasSubstr("appears twice"));
  EXPECT_THAT(read_json("{").error().message, HasSubstr("not JSON"));
  EXPECT_FALSE(read_json("{} {}"));
  EXPECT_FALSE(read_json(""));
}

}  // namespace
}  // namespace nexus::manifest
