#include "identity/authority.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "identity/testing/test_authority.hpp"

namespace stoq {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
using testing::TestAuthority;

class AuthorityTest : public ::testing::Test, public AuthoritySource {
 protected:
  base::Result<std::shared_ptr<const Authorities>> authorities(base::WallTime) override {
    return trusted_;
  }
  void trust(const TestAuthority& authority) {
    trusted_ = std::make_shared<const Authorities>(Authorities{authority.der()});
  }
  base::Result<NodeId> verify(const std::vector<base::Bytes>& chain, base::WallTime now) {
    const std::vector<base::BytesView> views(chain.begin(), chain.end());
    return verifier_.verify(views, now);
  }
  std::string reason(const std::vector<base::Bytes>& chain, base::WallTime now) {
    const auto node = verify(chain, now);
    if (node) return "accepted";
    EXPECT_EQ(node.error().code, base::Errc::NotVerified);
    return node.error().message;
  }

  const base::WallTime now_ = *base::parse_rfc3339("2026-11-21T12:00:00Z");
  const NodeId node_{base::sha256(base::as_bytes("a node"))};
  std::shared_ptr<const Authorities> trusted_;
  AuthorityVerifier verifier_{*this};
  TestAuthority authority_{now_ - 24h, now_ + 1000h};
};

TEST_F(AuthorityTest, WhomTheAuthorityNamesIsWhoItIs) {
  trust(authority_);
  const auto leaf = authority_.issue(node_, now_ - 1h, now_ + 24h);
  for (int again = 0; again < 2; ++again) {
    const auto node = verify({leaf.der()}, now_);
    ASSERT_TRUE(node) << node.error().describe();
    EXPECT_EQ(*node, node_);
  }
  EXPECT_EQ(verifier_.remembered(), 1u);
  // An authority of another kind of key.
  const TestAuthority other(now_ - 24h, now_ + 1000h, false);
  trust(other);
  EXPECT_EQ(*verify({other.issue(node_, now_ - 1h, now_ + 24h).der()}, now_), node_);
  // Those whom the first vouched for are forgotten with it.
  EXPECT_THAT(reason({leaf.der()}, now_), HasSubstr("does not vouch"));
  EXPECT_EQ(verifier_.remembered(), 1u);
}

TEST_F(AuthorityTest, AuthoritiesBetweenAreFollowed) {
  trust(authority_);
  const auto between = authority_.issue({.from = now_ - 1h, .until = now_ + 5h, .authority = true});
  const auto leaf = TestAuthority::issue_below(
      between, {.names = TestAuthority::node_uri(node_), .from = now_ - 1h, .until = now_ + 24h});
  EXPECT_THAT(reason({leaf.der()}, now_), HasSubstr("does not vouch"));
  EXPECT_EQ(*verify({leaf.der(), between.der()}, now_), node_);
  // The chain holds as long as its shortest part, also when it is remembered.
  EXPECT_THAT(reason({leaf.der(), between.der()}, now_ + 6h), HasSubstr("expired at"));
  // A leaf is no authority.
  const auto below = TestAuthority::issue_below(
      leaf, {.names = TestAuthority::node_uri(node_), .from = now_ - 1h, .until = now_ + 24h});
  EXPECT_THAT(reason({below.der(), leaf.der(), between.der()}, now_), HasSubstr("does not vouch"));
}

TEST_F(AuthorityTest, TheReasonOfARefusalIsNamed) {
  trust(authority_);
  const auto from = now_ - 1h, until = now_ + 24h;
  const auto names = TestAuthority::node_uri(node_);
  const auto leaf = authority_.issue(node_, from, until);
  EXPECT_THAT(reason({}, now_), HasSubstr("no certificate"));
  EXPECT_THAT(reason({leaf.der()}, now_ + 25h), HasSubstr("expired at 2026-11-22T12:00:00Z"));
  EXPECT_THAT(reason({leaf.der()}, now_ - 2h), HasSubstr("valid from"));
  EXPECT_THAT(reason({authority_.issue({.from = from, .until = until}).der()}, now_),
              HasSubstr("names no node"));
  EXPECT_THAT(
      reason({authority_.issue({.names = names + "," + names, .from = from, .until = until}).der()},
             now_),
      HasSubstr("more than one node"));
  EXPECT_THAT(
      reason({authority_.issue({.names = "URI:urn:hypermesh:node:me", .from = from, .until = until})
                  .der()},
             now_),
      HasSubstr("a node that is none"));
  for (const char* usage : {"serverAuth", "clientAuth", "codeSigning"}) {
    EXPECT_THAT(
        reason({authority_.issue({.names = names, .from = from, .until = until, .usage = usage})
                    .der()},
               now_),
        HasSubstr("purpose"))
        << usage;
  }
  const TestAuthority stranger(now_ - 24h, now_ + 1000h);
  EXPECT_THAT(reason({stranger.issue(node_, from, until).der()}, now_),
              HasSubstr("does not vouch"));
  // Nor when the stranger's authority comes along.
  EXPECT_THAT(reason({stranger.issue(node_, from, until).der(), stranger.der()}, now_),
              HasSubstr("does not vouch"));
  EXPECT_THAT(reason(std::vector<base::Bytes>(6, authority_.issue(node_, from, until).der()), now_),
              HasSubstr("6 certificates; at most 5"));
  EXPECT_THAT(reason({base::Bytes(20'000)}, now_), HasSubstr("at most 16384"));
  EXPECT_THAT(reason({base::Bytes(100)}, now_), HasSubstr("not X.509"));

  struct Some final : RevocationCheck {
    bool revoked(const NodeId& node) override { return node == bad; }
    NodeId bad;
  } some;
  AuthorityVerifier strict(*this, &some);
  const auto der = leaf.der();
  const base::BytesView view(der);
  EXPECT_TRUE(strict.verify({&view, 1}, now_));
  some.bad = node_;
  EXPECT_THAT(strict.verify({&view, 1}, now_).error().message, HasSubstr("is revoked"));
}

TEST_F(AuthorityTest, AChangedCertificateProvesNothing) {
  trust(authority_);
  const auto der = authority_.issue(node_, now_ - 1h, now_ + 24h).der();
  base::SeededRng rng(5);
  for (std::size_t at = 0; at < der.size(); ++at) {
    auto changed = der;
    changed[at] ^= 1 << rng.below(8);
    EXPECT_FALSE(verify({changed}, now_)) << at;
    changed = der;
    changed.resize(at);
    EXPECT_FALSE(verify({changed}, now_)) << at;
  }
}

TEST_F(AuthorityTest, RemembersABoundedNumberOfLeaves) {
  trust(authority_);
  AuthorityVerifier small(*this, nullptr, 4);
  for (int i = 0; i < 20; ++i) {
    const auto der = authority_.issue(node_, now_ - 1h, now_ + 24h).der();
    const base::BytesView view(der);
    EXPECT_TRUE(small.verify({&view, 1}, now_));
  }
  EXPECT_EQ(small.remembered(), 4u);
}

}  // namespace
}  // namespace stoq
