#include "runtime/images/layer_path.hpp"

#include <gtest/gtest.h>

namespace hypermesh {
namespace {

using Kind = LayerPath::Kind;

TEST(LayerPath, NamesAreSortedIntoKinds) {
  const std::vector<std::tuple<std::string, Kind, std::string>> cases = {
      {"./", Kind::Root, "."},
      {".", Kind::Root, "."},
      {"a", Kind::Plain, "a"},
      {"./a//b/", Kind::Plain, "a/b"},
      {"a/.wh.b", Kind::Whiteout, "a/b"},
      {".wh.b", Kind::Whiteout, "b"},
      {"a/.wh..wh..opq", Kind::Opaque, "a"},
      {".wh..wh..opq", Kind::Opaque, "."},
      {".wh..wh.aufs", Kind::Ignored, "."},
      {".wh..wh.plnk/1.2", Kind::Ignored, ".wh..wh.plnk"},
      {"a/...", Kind::Plain, "a/..."},
      {"..a", Kind::Plain, "..a"},
      {".wh....", Kind::Whiteout, "..."},
  };
  for (const auto& [path, kind, text] : cases) {
    const auto parsed = parse_layer_path(path);
    ASSERT_TRUE(parsed) << path;
    EXPECT_EQ(parsed->kind, kind) << path;
    EXPECT_EQ(parsed->text(), text) << path;
  }
}

TEST(LayerPath, HostileNamesAreRefused) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"", "has no name"},
      {"/etc/passwd", "has an absolute name"},
      {"//x", "has an absolute name"},
      {"../x", "has \"..\""},
      {"a/../../x", "has \"..\""},
      {"a/..", "has \"..\""},
      {"./..", "has \"..\""},
      {"a/.wh.", "is a whiteout of nothing"},
      {"a/.wh..", "is a whiteout of nothing"},
      {"a/.wh...", "is a whiteout of nothing"},
      {".wh.x/y", "in a folder that is a whiteout"},
      {std::string("a\0b", 3), "NUL"},
      {std::string(300, 'x'), "has a part of 300 bytes; at most 255"},
      {std::string(5000, 'x'), "at most 4096"},
      {[] {
         std::string deep;
         for (int i = 0; i < 300; ++i) deep += "d/";
         return deep;
       }(),
       "deeper than 256"},
  };
  for (const auto& [path, why] : cases) {
    const auto parsed = parse_layer_path(path);
    ASSERT_FALSE(parsed) << path;
    EXPECT_NE(parsed.error().message.find(why), std::string::npos) << parsed.error().message;
  }
}

TEST(LayerPath, LinksOutOfTheRootAreRefused) {
  EXPECT_TRUE(check_symlink_target("a/b/l", 2, "../../x"));
  EXPECT_TRUE(check_symlink_target("l", 0, "/etc/passwd")) << "absolute means the container's root";
  EXPECT_TRUE(check_symlink_target("l", 0, "a/../b"));
  EXPECT_TRUE(check_symlink_target("l", 0, "."));
  EXPECT_FALSE(check_symlink_target("l", 0, ".."));
  EXPECT_FALSE(check_symlink_target("a/l", 1, "../../etc"));
  EXPECT_FALSE(check_symlink_target("l", 0, "a/../../b"));
  EXPECT_FALSE(check_symlink_target("l", 0, ""));
  EXPECT_FALSE(check_symlink_target("l", 0, std::string(5000, 'x')));
}

}  // namespace
}  // namespace hypermesh
