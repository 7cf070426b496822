#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <base/config/effective.hpp>
#include <base/nearest.hpp>
#include <nlohmann/json.hpp>

namespace base::config {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;

const std::vector<Layer>& layers() {
  static const std::vector<Layer> kLayers = [] {
    Layer low;
    low.name = "low";
    low.keys = {choice("mode", {{"member", {}}, {"alone", {}}}, "member", "How it runs.")};
    low.sections = {
        Section{"wire",
                "The wire.",
                "protocol",
                {choice("protocol", {{"quic", {}}}, "quic", "Protocol."),
                 flag("enabled", true, "On."), duration("rotation", 24h, 1min, 8760h, "Rotation."),
                 integer("connections_max", 100, 1, 100'000, "Limit."),
                 endpoint("bind", "[::]:9292", "Address.")}},
        Section{"chunks",
                "Chunks.",
                "",
                {size("min_size", 4096, 64, 1 << 20, "Smallest."),
                 size("max_size", 1 << 20, 64, 1 << 30, "Largest."),
                 unbuilt(text_list("peers", {}, "Peers."), "peer exchange")}},
    };
    low.rules = [](const Effective& effective, std::vector<Problem>& problems) {
      if (effective.size("low.chunks.min_size") > effective.size("low.chunks.max_size")) {
        problems.push_back({Problem::Severity::Error, effective.at("low.chunks.min_size").origin,
                            "low.chunks.min_size", "is above max_size"});
      }
    };
    Layer high;
    high.name = "high";
    high.sections = {
        Section{"votes",
                "Votes.",
                "algorithm",
                {choice("algorithm", {{"pbft", {}}, {"raft", {"raft_x"}}}, "pbft", "Algorithm.")}}};
    return std::vector{low, high};
  }();
  return kLayers;
}

Loaded load_text(std::string_view text, Format format = Format::Yaml,
                 const Environment& environment = {}) {
  auto value = parse_text(text, format, format == Format::Yaml ? "f.yaml" : "f.toml");
  EXPECT_TRUE(value) << value.error().message;
  return load(layers(), {*value}, environment);
}

std::vector<std::string> lines(const Loaded& loaded) {
  std::vector<std::string> lines;
  for (const Problem& problem : loaded.problems) lines.push_back(to_line(problem));
  return lines;
}

TEST(Config, DefaultsAreInForceWhereNothingIsSaid) {
  const Loaded loaded = load(layers(), {}, {});
  EXPECT_TRUE(loaded.ok());
  EXPECT_EQ(loaded.effective.duration("low.wire.rotation"), 24h);
  EXPECT_EQ(loaded.effective.text("high.votes.algorithm"), "pbft");
  EXPECT_FALSE(loaded.effective.at("low.mode").given());
}

TEST(Config, SectionsAtTheTopAndBelowTheirLayerMeanTheSame) {
  const Loaded top = load_text("wire:\n  rotation: 100ms\n");
  EXPECT_THAT(
      lines(top),
      ElementsAre(HasSubstr("f.yaml:2  low.wire.rotation  is \"100ms\"; want at least 60s")));
  EXPECT_EQ(load_text("wire: {rotation: 2h}").effective.duration("low.wire.rotation"), 2h);
  EXPECT_EQ(load_text("low: {wire: {rotation: 2h}}").effective.duration("low.wire.rotation"), 2h);
  EXPECT_EQ(load_text("[wire]\nrotation = \"2h\"\n", Format::Toml)
                .effective.duration("low.wire.rotation"),
            2h);
}

TEST(Config, ScalarsExpandToTheSectionsTheyStandFor) {
  EXPECT_EQ(load_text("wire: quic").effective.text("low.wire.protocol"), "quic");
  EXPECT_FALSE(load_text("wire: disabled").effective.flag("low.wire.enabled"));
  EXPECT_EQ(load_text("high: {votes: raft_x}").effective.text("high.votes.algorithm"), "raft");
  EXPECT_THAT(lines(load_text("chunks: big")), ElementsAre(HasSubstr("want a section")));
}

TEST(Config, EveryProblemIsToldWithItsPlaceAndTheNearestKey) {
  const Loaded loaded = load_text(
      "mode: alnoe\nwire:\n  rotaton: 5s\n  connections_max: many\n  bind: 9292\nchunk: {}\n");
  EXPECT_FALSE(loaded.ok());
  EXPECT_THAT(
      lines(loaded),
      ElementsAre("f.yaml:1  low.mode  \"alnoe\" is unknown; want one of member, alone; did you "
                  "mean alone?  error",
                  "f.yaml:3  low.wire.rotaton  unknown key; did you mean low.wire.rotation?  error",
                  "f.yaml:4  low.wire.connections_max  is \"many\"; want a whole number  error",
                  HasSubstr("f.yaml:5  low.wire.bind  \"9292\" is not an address with a port"),
                  "f.yaml:6  chunk  unknown key; did you mean chunks?  error"));
  EXPECT_EQ(require_valid(loaded).error().code, Errc::InvalidArgument);
}

TEST(Config, RulesBetweenKeysHold) {
  EXPECT_THAT(lines(load_text("chunks:\n  min_size: 512KB\n  max_size: 4KB\n")),
              ElementsAre(HasSubstr("f.yaml:2  low.chunks.min_size")));
}

TEST(Config, TheEnvironmentOverridesTheFile) {
  const Loaded loaded = load_text(
      "wire: {connections_max: 5}", Format::Yaml,
      {{"LOW_WIRE__CONNECTIONS_MAX", "77"}, {"LOW_MODE", "alone"}, {"LOW_CHUNKS__PEERS", "a,b"}});
  EXPECT_EQ(loaded.effective.integer("low.wire.connections_max"), 77);
  EXPECT_EQ(loaded.effective.text("low.mode"), "alone");
  EXPECT_THAT(loaded.effective.list("low.chunks.peers"), ElementsAre("a", "b"));
  EXPECT_EQ(loaded.effective.at("low.mode").origin.describe(), "env LOW_MODE");
  EXPECT_THAT(loaded.effective.without_effect(), ElementsAre("low.chunks.peers (peer exchange)"));
  EXPECT_THAT(lines(load(layers(), {}, {{"LOW_WIRE__CONNECTIONS_MAX", "no"}})),
              ElementsAre(HasSubstr("env LOW_WIRE__CONNECTIONS_MAX")));
}

TEST(Config, AVariableThatIsMeantForUsAndNamesNoKeyIsRefused) {
  EXPECT_THAT(
      lines(load(layers(), {},
                 {{"LOW_CHUNK__MIN_SIZE", "4096"},
                  {"LOW_MODES", "alone"},
                  {"LOW_WIRE_BIND", "[::]:1"},
                  {"LOW_WIRE__CONNECTION_MAX", "5"},
                  {"LOW_XY__Z", "1"}})),
      ElementsAre(
          "env LOW_CHUNK__MIN_SIZE  low.chunk.min_size  unknown key; did you mean "
          "LOW_CHUNKS__MIN_SIZE?  error",
          "env LOW_MODES  low.modes  unknown key; did you mean LOW_MODE?  error",
          "env LOW_WIRE_BIND  low.wire_bind  unknown key; did you mean LOW_WIRE__BIND?  error",
          "env LOW_WIRE__CONNECTION_MAX  low.wire.connection_max  unknown key; did you mean "
          "LOW_WIRE__CONNECTIONS_MAX?  error",
          HasSubstr("env LOW_XY__Z  low.xy.z  unknown key")));
}

TEST(Config, OtherVariablesWithALayersPrefixAreNoneOfOurs) {
  EXPECT_TRUE(load(layers(), {},
                   {{"LOW_SERVICE_HOST", "10.0.0.1"},
                    {"LOW_PORT_80_TCP", "tcp://10.0.0.1:80"},
                    {"LOW_HOME", "/srv"},
                    {"LOWER_WIRE__BIND", "x"},
                    {"LOW", "x"},
                    {"PATH", "/bin"}})
                  .ok());
}

TEST(Config, WhatAllLayersShareKnowsNothingOfALayerOfThatName) {
  Layer shared;
  shared.keys = {text("data_directory", "", "Where.")};
  const std::vector layers{shared};
  EXPECT_TRUE(load(layers, {}, {{"HYPERMESH_STORAGE__FSYNC", "true"}}).ok());
  EXPECT_THAT(lines(load(layers, {}, {{"HYPERMESH_DATA_DIRECTRY", "/srv"}})),
              ElementsAre(HasSubstr("did you mean HYPERMESH_DATA_DIRECTORY?")));
}

TEST(Config, AllFeaturesSwitchesOnWhatNobodySwitched) {
  Layer layer;
  layer.name = "low";
  layer.keys = {flag("all_features", false, "All.")};
  layer.sections = {Section{"a", "A.", "", {flag("enabled", false, "On.")}},
                    Section{"b", "B.", "", {flag("enabled", false, "On.")}}};
  const std::vector layers{layer};
  const Loaded loaded =
      load(layers,
           {*parse_text("low: {all_features: true, b: {enabled: false}}", Format::Yaml, "f")}, {});
  EXPECT_TRUE(loaded.effective.flag("low.a.enabled"));
  EXPECT_FALSE(loaded.effective.flag("low.b.enabled"));
}

TEST(Config, ShowsDurationsInSecondsAndSizesInBytes) {
  const auto top = nlohmann::json::parse(
      load_text("wire: {rotation: 90m}\nchunks: {min_size: 4KB}").effective.to_json());
  EXPECT_EQ(top["wire"]["rotation"], 5400);
  EXPECT_EQ(top["chunks"]["min_size"], 4096);
  EXPECT_FALSE(top.contains("votes"));
  const auto layered =
      nlohmann::json::parse(load_text("low: {wire: quic}").effective.to_json(true));
  EXPECT_EQ(layered["low"]["wire"]["protocol"]["origin"], "f.yaml:1");
  EXPECT_EQ(layered["high"]["votes"]["algorithm"]["origin"], "default");
}

TEST(Config, UnitsAreExact) {
  EXPECT_EQ(parse_duration("100ms"), 100ms);
  EXPECT_EQ(parse_duration("1.5h"), 90min);
  EXPECT_EQ(parse_size("1TB"), 1ull << 40);
  EXPECT_EQ(parse_size("4 KiB"), 4096u);
  for (const char* bad : {"", "5", "-1s", "24 parsecs", "1e400h", "nan s", "99999999999d"})
    EXPECT_FALSE(parse_duration(bad)) << bad;
  for (const char* bad : {"", "x", "-1", "4 kb", "99999999TB"})
    EXPECT_FALSE(parse_size(bad)) << bad;
  EXPECT_EQ(parse_endpoint("[::]:8080")->port, 8080);
  for (const char* bad : {"", ":80", "[::]", "[::]:70000", "::1:80", "[127.0.0.1]:80", "host:80"})
    EXPECT_FALSE(parse_endpoint(bad)) << bad;
}

TEST(Config, BrokenFilesNameTheLine) {
  const auto message = [](std::string_view text, Format format = Format::Yaml) {
    auto parsed = parse_text(text, format, "f");
    return parsed ? std::string("accepted") : parsed.error().message;
  };
  EXPECT_THAT(message("a: 1\nb: [\n"), HasSubstr("f:"));
  EXPECT_THAT(message("a: 1\na: 2\n"),
              HasSubstr("f:2: a stands here a second time; the first is in line 1"));
  EXPECT_THAT(message("a: &x {b: 1}\nc: *x\n"), HasSubstr("f:2: aliases"));
  EXPECT_THAT(message("a = 1\na = 2\n", Format::Toml), HasSubstr("f:2:"));
  EXPECT_THAT(message(std::string(1u << 19, '[')), HasSubstr("nested deeper"));
  EXPECT_THAT(message(std::string(1u << 19, '['), Format::Toml), HasSubstr("f:1"));
  EXPECT_THAT(message(std::string(kConfigBytesMax + 1, ' ')), HasSubstr("at most"));
  std::string deep;
  for (int i = 0; i < 40; ++i) deep += std::string(static_cast<std::size_t>(i), ' ') + "k:\n";
  EXPECT_THAT(message(deep + std::string(41, ' ') + "v: 1\n"), HasSubstr("nested deeper"));
}

TEST(Nearest, FindsTyposAndNothingElse) {
  const std::vector<std::string> words{"max_size", "min_size", "algorithm", "deploy"};
  EXPECT_EQ(nearest("max_sise", words), "max_size");
  EXPECT_EQ(nearest("deplyo", words), "deploy");
  EXPECT_EQ(nearest("colour", words), std::nullopt);
}

}  // namespace
}  // namespace base::config
