#include "identity/identity_file.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace stoq {
namespace {

class IdentityFileTest : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/identity-XXXXXX";
    folder_ = mkdtemp(name);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::string path() const { return folder_ + "/identity.key"; }

  std::string folder_;
  base::SystemRng rng_;
};

TEST_F(IdentityFileTest, IsMadeOnceAndKept) {
  const auto first = open_identity(path(), rng_);
  ASSERT_TRUE(first) << first.error().describe();
  const auto second = open_identity(path(), rng_);
  ASSERT_TRUE(second);
  EXPECT_EQ(first->id, second->id);
  struct stat info{};
  ASSERT_EQ(stat(path().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
}

TEST_F(IdentityFileTest, AnOpenOrBrokenFileIsRefused) {
  ASSERT_TRUE(open_identity(path(), rng_));
  chmod(path().c_str(), 0644);
  EXPECT_EQ(open_identity(path(), rng_).error().code, base::Errc::FailedPrecondition);
  std::ofstream(path()) << "nonsense";
  chmod(path().c_str(), 0600);
  EXPECT_EQ(open_identity(path(), rng_).error().code, base::Errc::DataLoss);
  EXPECT_EQ(open_identity("/nowhere/identity.key", rng_).error().code, base::Errc::NotFound);
}

}  // namespace
}  // namespace stoq
