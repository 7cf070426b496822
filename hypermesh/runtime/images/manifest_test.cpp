#include "runtime/images/manifest.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "runtime/images/bounded_json.hpp"

namespace hypermesh {
namespace {

std::string digest(char c) {
  return "sha256:" + std::string(64, c);
}
std::string descriptor(std::string_view type, char c, std::string_view more = "") {
  return fmt::format(R"({{"mediaType":"{}","digest":"{}","size":7{}}})", type, digest(c), more);
}
std::string manifest(std::string_view head, std::string_view config, std::string_view layers) {
  return fmt::format(R"({{"schemaVersion":2,{}"config":{},"layers":[{}]}})", head, config, layers);
}
const std::string kConfig = descriptor(media_type::kOciConfig, 'c');
const std::string kLayer = descriptor(media_type::kOciLayerGzip, 'a');

TEST(Manifest, ReadsOciAndDocker) {
  const auto oci = parse_manifest(
      manifest("", kConfig, kLayer + "," + descriptor(media_type::kOciLayerZstd, 'b')),
      media_type::kOciManifest, "m");
  ASSERT_TRUE(oci) << oci.error().describe();
  const auto& image = std::get<ImageManifest>(*oci);
  EXPECT_EQ(image.config.digest.text(), digest('c'));
  ASSERT_EQ(image.layers.size(), 2u);
  EXPECT_EQ(image.layers[1].media_type, media_type::kOciLayerZstd);
  EXPECT_EQ(image.layers[1].size, 7u);

  const auto docker =
      parse_manifest(manifest(fmt::format(R"("mediaType":"{}",)", media_type::kDockerManifest),
                              descriptor(media_type::kDockerConfig, 'c'),
                              descriptor(media_type::kDockerLayerGzip, 'a')),
                     "application/vnd.docker.distribution.manifest.v2+json; charset=utf-8", "m");
  ASSERT_TRUE(docker) << docker.error().describe();
}

TEST(Manifest, IndexGivesTheEntryOfThePlatform) {
  const std::string text =
      fmt::format(R"({{"schemaVersion":2,"manifests":[{},{},{}]}})",
                  descriptor(media_type::kOciManifest, 'a',
                             R"(,"platform":{"os":"linux","architecture":"arm64"})"),
                  descriptor(media_type::kOciManifest, 'b',
                             R"(,"platform":{"os":"linux","architecture":"amd64"})"),
                  descriptor(media_type::kOciManifest, 'd',
                             R"(,"platform":{"os":"unknown","architecture":"unknown"})"));
  const auto index = parse_manifest(text, "", "m");
  ASSERT_TRUE(index) << index.error().describe();
  const auto chosen = select_manifest(std::get<ImageIndex>(*index), Platform{}, "web:1");
  ASSERT_TRUE(chosen);
  EXPECT_EQ(chosen->digest.text(), digest('b'));
  const auto none =
      select_manifest(std::get<ImageIndex>(*index), Platform{"linux", "riscv64", ""}, "web:1");
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, base::Errc::NotFound);
  EXPECT_EQ(none.error().message,
            "web:1: there is no image for linux/riscv64; there are: linux/amd64, linux/arm64");
}

TEST(Manifest, MistakesAreNamed) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"", "it is not JSON"},
      {"{", "it is not JSON"},
      {"{}x", "it is not JSON"},
      {"[]", "must be an object"},
      {"{}", "schemaVersion is missing"},
      {R"({"schemaVersion":1})", "schemaVersion is 1"},
      {R"({"schemaVersion":"2"})", "must be a number"},
      {R"({"schemaVersion":2,"schemaVersion":2})", "is there twice"},
      {R"({"schemaVersion":2})", "config is missing"},
      {manifest("", "[]", kLayer), "config: found array; must be an object"},
      {manifest("", R"({"mediaType":"application/vnd.oci.image.config.v1+json"})", kLayer),
       "config.digest is missing"},
      {manifest("", descriptor("application/vnd.cncf.helm.config.v1+json", 'c'), kLayer),
       "not a container image"},
      {manifest("", kConfig, descriptor("application/x-tar", 'a')),
       "layers[0].mediaType is \"application/x-tar\""},
      {manifest("", kConfig, R"({"mediaType":"a/b","digest":"sha256:zz","size":1})"),
       "layers[0].digest is \"zz\" is not a SHA-256 digest"},
      {manifest("", kConfig,
                fmt::format(R"({{"mediaType":"a/b","digest":"{}","size":-1}})", digest('a'))),
       "layers[0].size must be a whole number"},
      {manifest("", kConfig,
                fmt::format(R"({{"mediaType":"a/b","digest":"{}","size":99999999999999}})",
                            digest('a'))),
       "layers[0].size is 99999999999999; at most"},
      {manifest("\"manifests\":[],", kConfig, kLayer), "it must be one kind"},
      {manifest(fmt::format("\"mediaType\":\"{}\",", media_type::kOciIndex), kConfig, kLayer),
       "but has the members of a manifest"},
      {manifest("\"mediaType\":\"text/plain\",", kConfig, kLayer), "which is no image"},
      {std::string(40, '['), "nested deeper"},
      {std::string(5u << 20, ' '), "at most"},
  };
  for (const auto& [text, why] : cases) {
    const auto parsed = parse_manifest(text, "", "m");
    ASSERT_FALSE(parsed) << text.substr(0, 200);
    EXPECT_NE(parsed.error().message.find(why), std::string::npos)
        << parsed.error().message << "\n  wanted: " << why;
  }
}

TEST(Manifest, WhatTheServerCallsItMustFit) {
  EXPECT_FALSE(parse_manifest(manifest("", kConfig, kLayer), media_type::kDockerList, "m"));
  EXPECT_TRUE(parse_manifest(manifest("", kConfig, kLayer), "application/octet-stream", "m"));
  const auto schema1 = parse_manifest(
      R"({"schemaVersion":2})", "application/vnd.docker.distribution.manifest.v1+prettyjws", "m");
  ASSERT_FALSE(schema1);
  EXPECT_EQ(schema1.error().code, base::Errc::Unsupported);
}

TEST(Manifest, TooManyLayersAreRefused) {
  std::string layers = kLayer;
  for (std::size_t i = 0; i < kLayersMax; ++i) layers += "," + kLayer;
  const auto parsed = parse_manifest(manifest("", kConfig, layers), "", "m");
  ASSERT_FALSE(parsed);
  EXPECT_NE(parsed.error().message.find("layers has 129 elements; at most 128"), std::string::npos)
      << parsed.error().message;
}

TEST(BoundedJson, ValuesAreCounted) {
  std::string many = "[0";
  for (int i = 0; i < 200; ++i) many += ",0";
  EXPECT_TRUE(parse_bounded_json(many + "]", "x", {.values_max = 300}));
  EXPECT_FALSE(parse_bounded_json(many + "]", "x", {.values_max = 100}));
}

}  // namespace
}  // namespace hypermesh
