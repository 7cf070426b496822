#include <gtest/gtest.h>

#include "consensus/pbft/replica.hpp"

namespace hypermesh::consensus::pbft {
namespace {

using namespace std::chrono_literals;

class NoSigner final : public Signer {
 public:
  base::Signature sign(base::BytesView) override { return {}; }
};

// Replica 1 of four; 0 is the primary of view 0. Signatures are not checked here.
class Suspicion : public ::testing::Test {
 protected:
  Suspicion() {
    for (std::uint8_t i = 0; i < 4; ++i) genesis_.voters.keys.push_back({i});
    replica_.emplace(Options{}, signer_, genesis_.voters.keys[1], recover(genesis_, {}),
                     Position{0, genesis_.start_digest, {}, {}}, now_);
  }

  void step(const Input& input) {
    Outputs outputs;
    replica_->step(input, now_, 1, outputs);
    wake_at_ = outputs.wake_at;
  }
  void hear(PeerId from) {
    step(Received{from, std::make_shared<const Message>(Status{1, 0, false, 0, 0, 0})});
  }
  /// The primary speaks every 50 ms, others every 200.
  void pass(Duration time, const std::set<PeerId>& speak) {
    for (const MonotonicTime end = now_ + time; now_ < end;) {
      now_ += 50ms;
      ++ticks_;
      for (const PeerId peer : speak) {
        if (peer == 0 || ticks_ % 4 == peer) hear(peer);
      }
      step(Tick{});
    }
  }
  bool gives_up() const { return replica_->changing(); }

  MonotonicTime now_ = MonotonicTime() + 1h, wake_at_{};
  std::optional<Replica> replica_;

 private:
  NoSigner signer_;
  EpochBegun genesis_;
  unsigned ticks_ = 0;
};

TEST_F(Suspicion, APrimaryThatSpeaksStays) {
  pass(10s, {0, 2, 3});
  EXPECT_FALSE(gives_up());
}

TEST_F(Suspicion, WhoHasJustBegunIsStillConnecting) {
  pass(900ms, {2, 3});
  EXPECT_FALSE(gives_up());
  pass(200ms, {2, 3});
  EXPECT_TRUE(gives_up());
}

TEST_F(Suspicion, ASilentPrimaryIsGivenUpByWhoHearsTheOthers) {
  pass(1s, {0, 2, 3});
  pass(250ms, {2, 3});
  EXPECT_FALSE(gives_up());
  pass(100ms, {2, 3});
  EXPECT_TRUE(gives_up());
}

TEST_F(Suspicion, WhoHearsNobodyBlamesNobody) {
  pass(1s, {0, 2, 3});
  pass(10s, {});
  EXPECT_FALSE(gives_up());
  EXPECT_GT(wake_at_, now_);
  pass(10s, {2});
  EXPECT_FALSE(gives_up()) << "two are no quorum";
}

TEST_F(Suspicion, WhoWasCutOffGivesThePrimarySomeTime) {
  pass(1s, {0, 2, 3});
  pass(2s, {});
  hear(2);
  hear(3);
  EXPECT_FALSE(gives_up());
  pass(100ms, {2, 3});
  EXPECT_FALSE(gives_up());
  pass(1s, {0, 2, 3});
  EXPECT_FALSE(gives_up());
}

TEST_F(Suspicion, APrimaryThatStaysSilentAfterTheCutIsGivenUp) {
  pass(1s, {0, 2, 3});
  pass(2s, {});
  pass(400ms, {2, 3});
  EXPECT_TRUE(gives_up());
}

// It did not run for a second, and its timer comes first.
TEST_F(Suspicion, WhoWasAsleepListensFirst) {
  pass(1s, {0, 2, 3});
  now_ += 1s;
  step(Tick{});
  hear(3);
  hear(2);
  hear(0);
  pass(1s, {0, 2, 3});
  EXPECT_FALSE(gives_up());
}

TEST_F(Suspicion, SlowSurroundingsAreGivenMoreTime) {
  step(Conditions{100ms, 150ms});
  EXPECT_EQ(replica_->patience(), 950ms);
  pass(1s, {0, 2, 3});
  pass(900ms, {2, 3});
  EXPECT_FALSE(gives_up());
  pass(100ms, {2, 3});
  EXPECT_TRUE(gives_up());
}

TEST_F(Suspicion, PatienceHasBounds) {
  step(Conditions{1ms, 1ms});
  EXPECT_EQ(replica_->patience(), Options().suspicion_min);
  step(Conditions{10s, 10s});
  EXPECT_EQ(replica_->patience(), Options().suspicion_max);
  pass(1s, {0, 2, 3});
  pass(5s, {2, 3});
  EXPECT_TRUE(gives_up());
}

}  // namespace
}  // namespace hypermesh::consensus::pbft
