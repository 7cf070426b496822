#include "consensus/epoch_chain.hpp"

#include <gtest/gtest.h>

namespace hypermesh::consensus {
namespace {

// Four voters in each epoch; from one to the next, one of them is replaced.
class EpochEnds : public testing::Test {
 protected:
  EpochEnds() {
    for (std::uint8_t i = 0; i < 8; ++i)
      keys_.push_back(*base::SigningKey::from_seed(base::sha256(std::to_string(i))));
    for (Epoch epoch = 1; epoch <= 4; ++epoch) ends_.push_back(end_of(epoch));
  }
  Voters voters(Epoch epoch) const {
    Voters made{epoch, {}, {}, 0};
    for (std::size_t i = 0; i < 4; ++i) made.keys.push_back(key(epoch, i).public_key());
    return made;
  }
  const base::SigningKey& key(Epoch epoch, std::size_t replica) const {
    return keys_[epoch - 1 + replica];
  }
  StableCheckpoint end_of(Epoch epoch) const {
    StableCheckpoint end{{}, base::sha256("root"), base::sha256("block"), voters(epoch + 1)};
    sign(end, epoch);
    return end;
  }
  void sign(StableCheckpoint& end, Epoch epoch) const {
    end.certificate = {{Phase::Checkpoint, epoch, 0, 100 * epoch, checkpoint_digest(end)}, {}};
    for (ReplicaId i = 0; i < 3; ++i) {
      const auto bytes = signed_bytes(cluster_, end.certificate.statement);
      end.certificate.signatures.emplace_back(i, key(epoch, i).sign(bytes));
    }
  }
  base::Result<Voters> checked() const { return verify(cluster_, voters(1), ends_); }

  const ClusterId cluster_ = base::sha256("cluster");
  std::vector<base::SigningKey> keys_;
  std::vector<StableCheckpoint> ends_;
};

TEST_F(EpochEnds, ProveTheVotersOfTheLast) {
  const auto last = checked();
  ASSERT_TRUE(last) << last.error().describe();
  EXPECT_EQ(*last, voters(5));
  EXPECT_EQ(verify(cluster_, voters(1), std::span<const StableCheckpoint>()), voters(1));
}

TEST_F(EpochEnds, ProveNothingWhenOneIsMissingOrRepeated) {
  auto all = std::exchange(ends_, {});
  ends_ = {all[0], all[2], all[3]};
  EXPECT_FALSE(checked());
  ends_ = {all[0], all[0]};
  EXPECT_FALSE(checked());
  ends_ = {all[1]};
  EXPECT_FALSE(checked());
}

TEST_F(EpochEnds, ProveNothingWhenTheVotersAreOthersThanSigned) {
  ends_[1].next->keys[3] = keys_[0].public_key();
  EXPECT_NE(checked().error().describe().find("epoch 2"), std::string::npos);
  ends_[1] = end_of(2);
  ends_[1].next.reset();
  EXPECT_FALSE(checked());
  // Signed, but of no use as proof of the next.
  sign(ends_[1], 2);
  EXPECT_FALSE(checked());
  ends_[1].next = voters(4);
  sign(ends_[1], 2);
  EXPECT_FALSE(checked());
}

TEST_F(EpochEnds, ProveNothingWithoutAQuorumOfTheirVoters) {
  ends_[2].certificate.signatures.pop_back();
  EXPECT_FALSE(checked());
  ends_[2] = end_of(3);
  ends_[2].certificate.signatures[0].second[5] ^= 1;
  EXPECT_FALSE(checked());
  // Voters of the epoch before, with one that is gone.
  ends_[2] = end_of(3);
  const auto bytes = signed_bytes(cluster_, ends_[2].certificate.statement);
  ends_[2].certificate.signatures[0].second = key(2, 0).sign(bytes);
  EXPECT_FALSE(checked());
}

TEST_F(EpochEnds, AreKeptWithGapsAndProvenWithout) {
  EpochChain chain(voters(1));
  EXPECT_EQ(chain.proven(), 1u);
  chain.add(ends_[2]);
  chain.add(ends_[0]);
  EXPECT_EQ(chain.proven(), 2u);
  EXPECT_EQ(*chain.voters(2), voters(2));
  EXPECT_EQ(chain.voters(3), nullptr);
  EXPECT_EQ(*chain.voters(4), voters(4));
  EXPECT_EQ(chain.ends_from(1).size(), 1u);
  EXPECT_TRUE(chain.ends_from(2).empty());
  chain.add(ends_[1]);
  EXPECT_EQ(chain.proven(), 4u);
  EXPECT_EQ(chain.ends_from(1).size(), 3u);
  EXPECT_EQ(chain.ends_from(3).size(), 1u);
  EXPECT_EQ(chain.end_of(4), nullptr);
  EXPECT_EQ(EpochChain(voters(1), chain.ends()).proven(), 4u);
}

}  // namespace
}  // namespace hypermesh::consensus
