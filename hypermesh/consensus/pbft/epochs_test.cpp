#include "consensus/pbft/testing/one_replica.hpp"

namespace hypermesh::consensus::pbft {
namespace {

// Four vote in each epoch, and from one to the next the first of them is replaced; the replica is
// the last of the first epoch's.
class InEpochs : public testing::OneReplica {
 protected:
  InEpochs() : OneReplica(8) { records_.push_back({1, genesis()}); }
  const base::SigningKey& key(Epoch epoch, std::size_t replica) const {
    return keys_[epoch - 1 + replica];
  }
  Voters voters(Epoch epoch) const {
    Voters made{epoch, {}, {}, 0};
    for (std::size_t i = 0; i < 4; ++i) made.keys.push_back(key(epoch, i).public_key());
    return made;
  }
  EpochBegun genesis() const { return {voters(1), 0, options_.cluster}; }
  StableCheckpoint checkpoint(Epoch epoch, Slot slot, std::optional<Voters> next) const {
    StableCheckpoint made{
        {}, base::sha256("root"), base::sha256(std::to_string(slot)), std::move(next)};
    made.certificate.statement = {Phase::Checkpoint, epoch, 0, slot, checkpoint_digest(made)};
    for (ReplicaId i = 0; i < 3; ++i) {
      const auto bytes = signed_bytes(options_.cluster, made.certificate.statement);
      made.certificate.signatures.emplace_back(i, key(epoch, i).sign(bytes));
    }
    return made;
  }
  StableCheckpoint end_of(Epoch epoch) const {
    return checkpoint(epoch, 100 * epoch, voters(epoch + 1));
  }

  void start(const Position& position = {}) {
    Position at = position;
    if (at.slot == 0) at.digest = options_.cluster;
    begin(genesis(), at);
  }
  // Whose first slot is 101.
  void jump_to_second_epoch() {
    start();
    tell(Epochs{{end_of(1)}, end_of(1)});
    persist();
    step(Installed{take<NeedState>().at(0).checkpoint, std::nullopt});
  }
  void on_output(const Output& output) override { outputs_.push_back(output); }
  void persist() { step(Persisted{records_.back().lsn}); }
  template <class T>
  std::vector<T> take() {
    std::vector<T> found;
    for (const auto& output : std::exchange(outputs_, {})) {
      if (const auto* one = std::get_if<T>(&output)) found.push_back(*one);
    }
    return found;
  }
  template <class T>
  std::vector<T> said() {
    std::vector<T> found;
    for (const auto& send : take<Send>()) {
      if (const auto* one = std::get_if<T>(send.message.get())) found.push_back(*one);
    }
    return found;
  }

  std::vector<Output> outputs_;
};

TEST_F(InEpochs, AReplicaJumpsToTheNewestWhenWhatProvesItIsDurable) {
  start();
  tell(Epochs{{end_of(1), end_of(2), end_of(3)}, checkpoint(4, 350, std::nullopt)});
  EXPECT_EQ(replica_->epochs().proven(), 4u);
  EXPECT_EQ(replica_->voters().epoch, 1u);
  EXPECT_TRUE(take<NeedState>().empty());
  persist();
  const auto needs = take<NeedState>();
  ASSERT_EQ(needs.size(), 1u);
  EXPECT_EQ(needs[0].checkpoint.certificate.statement.slot, 350u);
  step(Installed{needs[0].checkpoint, std::nullopt});
  EXPECT_EQ(replica_->voters(), voters(4));
  EXPECT_EQ(replica_->own(), ReplicaId{0});
  EXPECT_EQ(replica_->committed(), 350u);
  EXPECT_EQ(replica_->accepted(), 350u);
  const auto again = recover(genesis(), records_);
  EXPECT_EQ(again.epoch.voters, voters(4));
  EXPECT_EQ(again.epoch.start, 300u);
  EXPECT_EQ(again.ended.size(), 3u);
  EXPECT_EQ(again.stable->certificate.statement.slot, 350u);
}

// Its log was damaged; its state is at the very end of the epoch before.
TEST_F(InEpochs, AReplicaIsToldAgainWhatItsEpochBeganWith) {
  jump_to_second_epoch();
  std::erase_if(records_, [](const auto& each) {
    return std::holds_alternative<StableCheckpoint>(each.record);
  });
  start({100, end_of(1).block, end_of(1).root, std::nullopt});
  EXPECT_EQ(replica_->voters(), voters(2));
  EXPECT_EQ(replica_->stable(), 0u);
  tell(end_of(1));
  EXPECT_EQ(replica_->stable(), 100u);
  for (const auto& vote : said<Vote>()) EXPECT_NE(vote.statement.phase, Phase::Checkpoint);
}

TEST_F(InEpochs, WhoseStateWasRemovedFetchesWhatItsEpochBeganWith) {
  jump_to_second_epoch();
  start();
  const auto needs = take<NeedState>();
  ASSERT_EQ(needs.size(), 1u);
  EXPECT_EQ(needs[0].checkpoint.certificate.statement.slot, 100u);
  step(Installed{needs[0].checkpoint, std::nullopt});
  EXPECT_EQ(replica_->voters(), voters(2));
  EXPECT_EQ(replica_->committed(), 100u);
}

TEST_F(InEpochs, AProgramThatIsTooOldForTheNewestEpochSaysSo) {
  start();
  Voters later = voters(3);
  later.version = 2;
  tell(Epochs{{end_of(1), checkpoint(2, 200, later)}, checkpoint(3, 250, std::nullopt)});
  persist();
  const auto outdated = take<Outdated>();
  ASSERT_EQ(outdated.size(), 1u);
  EXPECT_EQ(outdated[0].version, 2);
  EXPECT_TRUE(take<NeedState>().empty());
  EXPECT_EQ(replica_->voters().epoch, 1u);
  options_.versions.newest = 2;
  start();
  tell(Epochs{{end_of(1), checkpoint(2, 200, later)}, checkpoint(3, 250, std::nullopt)});
  persist();
  step(Installed{take<NeedState>().at(0).checkpoint, std::nullopt});
  EXPECT_EQ(replica_->voters(), later);
  EXPECT_EQ(take<Persist>().back().version, 2);
}

TEST_F(InEpochs, WhoHearsALaterVersionOfOneMoreThanMayLieIsTooOld) {
  start();
  for (const PeerId from : {0u, 0u, kFirstFollower, kFirstFollower + 1}) step(Unreadable{from, 3});
  EXPECT_TRUE(take<Outdated>().empty());
  step(Unreadable{2, 2});
  const auto outdated = take<Outdated>();
  ASSERT_EQ(outdated.size(), 1u);
  EXPECT_EQ(outdated[0].version, 2);
}

TEST_F(InEpochs, AChainThatIsNotSignedMovesNobody) {
  start();
  auto wrong = end_of(2);
  wrong.certificate.signatures[1].second[0] ^= 1;
  tell(Epochs{{end_of(1), wrong, end_of(3)}, checkpoint(4, 350, std::nullopt)});
  tell(Epochs{{end_of(2)}, std::nullopt});
  tell(checkpoint(4, 350, std::nullopt));
  persist();
  EXPECT_EQ(replica_->epochs().proven(), 1u);
  EXPECT_TRUE(take<NeedState>().empty());
  // Nor one whose epochs are good and whose newest checkpoint is not.
  auto newest = checkpoint(3, 250, std::nullopt);
  newest.root[0] ^= 1;
  tell(Epochs{{end_of(1), end_of(2)}, newest});
  persist();
  EXPECT_EQ(replica_->epochs().proven(), 3u);
  EXPECT_TRUE(take<NeedState>().empty());
}

TEST_F(InEpochs, WhoCannotProveAnEpochIsToldOfItsVoters) {
  start();
  tell(Epochs{{end_of(1), end_of(2)}, checkpoint(3, 250, std::nullopt)});
  persist();
  step(Installed{take<NeedState>().at(0).checkpoint, std::nullopt});
  // Voters take turns to help: within four statuses it is this one's.
  for (int i = 0; i < 4; ++i) tell(Status{.epoch = 1, .proven = 2});
  const auto told = said<Epochs>();
  ASSERT_FALSE(told.empty());
  ASSERT_EQ(told[0].ends.size(), 1u);
  EXPECT_EQ(told[0].ends[0].certificate.statement.epoch, 2u);
  EXPECT_EQ(told[0].newest->certificate.statement.slot, 250u);
}

TEST_F(InEpochs, WhoSignedTheEndOfItsEpochAnswersNoReadsThereAfterARestart) {
  Position before{10, base::sha256("block"), {}, {}};
  start(before);
  tell(ReadAsk{1, 7});
  EXPECT_EQ(said<ReadAnswer>().size(), 1u);
  auto own = end_of(1);
  own.certificate.signatures.clear();
  records_.push_back({records_.back().lsn + 1, own});
  start(before);
  tell(ReadAsk{1, 8});
  EXPECT_TRUE(said<ReadAnswer>().empty());
}

TEST_F(InEpochs, WhoForgotItsPromisesVotesInNoLife) {
  records_.push_back({2, Silenced{}});
  start();
  EXPECT_EQ(replica_->own(), std::nullopt);
  ASSERT_FALSE(take<Persist>().empty());
  EXPECT_TRUE(recover(genesis(), {records_.back()}).silenced);
  start();
  EXPECT_EQ(replica_->own(), std::nullopt);
}

}  // namespace
}  // namespace hypermesh::consensus::pbft
