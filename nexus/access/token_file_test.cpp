#include "access/token_file.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <base/file.hpp>

namespace nexus {
namespace {

class TokenFile : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "hm-token-XXXXXX").string();
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::filesystem::path folder_;
  base::SystemRng rng_;
};

TEST_F(TokenFile, IsMadeOnceForItsOwnerAlone) {
  const auto path = folder_ / "token";
  ASSERT_TRUE(open_token_file(path, rng_));
  struct stat info{};
  ASSERT_EQ(stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  const auto content = base::read_private_file(path, 1024);
  ASSERT_TRUE(content && *content);
  const std::string token = (*content)->substr(0, (*content)->find(' '));
  EXPECT_GE(token.size(), 50u);
  const auto again = open_token_file(path, rng_);
  ASSERT_TRUE(again);
  EXPECT_EQ(again->find(token)->role, Role::Admin);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder_), {}), 1);
}

TEST_F(TokenFile, IsRefusedWhenOthersCanReadIt) {
  const auto path = folder_ / "token";
  ASSERT_TRUE(base::write_private_file(path, "x"));
  ASSERT_EQ(chmod(path.c_str(), 0644), 0);
  const auto table = open_token_file(path, rng_);
  ASSERT_FALSE(table);
  EXPECT_EQ(table.error().code, base::Errc::FailedPrecondition);
  EXPECT_FALSE(table.error().hints.empty());
}

}  // namespace
}  // namespace nexus
