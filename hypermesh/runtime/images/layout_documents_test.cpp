#include "runtime/images/layout_documents.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace hypermesh {
namespace {

LayoutEntry entry(std::string name, char c) {
  return {Descriptor{.media_type = std::string(media_type::kOciManifest),
                     .digest = digest_of(std::string(1, c)),
                     .size = 1},
          std::move(name)};
}

TEST(LayoutDocuments, WhatWeWriteIsWhatWeRead) {
  Descriptor config{
      .media_type = std::string(media_type::kOciConfig), .digest = digest_of("c"), .size = 3};
  Descriptor layer{
      .media_type = std::string(media_type::kOciLayer), .digest = digest_of("l"), .size = 4};
  const std::string manifest = make_oci_manifest(config, {layer});
  const auto read = parse_manifest(manifest, media_type::kOciManifest, "m");
  ASSERT_TRUE(read) << read.error().describe();
  EXPECT_EQ(std::get<ImageManifest>(*read).layers.at(0).digest, layer.digest);

  Descriptor named{.media_type = std::string(media_type::kOciManifest),
                   .digest = digest_of(manifest),
                   .size = manifest.size(),
                   .platform = Platform{}};
  const auto entries = parse_layout_index(make_layout_index(named, *parse_reference("web:1")));
  ASSERT_TRUE(entries) << entries.error().describe();
  ASSERT_EQ(entries->size(), 1u);
  EXPECT_EQ((*entries)[0].name, "docker.io/library/web:1");
  EXPECT_EQ((*entries)[0].descriptor.digest, named.digest);
  EXPECT_TRUE(check_oci_layout(kOciLayoutDocument));
  EXPECT_FALSE(check_oci_layout(R"({"imageLayoutVersion":"2.0.0"})"));
}

TEST(LayoutDocuments, NamesOfEntries) {
  EXPECT_EQ(layout_reference(entry("", 'a'), "My App.tar")->text(), "localhost/my-app:latest");
  EXPECT_EQ(layout_reference(entry("1.27", 'a'), "web.tar.gz")->text(), "localhost/web:1.27");
  EXPECT_EQ(layout_reference(entry("web:1", 'a'), "x")->text(), "docker.io/library/web:1");
  EXPECT_EQ(layout_reference(entry("[::1]:5/web:1", 'a'), "x")->text(), "[::1]:5/web:1");
  EXPECT_FALSE(layout_reference(entry("web:1:2", 'a'), "x"));
}

TEST(LayoutDocuments, ChoosesWhatTheNameMeans) {
  const std::vector<LayoutEntry> two = {entry("1", 'a'), entry("web:2", 'b')};
  EXPECT_EQ(choose_layout_entries(two, "", "x")->size(), 2u);
  const auto first = choose_layout_entries(two, "new/name:1", "x");
  ASSERT_TRUE(first);
  ASSERT_EQ(first->size(), 1u);
  EXPECT_EQ((*first)[0].first.text(), "docker.io/new/name:1");
  EXPECT_EQ((*first)[0].second.digest, two[0].descriptor.digest);
  EXPECT_EQ((*choose_layout_entries(two, "web:2", "x"))[0].second.digest, two[1].descriptor.digest);
  EXPECT_FALSE(choose_layout_entries(two, "new/name:3", "x"));
  EXPECT_EQ((*choose_layout_entries({two[0]}, "any:9", "x"))[0].first.text(),
            "docker.io/library/any:9");
}

TEST(LayoutDocuments, ReadsWhatDockerSaveWrites) {
  const auto entries = parse_docker_archive(
      R"([{"Config":"abc.json","RepoTags":["web:1"],"Layers":["l1/layer.tar","l2/layer.tar"]},
      {"Config":"d.json","RepoTags":null,"Layers":[]}])");
  ASSERT_TRUE(entries) << entries.error().describe();
  EXPECT_EQ((*entries)[0].layer_paths.size(), 2u);
  EXPECT_TRUE((*entries)[1].tags.empty());
  for (const char* bad : {"{}", "[]", "[{}]", "[1]", R"([{"Config":1}])"})
    EXPECT_FALSE(parse_docker_archive(bad)) << bad;
}

}  // namespace
}  // namespace hypermesh
