#include "consensus/types.hpp"

#include <gtest/gtest.h>

namespace hypermesh::consensus {
namespace {

struct Cluster {
  explicit Cluster(std::size_t size) {
    for (std::size_t i = 0; i < size; ++i) {
      keys.push_back(base::SigningKey::generate(rng));
      voters.keys.push_back(keys.back().public_key());
    }
  }
  Vote vote(ReplicaId replica, const Statement& statement) const {
    return {statement, replica, keys[replica].sign(signed_bytes(id, statement))};
  }
  Certificate certificate(const Statement& statement, std::size_t count) const {
    Certificate made{statement, {}};
    for (std::size_t i = 0; i < count; ++i) {
      const auto replica = static_cast<ReplicaId>(i);
      made.signatures.emplace_back(replica, vote(replica, statement).signature);
    }
    return made;
  }

  base::SeededRng rng{1};
  ClusterId id = base::sha256("cluster");
  std::vector<base::SigningKey> keys;
  Voters voters;
};

TEST(Voters, TwoQuorumsShareAnHonestReplica) {
  for (std::size_t n = 1; n <= kVotersMax; ++n) {
    Voters voters;
    voters.keys.resize(n);
    const std::size_t f = voters.faulty_max(), q = voters.quorum();
    EXPECT_LE(3 * f + 1, n);
    EXPECT_GE(2 * q, n + f + 1) << n;
    EXPECT_LE(q, n - f) << n;  // The honest alone can decide.
  }
}

TEST(Voters, IsolatedReplicasAreNeverPrimary) {
  Voters voters;
  voters.keys.resize(5);
  voters.isolated = {1, 3};
  voters.first_primary = 1;
  std::vector<ReplicaId> primaries;
  for (View view = 0; view < 6; ++view) primaries.push_back(voters.primary(view));
  EXPECT_EQ(primaries, (std::vector<ReplicaId>{2, 4, 0, 2, 4, 0}));
}

TEST(Voters, AreReadAsTheyWereWritten) {
  Cluster cluster(4);
  cluster.voters.isolated = {2};
  cluster.voters.epoch = 7;
  const auto bytes = encode(cluster.voters);
  EXPECT_EQ(*decode_voters(bytes), cluster.voters);
  for (std::size_t size = 0; size < bytes.size(); ++size)
    EXPECT_FALSE(decode_voters(base::BytesView(bytes).first(size)));
  auto twice = cluster.voters;
  twice.keys[1] = twice.keys[0];
  EXPECT_EQ(decode_voters(encode(twice)).error().code, base::Errc::InvalidArgument);
}

TEST(Certificate, ProvesItsStatementOnly) {
  const Cluster cluster(4);
  const Statement statement{Phase::Commit, 1, 3, 17, base::sha256("block")};
  const auto good = cluster.certificate(statement, 3);
  EXPECT_TRUE(verify(cluster.id, cluster.voters, good));

  EXPECT_FALSE(verify(cluster.id, cluster.voters, cluster.certificate(statement, 2)));
  EXPECT_FALSE(verify(base::sha256("another cluster"), cluster.voters, good));
  auto twice = good;
  twice.signatures[1] = twice.signatures[0];
  EXPECT_FALSE(verify(cluster.id, cluster.voters, twice));
  auto unknown = good;
  unknown.signatures[2].first = 9;
  EXPECT_FALSE(verify(cluster.id, cluster.voters, unknown));
  for (auto change :
       {+[](Statement& s) { s.phase = Phase::Prepare; }, +[](Statement& s) { s.view = 4; },
        +[](Statement& s) { s.slot = 18; }, +[](Statement& s) { s.digest[5] ^= 1; },
        +[](Statement& s) { s.epoch = 2; }}) {
    auto other = good;
    change(other.statement);
    EXPECT_FALSE(verify(cluster.id, cluster.voters, other));
  }
}

TEST(Evidence, ConvictsOnlyWhoContradictsItself) {
  const Cluster cluster(4);
  const Statement a{Phase::Prepare, 1, 0, 5, base::sha256("a")};
  Statement b = a;
  b.digest = base::sha256("b");
  EXPECT_TRUE(verify(cluster.id, cluster.voters, Evidence{cluster.vote(2, a), cluster.vote(2, b)}));
  // Two replicas may differ, and one may say different things of different slots, views or phases.
  EXPECT_FALSE(
      verify(cluster.id, cluster.voters, Evidence{cluster.vote(2, a), cluster.vote(1, b)}));
  EXPECT_FALSE(
      verify(cluster.id, cluster.voters, Evidence{cluster.vote(2, a), cluster.vote(2, a)}));
  for (auto change :
       {+[](Statement& s) { s.slot = 6; }, +[](Statement& s) { s.view = 1; },
        +[](Statement& s) { s.phase = Phase::Commit; }, +[](Statement& s) { s.epoch = 2; }}) {
    Statement other = b;
    change(other);
    EXPECT_FALSE(
        verify(cluster.id, cluster.voters, Evidence{cluster.vote(2, a), cluster.vote(2, other)}));
  }
  Evidence forged{cluster.vote(2, a), cluster.vote(2, b)};
  forged.second.signature[0] ^= 1;
  EXPECT_EQ(verify(cluster.id, cluster.voters, forged).error().code, base::Errc::NotVerified);
}

}  // namespace
}  // namespace hypermesh::consensus
