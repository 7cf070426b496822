// A member that sends what it likes: what is no message is refused and counted, what others signed
// for another cluster counts for nothing, and what is said again changes nothing.

#include "consensus/node/frame.hpp"
#include "consensus/node/testing/cluster.hpp"

namespace hypermesh::consensus::testing {
namespace {

// Somebody with the identity of `who`, who is not open.
class Hostile {
 public:
  using Stream = stoq::rpc::CallStream<Frame, Frame>;

  Hostile(TestReplica& who, TestReplica& victim)
      : peers_({who.executor, &who.transport, &clock_, &rng_},
               {.backoff_min = 10ms, .backoff_max = 100ms, .distrust = 100ms}),
        victim_(victim),
        caller_(peers_.to(stoq::NodeId::of(victim.key.public_key()), victim.endpoint)) {}

  /// Whole messages, in one frame; the stream stays.
  Task<> say(const std::vector<base::Bytes>& messages) {
    if (!stream_) {
      auto opened = co_await caller_->open(kVotes);
      EXPECT_TRUE(opened) << opened.error().describe();
      if (!opened) co_return;
      stream_.emplace(*std::move(opened));
    }
    base::ByteWriter frame;
    for (const auto& message : messages) frame.sized(message);
    EXPECT_TRUE(co_await stream_->write(Frame{std::move(frame).take()}));
  }
  /// The error with which the victim ends the stream.
  Task<base::Error> break_with(base::Bytes frame) {
    auto stream = co_await caller_->open(kVotes);
    EXPECT_TRUE(stream) << stream.error().describe();
    const auto written = co_await stream->write(Frame{std::move(frame)});
    if (!written) co_return written.error();
    const auto read = co_await stream->read();
    EXPECT_FALSE(read);
    co_return read ? base::Error() : read.error();
  }
  /// Of the victim's status.
  Task<> reaches(std::uint64_t ReplicaStatus::* count, std::uint64_t value) {
    while (victim_.node->status().*count < value)
      co_await victim_.node->applied_after(victim_.node->status().applied, 20ms);
  }
  Task<> close() {
    stream_.reset();
    caller_.reset();
    co_await peers_.stop(0s);
  }

 private:
  base::SystemClock clock_;
  base::SystemRng rng_;
  stoq::rpc::Peers peers_;
  TestReplica& victim_;
  std::unique_ptr<stoq::rpc::Caller> caller_;
  std::optional<Stream> stream_;
};

class HostileMessages : public ClusterTest {
 protected:
  // Three honest replicas, and the fourth's identity against the first of them.
  void run_with_hostile(std::function<Task<>(Replicas&, Hostile&)> body) {
    run(4, 4, [body = std::move(body)](Replicas& all) -> Task<> {
      for (std::size_t i = 0; i < 3; ++i) all[i]->open();
      EXPECT_TRUE(co_await all[0]->node->order(put("before", "1"), 20s));
      Hostile hostile(*all[3], *all[0]);
      co_await body(all, hostile);
      EXPECT_TRUE(co_await all[0]->node->order(put("after", "1"), 20s));
      for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(all[i]->node->status().epoch, 1u);
      co_await hostile.close();
    });
  }

  std::vector<base::Bytes> said_;  // To the first replica.
};

base::Bytes cut_frame(std::uint32_t length, std::size_t there) {
  base::ByteWriter frame;
  frame.u32(length);
  frame.raw(base::Bytes(there, 7));
  return std::move(frame).take();
}

TEST_F(HostileMessages, WhatIsNoMessageIsRefusedAndCounted) {
  run_with_hostile([](Replicas& all, Hostile& hostile) -> Task<> {
    auto newer = encode(Message(Status{.epoch = 1}));
    newer[0] = 99;
    auto cut = encode(Message(Status{.epoch = 1}));
    cut.pop_back();
    co_await hostile.say({{}, {1}, base::Bytes(1000, 0xab), newer, cut});
    co_await hostile.reaches(&ReplicaStatus::unreadable, 5);
    EXPECT_EQ(all[0]->node->status().unreadable, 5u);
    // Frames whose messages end early, or are longer than a message may be.
    for (const auto& frame : {cut_frame(100, 3), cut_frame(0xffffffff, 100), base::Bytes{0, 0},
                              cut_frame(kMessageBytesMax + 1, kMessageBytesMax + 1)}) {
      EXPECT_EQ((co_await hostile.break_with(frame)).code, Errc::DataLoss);
    }
    EXPECT_EQ(all[0]->node->status().unreadable, 9u);
    // Longer than a frame may be: nobody reads it.
    EXPECT_NE((co_await hostile.break_with(base::Bytes(kFrameBytesMax + 1))).message, "");
    EXPECT_EQ(all[0]->node->status().unreadable, 9u);
  });
}

TEST_F(HostileMessages, WhatWasSignedForAnotherClusterCountsForNothing) {
  run_with_hostile([](Replicas& all, Hostile& hostile) -> Task<> {
    const ClusterId other = base::sha256("another cluster");
    const auto vote = [&](ReplicaId by, Phase phase, Slot slot, const base::Digest& digest) {
      const Statement said{phase, 1, 0, slot, digest};
      return Vote{said, by, all[by]->key.sign(signed_bytes(other, said))};
    };
    auto bundle = std::make_shared<Bundle>();
    bundle->client = TestReplica::key_of("operator").public_key();
    bundle->sequence = 1;
    bundle->operations.push_back(put("stolen", "1"));
    bundle->signature = TestReplica::key_of("operator").sign(signed_bytes(other, *bundle));
    const Evidence evidence{vote(1, Phase::Prepare, 1000, base::sha256("one")),
                            vote(1, Phase::Prepare, 1000, base::sha256("two"))};
    StableCheckpoint checkpoint{{}, base::sha256("root"), base::sha256("block"), std::nullopt};
    const auto digest = checkpoint_digest(checkpoint);
    checkpoint.certificate.statement = {Phase::Checkpoint, 1, 0, 1000, digest};
    for (ReplicaId i = 0; i < 3; ++i) {
      checkpoint.certificate.signatures.emplace_back(
          i, vote(i, Phase::Checkpoint, 1000, digest).signature);
    }
    co_await hostile.say(
        {encode(Message(Submit{bundle})), encode(Message(evidence)), encode(Message(checkpoint))});
    co_await hostile.reaches(&ReplicaStatus::forged, 1 + 2 + 3);
    EXPECT_EQ(all[0]->node->status().unreadable, 0u);
    EXPECT_LT(all[0]->node->status().stable, 1000u);
    const auto stolen =
        co_await all[0]->node->read(ReplicaNode::Consistency::Linearizable, 20s,
                                    [](const state::View& view) { return view.get("stolen"); });
    EXPECT_TRUE(stolen && !*stolen);
  });
}

TEST_F(HostileMessages, WhatIsSaidAgainChangesNothing) {
  run_with_hostile([this](Replicas& all, Hostile& hostile) -> Task<> {
    all[0]->node->on_vote([this](const Vote& vote) { said_.push_back(encode(Message(vote))); });
    const auto done = co_await order_as_operator(*all[0], 1, put("once", "1"));
    EXPECT_TRUE(done) << done.error().describe();
    const auto revision = done->outcomes.at(0).number;
    auto bundle = std::make_shared<Bundle>();
    bundle->client = TestReplica::key_of("operator").public_key();
    bundle->sequence = 1;
    bundle->operations.push_back(put("once", "1"));
    bundle->signature =
        TestReplica::key_of("operator").sign(signed_bytes(cluster_of(all[0]->genesis), *bundle));
    EXPECT_FALSE(said_.empty());
    auto again = std::exchange(said_, {});
    for (int i = 0; i < 20; ++i) {
      again.push_back(encode(Message(Submit{bundle})));
      co_await hostile.say(again);
    }
    // The end of all that was said.
    co_await hostile.say({{}});
    co_await hostile.reaches(&ReplicaStatus::unreadable, 1);
    const auto next = co_await all[0]->node->order(put("next", "1"), 20s);
    EXPECT_EQ(next.value_or(0), revision + 1);
    // Its client is told the same.
    const auto repeated = co_await order_as_operator(*all[1], 1, put("once", "1"));
    EXPECT_EQ(repeated->outcomes.at(0).number, revision);
  });
}

TEST_F(HostileMessages, AStrangerIsNotHeard) {
  run(
      4, 4,
      [](Replicas& all) -> Task<> {
        for (std::size_t i = 0; i < 4; ++i) all[i]->open();
        Hostile stranger(*all[4], *all[0]);
        EXPECT_EQ((co_await stranger.break_with({0, 0, 0, 1, 9})).code, Errc::Forbidden);
        EXPECT_EQ(all[0]->node->status().unreadable, 0u);
        co_await stranger.close();
      },
      1);
}

}  // namespace
}  // namespace hypermesh::consensus::testing
