#include <gmock/gmock.h>

#include "consensus/pbft/testing/one_replica.hpp"

namespace hypermesh::consensus::pbft {
namespace {

// The last of four replicas. A checkpoint is made every two slots.
class WhoseStateIsDamaged : public testing::OneReplica {
 protected:
  WhoseStateIsDamaged() : OneReplica(4) {
    options_.checkpoint_interval = 2;
    records_.push_back({1, genesis()});
    base::Digest parent = options_.cluster;
    for (Slot slot = 1; slot <= 4; ++slot) {
      links_.push_back(make_link(options_.cluster, {slot, parent, slot, 0, {}}));
      parent = links_.back()->digest;
    }
  }
  EpochBegun genesis() const {
    Voters voters;
    for (const auto& key : keys_) voters.keys.push_back(key.public_key());
    return {voters, 0, options_.cluster};
  }
  Certificate certified(const Statement& said) const {
    Certificate made{said, {}};
    for (ReplicaId i = 0; i < 3; ++i)
      made.signatures.emplace_back(i, keys_[i].sign(signed_bytes(options_.cluster, said)));
    return made;
  }
  static base::Digest right(Slot slot) { return base::sha256("right " + std::to_string(slot)); }
  StableCheckpoint checkpoint(Slot slot) const {
    StableCheckpoint made{{}, right(slot), links_[slot - 1]->digest, std::nullopt};
    made.certificate = certified({Phase::Checkpoint, 1, 0, slot, checkpoint_digest(made)});
    return made;
  }
  void start(const Position& position) { begin(genesis(), position); }
  // From what a checkpoint says.
  void start_with(Slot slot) { start({slot, links_[slot - 1]->digest, right(slot), std::nullopt}); }
  void commit_all() {
    tell(Committed{certified({Phase::Commit, 1, 0, 4, links_.back()->digest}), links_});
  }
  void apply(Slot slot, std::string_view root) {
    step(Applied{slot, slot % 2 == 0 ? std::optional(base::sha256(root)) : std::nullopt, {}});
  }
  void apply_right(Slot slot) { apply(slot, "right " + std::to_string(slot)); }
  void on_output(const Output& output) override {
    if (const auto* sent = std::get_if<Send>(&output)) {
      const auto* vote = std::get_if<Vote>(sent->message.get());
      if (vote != nullptr && vote->statement.phase == Phase::Checkpoint) hear(*vote);
    }
    if (const auto* sent = std::get_if<Send>(&output)) {
      if (const auto* blocks = std::get_if<Committed>(sent->message.get()))
        given_ = std::max(given_, blocks->links.size());
    }
    if (std::holds_alternative<StateDamaged>(output)) ++damages_;
    if (std::holds_alternative<NeedState>(output)) ++needs_;
    if (const auto* one = std::get_if<Apply>(&output)) applies_.push_back(one->link->block.slot);
  }
  // In whatever life.
  void hear(const Vote& vote) {
    for (const Vote& before : said_) EXPECT_FALSE(contradict(before, vote));
    said_.push_back(vote);
  }

  std::vector<LinkPtr> links_;
  std::vector<Vote> said_;
  std::vector<Slot> applies_;
  std::size_t damages_ = 0, needs_ = 0, given_ = 0;
};

TEST_F(WhoseStateIsDamaged, SignsNoOtherCheckpointOfASlot) {
  start({0, options_.cluster, std::nullopt, std::nullopt});
  commit_all();
  for (Slot slot = 1; slot <= 4; ++slot) apply(slot, "wrong");
  EXPECT_EQ(said_.size(), 2u);
  tell(checkpoint(2));
  EXPECT_EQ(damages_, 1u);
  applies_.clear();
  step(Installed{checkpoint(2), std::nullopt});
  EXPECT_EQ(replica_->stable(), 2u);
  EXPECT_EQ(applies_, (std::vector<Slot>{3, 4}));
  apply_right(3);
  apply_right(4);
  // What the others sign it has.
  tell(checkpoint(4));
  EXPECT_EQ(damages_, 1u);
  EXPECT_EQ(replica_->stable(), 4u);
}

TEST_F(WhoseStateIsDamaged, SignsNoOtherInALaterLife) {
  start({0, options_.cluster, std::nullopt, std::nullopt});
  commit_all();
  for (Slot slot = 1; slot <= 4; ++slot) apply(slot, "wrong");
  tell(checkpoint(2));
  step(Installed{checkpoint(2), std::nullopt});
  // Before and after it has caught up.
  for (int life = 0; life < 2; ++life) {
    start_with(2);
    commit_all();
    apply_right(3);
    apply_right(4);
  }
  EXPECT_EQ(replica_->stable(), 2u);
  tell(checkpoint(4));
  EXPECT_EQ(replica_->stable(), 4u);
  EXPECT_EQ(damages_, 1u);
}

// The others may have let it go, so it asks for each that is certified until one is here.
TEST_F(WhoseStateIsDamaged, AsksForALaterStateWhileItHasNone) {
  start({0, options_.cluster, std::nullopt, std::nullopt});
  commit_all();
  for (Slot slot = 1; slot <= 2; ++slot) apply_right(slot);
  tell(checkpoint(2));
  EXPECT_EQ(replica_->stable(), 2u);
  step(Lost{});
  EXPECT_EQ(needs_, 1u);
  tell(checkpoint(4));
  EXPECT_EQ(needs_, 2u);
  applies_.clear();
  step(Installed{checkpoint(2), std::nullopt});
  EXPECT_EQ(applies_, (std::vector<Slot>{3, 4}));
  apply_right(3);
  apply_right(4);
  tell(checkpoint(4));
  EXPECT_EQ(replica_->stable(), 4u);
  EXPECT_EQ(needs_, 2u);
}

// It executes again what it knows from its earlier life, or has from others when its log lacks it.
TEST_F(WhoseStateIsDamaged, LosesItBehindARestart) {
  start({0, options_.cluster, std::nullopt, std::nullopt});
  commit_all();
  for (Slot slot = 1; slot <= 4; ++slot) apply_right(slot);
  tell(checkpoint(2));
  const auto log = records_;
  for (const bool whole : {true, false}) {
    records_ = log;
    if (!whole)
      std::erase_if(records_,
                    [](const auto& each) { return std::holds_alternative<Body>(each.record); });
    start_with(4);
    step(Lost{});
    applies_.clear();
    step(Installed{checkpoint(2), std::nullopt});
    if (!whole) commit_all();
    EXPECT_EQ(applies_, (std::vector<Slot>{3, 4})) << whole;
    apply_right(3);
    apply_right(4);
    tell(checkpoint(4));
    EXPECT_EQ(replica_->stable(), 4u);
  }
}

TEST_F(WhoseStateIsDamaged, GivesOthersBehindARestartWhatItStillHas) {
  start({0, options_.cluster, std::nullopt, std::nullopt});
  commit_all();
  for (Slot slot = 1; slot <= 4; ++slot) apply_right(slot);
  start_with(4);
  given_ = 0;
  for (int i = 0; i < 4; ++i) tell(Status{.epoch = 1, .committed = 1});
  EXPECT_EQ(given_, 3u);
}

// Its state is removed, its log stays.
TEST_F(WhoseStateIsDamaged, SignsNoOtherWhenTheStateWasRemoved) {
  start({0, options_.cluster, std::nullopt, std::nullopt});
  commit_all();
  for (Slot slot = 1; slot <= 4; ++slot) apply(slot, "wrong");
  start({0, options_.cluster, std::nullopt, std::nullopt});
  commit_all();
  for (Slot slot = 1; slot <= 4; ++slot) apply_right(slot);
  tell(checkpoint(4));
  EXPECT_EQ(replica_->stable(), 4u);
  EXPECT_EQ(damages_, 0u);
}

// Nobody orders anything, so no later checkpoint would tell it what it lacks.
TEST_F(WhoseStateIsDamaged, AsksForWhatItsLogSaysWasCertified) {
  start({0, options_.cluster, std::nullopt, std::nullopt});
  commit_all();
  for (Slot slot = 1; slot <= 4; ++slot) apply_right(slot);
  tell(checkpoint(2));
  tell(checkpoint(4));
  std::erase_if(records_,
                [](const auto& each) { return std::holds_alternative<Body>(each.record); });
  needs_ = 0;
  start({0, options_.cluster, std::nullopt, std::nullopt});
  EXPECT_EQ(needs_, 1u);
  step(Installed{checkpoint(4), std::nullopt});
  EXPECT_EQ(replica_->committed(), 4u);
  EXPECT_EQ(damages_, 0u);
}

TEST_F(WhoseStateIsDamaged, TellsEverybodyWhereItIsWhileItHearsTooFewVoters) {
  start({0, options_.cluster, std::nullopt, std::nullopt});
  const auto told_widely = [&](base::Duration at) {
    Outputs outputs;
    replica_->step(Tick{}, MonotonicTime() + at, 1, outputs);
    std::vector<bool> widely;
    for (const auto& output : outputs.list) {
      const auto* sent = std::get_if<Send>(&output);
      if (sent != nullptr && !sent->to && std::holds_alternative<Status>(*sent->message))
        widely.push_back(sent->widely);
    }
    return widely;
  };
  const auto hear_of = [&](PeerId peer, base::Duration at) {
    Outputs outputs;
    const auto status = std::make_shared<const Message>(Status{.epoch = 1});
    replica_->step(Received{peer, status}, MonotonicTime() + at, 1, outputs);
  };
  using std::chrono::seconds;
  EXPECT_THAT(told_widely(seconds(10)), ::testing::Each(true));
  hear_of(0, seconds(11));
  const auto after_one = told_widely(seconds(12));
  ASSERT_FALSE(after_one.empty());
  EXPECT_TRUE(after_one[0]);
  hear_of(0, seconds(13));
  hear_of(kFirstFollower, seconds(13));  // Not a voter.
  EXPECT_EQ(told_widely(seconds(14)), std::vector{true});
  hear_of(0, seconds(15));
  hear_of(1, seconds(15));
  EXPECT_EQ(told_widely(seconds(16)), std::vector{false});
  EXPECT_EQ(told_widely(seconds(60)), std::vector{true});
}

}  // namespace
}  // namespace hypermesh::consensus::pbft
