#include "identity/leaf_certificate.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace stoq {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

class LeafCertificateTest : public testing::Test {
 protected:
  Identity make() { return Identity::generate(rng_); }
  static base::Result<NodeId> verify(IdentityVerifier& verifier, const CertificateChain& chain,
                                     base::WallTime now) {
    std::vector<base::BytesView> views(chain.certificates.begin(), chain.certificates.end());
    return verifier.verify(views, now);
  }

  base::SeededRng rng_{3};
  const base::WallTime now_ = *base::parse_rfc3339("2026-11-21T12:00:00Z");
  IdentityVerifier verifier_;
};

TEST_F(LeafCertificateTest, ProvesItsNode) {
  const Identity identity = make();
  const auto chain = issue_leaf(identity, rng_, now_, 24h);
  ASSERT_EQ(chain.certificates.size(), 1u);
  EXPECT_LT(chain.certificates[0].size(), 600u);
  for (int again = 0; again < 2; ++again) {
    const auto node = verify(verifier_, chain, now_ + 1h);
    ASSERT_TRUE(node) << node.error().describe();
    EXPECT_EQ(*node, identity.id);
  }
  EXPECT_EQ(verifier_.remembered(), 1u);
}

TEST_F(LeafCertificateTest, TheReasonOfARefusalIsNamed) {
  const Identity identity = make();
  const auto chain = issue_leaf(identity, rng_, now_, 24h);
  EXPECT_THAT(verify(verifier_, chain, now_ + 25h).error().message,
              HasSubstr("expired at 2026-11-22T12:00:00Z; it is 2026-11-22T13:00:00Z here"));
  EXPECT_THAT(verify(verifier_, chain, now_ - 1h).error().message, HasSubstr("valid from"));
  EXPECT_TRUE(verify(verifier_, chain, now_ - 4min));  // A clock that lags a little.
  EXPECT_THAT(verifier_.verify({}, now_).error().message, HasSubstr("no certificate"));

  struct Everyone final : RevocationCheck {
    bool revoked(const NodeId&) override { return true; }
  } everyone;
  IdentityVerifier strict(&everyone);
  EXPECT_THAT(verify(strict, chain, now_).error().message, HasSubstr("is revoked"));
}

// Whatever byte of a certificate is changed, it proves nobody else, and nothing crashes.
TEST_F(LeafCertificateTest, AChangedCertificateProvesNothing) {
  const Identity identity = make();
  const auto chain = issue_leaf(identity, rng_, now_, 24h);
  for (std::size_t at = 0; at < chain.certificates[0].size(); ++at) {
    base::Bytes changed = chain.certificates[0];
    changed[at] ^= 1 << rng_.below(8);
    const base::BytesView view(changed);
    const auto node = verifier_.verify({&view, 1}, now_);
    EXPECT_FALSE(node) << at;
    changed = chain.certificates[0];
    changed.resize(at);
    const base::BytesView cut(changed);
    EXPECT_FALSE(verifier_.verify({&cut, 1}, now_)) << at;
  }
}

// An attacker who holds a leaf's key can sign, but not as the leaf's node.
TEST_F(LeafCertificateTest, ALeafCannotIssue) {
  const Identity identity = make();
  const auto chain = issue_leaf(identity, rng_, now_, 24h);
  auto stolen = base::SigningKey::from_seed(chain.private_key.view().last(32));
  const NodeId stolen_id = NodeId::of(stolen->public_key());
  const Identity thief{*std::move(stolen), identity.id};
  EXPECT_EQ(*verify(verifier_, issue_leaf(thief, rng_, now_, 24h), now_), stolen_id);
}

TEST_F(LeafCertificateTest, IsRenewedAfterTwoThirdsOfItsLife) {
  const Identity identity = make();
  LeafRotation rotation(identity, rng_, 24h);
  const auto first = *rotation.current(now_);
  EXPECT_EQ(*rotation.current(now_ + 15h), first);
  const auto second = *rotation.current(now_ + 16h);
  EXPECT_NE(second, first);
  EXPECT_EQ(*verify(verifier_, *second, now_ + 39h), identity.id);
  EXPECT_NE(*rotation.current(now_), second);  // The clock was set back.
}

TEST_F(LeafCertificateTest, RemembersABoundedNumberOfLeaves) {
  IdentityVerifier small(nullptr, 8);
  const Identity identity = make();
  for (int i = 0; i < 50; ++i)
    EXPECT_TRUE(verify(small, issue_leaf(identity, rng_, now_, 1h), now_));
  EXPECT_EQ(small.remembered(), 8u);
}

}  // namespace
}  // namespace stoq
