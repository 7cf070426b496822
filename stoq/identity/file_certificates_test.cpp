#include "identity/file_certificates.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>

#include "identity/testing/test_authority.hpp"

namespace stoq {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
using testing::TestAuthority;

class FileCertificatesTest : public ::testing::Test {
 protected:
  FileCertificatesTest() {
    std::string name = (std::filesystem::temp_directory_path() / "certificates-XXXXXX").string();
    folder_ = mkdtemp(name.data());
  }
  ~FileCertificatesTest() override { std::filesystem::remove_all(folder_); }

  // As whoever renews certificates should: by renaming.
  void put(const std::string& name, const std::string& text, mode_t mode = 0600) {
    const auto next = folder_ / (name + ".new");
    std::ofstream(next) << text;
    chmod(next.c_str(), mode);
    std::filesystem::rename(next, folder_ / name);
  }
  void put(const TestAuthority::Leaf& leaf) {
    put("authority.pem", authority_.pem(), 0644);
    put("certificate.pem", leaf.pem(), 0644);
    put("key.pem", leaf.key_pem());
  }
  TestAuthority::Leaf issue(base::Duration life = 24h) {
    return authority_.issue(node_, now_ - 1h, now_ + life);
  }
  std::string problem() {
    const auto opened = FileCertificates::open(folder_, node_, now_);
    return opened ? "none" : opened.error().describe();
  }

  const base::WallTime now_ = *base::parse_rfc3339("2026-11-21T12:00:00Z");
  const NodeId node_{base::sha256(base::as_bytes("a node"))};
  const TestAuthority authority_{now_ - 24h, now_ + 1000h};
  std::filesystem::path folder_;
};

TEST_F(FileCertificatesTest, ShowsWhatTheFolderHolds) {
  const auto leaf = issue();
  put(leaf);
  auto files = FileCertificates::open(folder_, node_, now_);
  ASSERT_TRUE(files) << files.error().describe();
  const auto chain = *(*files)->current(now_);
  EXPECT_EQ(chain->certificates, std::vector<base::Bytes>{leaf.der()});
  EXPECT_EQ(base::to_hex(chain->private_key.view()), base::to_hex(leaf.key_der()));
  EXPECT_EQ(**(*files)->authorities(now_), Authorities{authority_.der()});
}

TEST_F(FileCertificatesTest, SaysWhatIsMissingOrDoesNotFit) {
  const auto leaf = issue();
  EXPECT_THAT(problem(), HasSubstr("authority.pem"));
  put("authority.pem", authority_.pem());
  EXPECT_THAT(problem(), HasSubstr("certificate.pem"));
  put("certificate.pem", leaf.pem());
  EXPECT_THAT(problem(), HasSubstr("key.pem: is missing"));
  put("key.pem", issue().key_pem());
  EXPECT_THAT(problem(), HasSubstr("is not that of"));
  put("key.pem", "garbage");
  EXPECT_THAT(problem(), HasSubstr("no private key in PEM"));
  put("key.pem", leaf.key_pem(), 0644);
  EXPECT_THAT(problem(), HasSubstr("key.pem"));
  put("key.pem", leaf.key_pem());
  EXPECT_EQ(problem(), "none");

  put("certificate.pem", "-----BEGIN CERTIFICATE-----\n");
  EXPECT_THAT(problem(), HasSubstr("holds no certificate"));
  const auto other = authority_.issue(NodeId{}, now_ - 1h, now_ + 24h);
  put(other);
  EXPECT_THAT(problem(), HasSubstr("is of the node"));
  const auto old = authority_.issue(node_, now_ - 48h, now_ - 24h);
  put(old);
  EXPECT_THAT(problem(), HasSubstr("expired at"));
  put(issue());
  put("authority.pem", TestAuthority(now_ - 1h, now_ + 1h).pem());
  EXPECT_THAT(problem(), HasSubstr("does not vouch"));
  put(authority_.issue({.names = TestAuthority::node_uri(node_),
                        .from = now_ - 1h,
                        .until = now_ + 1h,
                        .ed25519 = false}));
  EXPECT_THAT(problem(), HasSubstr("Ed25519 only"));
  put("certificate.pem", std::string(200'000, 'x'));
  EXPECT_THAT(problem(), HasSubstr("certificate.pem"));
}

TEST_F(FileCertificatesTest, ReplacedFilesAreUsedFromTheNextLookOn) {
  put(issue());
  const auto files = *FileCertificates::open(folder_, node_, now_);
  const auto first = *files->current(now_);
  const auto renewed = issue(48h);
  put(renewed);
  EXPECT_EQ(*files->current(now_ + 4s), first);
  const auto second = *files->current(now_ + 5s);
  EXPECT_EQ(second->certificates.front(), renewed.der());
  EXPECT_FALSE(files->problem());
  // Half of a change is not used; the other half mends it.
  const auto third = issue(72h);
  put("certificate.pem", third.pem());
  EXPECT_EQ(*files->current(now_ + 10s), second);
  ASSERT_TRUE(files->problem());
  EXPECT_THAT(files->problem()->message, HasSubstr("is not that of"));
  put("key.pem", third.key_pem());
  EXPECT_EQ((*files->current(now_ + 15s))->certificates.front(), third.der());
  EXPECT_FALSE(files->problem());
  // A clock that was set back looks again, and a folder that is gone takes nothing away.
  std::filesystem::remove_all(folder_);
  EXPECT_EQ((*files->current(now_))->certificates.front(), third.der());
  EXPECT_TRUE(files->problem());
}

}  // namespace
}  // namespace stoq
