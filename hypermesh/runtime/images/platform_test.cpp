#include "runtime/images/platform.hpp"

#include <gtest/gtest.h>

namespace hypermesh {
namespace {

std::optional<std::size_t> select(std::string_view host, const std::vector<std::string>& entries) {
  std::vector<std::optional<Platform>> platforms;
  for (const auto& text : entries)
    platforms.push_back(text.empty() ? std::nullopt : std::optional(*parse_platform(text)));
  return select_platform(*parse_platform(host), platforms);
}

TEST(Platform, TheClosestVariantThatRunsIsTaken) {
  EXPECT_EQ(select("linux/amd64", {"linux/arm64", "linux/amd64"}), 1u);
  EXPECT_EQ(select("linux/amd64", {"linux/amd64/v3", "linux/amd64"}), 1u);
  EXPECT_EQ(select("linux/amd64/v3",
                   {"linux/amd64", "linux/amd64/v2", "linux/amd64/v3", "linux/amd64/v4"}),
            2u);
  EXPECT_EQ(select("linux/arm/v7", {"linux/arm/v5", "linux/arm/v6"}), 1u);
  EXPECT_EQ(select("linux/arm/v6", {"linux/arm/v7", "linux/arm/v5"}), 1u);
  EXPECT_EQ(select("linux/arm64", {"linux/arm64/v8"}), 0u);
  EXPECT_EQ(select("linux/arm64/v8", {"", "linux/arm64"}), 1u);
  EXPECT_EQ(select("linux/amd64", {"windows/amd64", "linux/386", ""}), std::nullopt);
  EXPECT_EQ(select("linux/amd64", {"linux/amd64/v2"}), std::nullopt);
  EXPECT_EQ(select("linux/amd64", {"linux/amd64", "linux/amd64"}), 0u);
}

TEST(Platform, TextIsReadAndWritten) {
  for (const char* text : {"linux/amd64", "linux/arm/v7"})
    EXPECT_EQ(parse_platform(text)->text(), text);
  for (const char* text : {"", "linux", "linux/", "/amd64", "linux/arm/v7/x"})
    EXPECT_FALSE(parse_platform(text)) << text;
}

}  // namespace
}  // namespace hypermesh
