#include "consensus/node/testing/cluster.hpp"

namespace hypermesh::consensus::testing {
namespace {

class Membership : public ClusterTest {
 protected:
  /// What the operator orders; through the first replica that is open.
  Task<state::Outcome> change(base::Bytes command) {
    for (auto& replica : replicas) {
      if (!replica->node) continue;
      const auto result = co_await order_as_operator(*replica, ++ordered_, std::move(command));
      EXPECT_TRUE(result) << result.error().describe();
      co_return result->outcomes.at(0);
    }
    co_return state::refusal(base::make_error(Errc::Unavailable, "no replica is open"));
  }
  Task<state::Outcome> change_voters(Epoch epoch, std::vector<std::size_t> ids,
                                     std::vector<Copy> copies = {}) {
    ChangeVoters wanted{epoch, {}, std::move(copies)};
    for (const std::size_t i : ids) wanted.voters.push_back(replicas[i]->key.public_key());
    return change(encode(OnCluster<ChangeVoters>{0, std::move(wanted)}));
  }
  Task<state::Outcome> change_members(std::vector<std::size_t> put,
                                      std::vector<std::size_t> remove) {
    ChangeMembers wanted;
    for (const std::size_t i : put) {
      wanted.put.push_back(
          {replicas[i]->key.public_key(), Role::Node, replicas[i]->endpoint.text()});
    }
    for (const std::size_t i : remove) wanted.remove.push_back(replicas[i]->key.public_key());
    return change(encode(OnCluster<ChangeMembers>{0, std::move(wanted)}));
  }
  /// So many writes, one after the other; a checkpoint is made every 10 slots.
  Task<> write(TestReplica& through, int count) {
    for (int i = 0; i < count; ++i) {
      const auto done = co_await through.node->order(put("a", std::to_string(++written_)), 20s);
      EXPECT_TRUE(done) << done.error().describe();
    }
  }
  Task<> reach_epoch(std::vector<std::size_t> ids, Epoch epoch) {
    for (const std::size_t i : ids) {
      auto& node = *replicas[i]->node;
      while (node.status().epoch < epoch) co_await node.applied_after(node.status().applied, 50ms);
    }
  }
  /// The copy of a node that has the checkpoints that the others have.
  Task<Copy> learnt(TestReplica& replica) {
    for (;;) {
      const auto copy = co_await replica.node->copy();
      if (copy && copy->slot + 10 > replicas[0]->node->status().applied) co_return *copy;
      co_await replica.node->applied_after(replica.node->status().applied, 50ms);
    }
  }
  Task<std::string> read(TestReplica& replica) {
    const auto value =
        co_await replica.node->read(ReplicaNode::Consistency::Linearizable, 20s,
                                    [](const state::View& view) -> Result<std::string> {
                                      TRY(const auto found, view.get("a"));
                                      return found ? found->value : std::string();
                                    });
    EXPECT_TRUE(value) << value.error().describe();
    co_return value.value_or("");
  }

  std::uint64_t ordered_ = 0;
  int written_ = 0;
};

TEST_F(Membership, AFollowerOrdersAndReadsAndTakesAVotersPlace) {
  run(4, 5, [this](Replicas& replicas) -> Task<> {
    for (auto& replica : replicas) replica->open();
    TestReplica& follower = *replicas[4];
    EXPECT_FALSE(follower.node->status().votes);
    co_await write(follower, 12);
    const auto changed = co_await change_voters(1, {0, 1, 2, 4}, {co_await learnt(follower)});
    EXPECT_FALSE(changed.refused) << changed.message;
    co_await reach_epoch({0, 1, 2, 3, 4}, 2);
    EXPECT_TRUE(follower.node->status().votes);
    EXPECT_FALSE(replicas[3]->node->status().votes);
    // The newcomer is needed for a quorum now.
    co_await replicas[3]->close();
    co_await replicas[1]->close();
    co_await write(*replicas[0], 1);
  });
}

TEST_F(Membership, AVoterThatSleptThroughAChangeFindsItsPlace) {
  run(4, 5, [this](Replicas& replicas) -> Task<> {
    for (auto& replica : replicas) replica->open();
    co_await write(*replicas[4], 12);
    const auto copy = co_await learnt(*replicas[4]);
    co_await replicas[1]->close();
    EXPECT_FALSE((co_await change_voters(1, {0, 1, 2, 4}, {copy})).refused);
    co_await reach_epoch({0}, 2);
    co_await write(*replicas[0], 35);
    replicas[1]->open();
    co_await reach_epoch({1}, 2);
    co_await write(*replicas[1], 1);
  });
}

// One was down while three epochs ended; another begins with the genesis, whose voters are half
// gone.
TEST_F(Membership, WhoMissedSeveralEpochsFindsTheNewest) {
  run(4, 6, [this](Replicas& replicas) -> Task<> {
    for (std::size_t i = 0; i < 5; ++i) replicas[i]->open();
    co_await write(*replicas[0], 12);
    const auto copy = co_await learnt(*replicas[4]);
    co_await replicas[1]->close();
    EXPECT_FALSE((co_await change_voters(1, {0, 1, 2, 4}, {copy})).refused);
    co_await reach_epoch({0, 2, 3, 4}, 2);
    co_await write(*replicas[0], 12);
    const auto again = co_await learnt(*replicas[3]);
    EXPECT_FALSE((co_await change_voters(2, {0, 3, 2, 4}, {again})).refused);
    co_await reach_epoch({0, 2, 3, 4}, 3);
    co_await write(*replicas[0], 22);
    EXPECT_FALSE((co_await change_voters(3, {0, 3, 4})).refused);
    co_await reach_epoch({0, 3, 4}, 4);
    co_await write(*replicas[0], 22);
    co_await replicas[2]->close();
    replicas[1]->open();
    replicas[5]->open();
    co_await reach_epoch({1, 5}, 4);
    EXPECT_EQ(co_await read(*replicas[1]), std::to_string(written_));
    EXPECT_EQ(co_await read(*replicas[5]), std::to_string(written_));
    EXPECT_FALSE(replicas[1]->node->status().votes);
    // After a start it finds its epoch in its log and state.
    co_await replicas[5]->close();
    replicas[5]->open();
    EXPECT_EQ(replicas[5]->node->status().epoch, 4u);
  });
}

TEST_F(Membership, AStrangerLearnsAndVotesAndTheOneItReplacesGoes) {
  run(
      4, 4,
      [this](Replicas& replicas) -> Task<> {
        for (auto& replica : replicas) replica->open();
        co_await write(*replicas[0], 22);
        EXPECT_FALSE((co_await change_members({4}, {})).refused);
        EXPECT_EQ((co_await change_members({}, {3})).refused, Errc::FailedPrecondition);
        const auto changed =
            co_await change_voters(1, {0, 1, 2, 4}, {co_await learnt(*replicas[4])});
        EXPECT_FALSE(changed.refused) << changed.message;
        co_await reach_epoch({0, 1, 2, 4}, 2);
        EXPECT_TRUE(replicas[4]->node->status().votes);
        EXPECT_FALSE((co_await change_members({}, {3})).refused);
        co_await write(*replicas[4], 12);
        const auto gone = stoq::NodeId::of(replicas[3]->key.public_key());
        EXPECT_FALSE(replicas[0]->node->is_member(gone));
        // What comes with its key alone is refused from now on.
        EXPECT_FALSE(co_await replicas[3]->node->order(put("a", "not any more"), 500ms));
        EXPECT_EQ(co_await read(*replicas[4]), std::to_string(written_));
      },
      1);
}

// All that the genesis names are gone; whoever begins with it needs one node of today.
TEST_F(Membership, WhoKnowsNobodyOfTodayIsToldThroughAContact) {
  run(
      4, 4,
      [this](Replicas& replicas) -> Task<> {
        for (std::size_t i = 0; i < 8; ++i) replicas[i]->open();
        co_await write(*replicas[0], 12);
        EXPECT_FALSE((co_await change_members({4, 5, 6, 7, 8}, {})).refused);
        std::vector<std::size_t> voters = {0, 1, 2, 3};
        for (std::size_t i = 0; i < 4; ++i) {
          voters[i] = i + 4;
          const auto changed =
              co_await change_voters(i + 1, voters, {co_await learnt(*replicas[i + 4])});
          EXPECT_FALSE(changed.refused) << changed.message;
          co_await reach_epoch({0, 4, 5, 6, 7}, i + 2);
        }
        for (std::size_t i = 0; i < 4; ++i) co_await replicas[i]->close();
        ReplicaOptions knows_one;
        knows_one.contacts.push_back(
            {replicas[5]->key.public_key(), Role::Node, replicas[5]->endpoint.text()});
        replicas[8]->open(knows_one);
        co_await reach_epoch({8}, 5);
        ++written_;
        EXPECT_TRUE(co_await replicas[8]->node->order(put("a", std::to_string(written_)), 20s));
        EXPECT_EQ(co_await read(*replicas[8]), std::to_string(written_));
        EXPECT_FALSE(replicas[8]->node->status().votes);
      },
      5);
}

TEST_F(Membership, ANodeThatLostItsDiskFollowsAndANewOneTakesItsPlace) {
  run(4, 5, [this](Replicas& replicas) -> Task<> {
    for (auto& replica : replicas) replica->open();
    co_await write(*replicas[0], 12);
    co_await replicas[3]->close();
    replicas[3]->lose_disk();
    replicas[3]->open();
    co_await write(*replicas[3], 12);
    EXPECT_FALSE(replicas[3]->node->status().votes);
    // Nor when it has a log again.
    co_await replicas[3]->close();
    replicas[3]->open();
    EXPECT_FALSE(replicas[3]->node->status().votes);
    const auto changed = co_await change_voters(1, {0, 1, 2, 4}, {co_await learnt(*replicas[4])});
    EXPECT_FALSE(changed.refused) << changed.message;
    co_await reach_epoch({0, 1, 2, 4}, 2);
    co_await replicas[1]->close();
    co_await write(*replicas[0], 12);
  });
}

TEST_F(Membership, AProvenLiarIsIsolatedAndCannotComeBack) {
  run(4, 5, [this](Replicas& replicas) -> Task<> {
    for (auto& replica : replicas) replica->open();
    co_await write(*replicas[0], 12);
    const ClusterId cluster = cluster_of(replicas[0]->genesis);
    const auto vote = [&](std::string_view what) {
      const Statement said{Phase::Prepare, 1, 0, 1'000'000, base::sha256(what)};
      return Vote{said, 2, replicas[2]->key.sign(signed_bytes(cluster, said))};
    };
    const Evidence proof{vote("one"), vote("another")};
    EXPECT_TRUE(co_await replicas[1]->node->order(encode(OnCluster<Evidence>{0, proof}), 20s));
    co_await reach_epoch({0, 1, 2, 3, 4}, 2);
    const auto configuration = co_await replicas[0]->node->read(
        ReplicaNode::Consistency::Linearizable, 20s,
        [&](const state::View& view) { return configuration_of(view, replicas[0]->genesis); });
    EXPECT_EQ(configuration->voters.isolated, std::vector<ReplicaId>{2});
    co_await write(*replicas[0], 12);
    const auto changed = co_await change_voters(2, {0, 1, 3, 4}, {co_await learnt(*replicas[4])});
    EXPECT_FALSE(changed.refused) << changed.message;
    co_await reach_epoch({0, 1, 3, 4}, 3);
    co_await write(*replicas[4], 12);
    const auto back = co_await change_voters(3, {0, 1, 3, 4, 2}, {co_await learnt(*replicas[2])});
    EXPECT_EQ(back.refused, Errc::FailedPrecondition);
    EXPECT_NE(back.message.find("new key"), std::string::npos) << back.message;
  });
}

TEST_F(Membership, UnsafeChangesAreRefusedWithTheReason) {
  run(4, 5, [this](Replicas& replicas) -> Task<> {
    for (auto& replica : replicas) replica->open();
    co_await write(*replicas[0], 12);
    auto copy = co_await learnt(*replicas[4]);
    const auto says = [](const state::Outcome& outcome, Errc code, std::string_view words) {
      EXPECT_EQ(outcome.refused, code) << outcome.message;
      EXPECT_NE(outcome.message.find(words), std::string::npos) << outcome.message;
    };
    says(co_await change_voters(1, {0, 1}), Errc::FailedPrecondition, "2 voters would go at once");
    says(co_await change_voters(2, {0, 1, 2}), Errc::Conflict, "epoch 1 is under way");
    says(co_await change_voters(1, {0, 1, 2, 3}), Errc::InvalidArgument, "the voters already");
    says(co_await change_voters(1, {0, 1, 2, 3, 3}), Errc::InvalidArgument, "twice");
    says(co_await change_voters(1, {0, 1, 2, 3, 4}), Errc::NotVerified, "has not shown");
    Copy wrong = copy;
    wrong.root[0] ^= 1;
    says(co_await change_voters(1, {0, 1, 2, 3, 4}, {wrong}), Errc::NotVerified, "another state");
    wrong = copy;
    wrong.signature[0] ^= 1;
    says(co_await change_voters(1, {0, 1, 2, 3, 4}, {wrong}), Errc::NotVerified, "not signed");
    says(co_await change_members({}, {1}), Errc::FailedPrecondition, "change the voters before");
    const auto by_a_node = co_await replicas[1]->node->order(
        encode(OnCluster<ChangeMembers>{0, {{}, {replicas[4]->key.public_key()}}}), 20s);
    EXPECT_EQ(by_a_node.error().code, Errc::Forbidden);
    EXPECT_FALSE((co_await change_voters(1, {0, 1, 2, 3, 4}, {copy})).refused);
    co_await reach_epoch({0, 1, 2, 3, 4}, 2);
    EXPECT_FALSE((co_await change_voters(2, {1, 2, 3, 4})).refused);
    co_await reach_epoch({1, 2, 3, 4}, 3);
    co_await write(*replicas[1], 1);
  });
}

TEST_F(Membership, TheNextVersionComesWhenAllAreUpgradedAndAnOlderProgramSaysSo) {
  run(4, 4, [this](Replicas& replicas) -> Task<> {
    ReplicaOptions later;
    later.engine.versions.newest = 2;
    for (auto& replica : replicas) replica->open();
    co_await write(*replicas[0], 12);
    const auto next = [&]() -> Task<state::Outcome> {
      ChangeVersion wanted{1, 2, {}};
      for (auto& replica : replicas) wanted.copies.push_back(co_await learnt(*replica));
      co_return co_await change(encode(OnCluster<ChangeVersion>{0, std::move(wanted)}));
    };
    for (auto& replica : replicas) {
      const auto early = co_await next();
      EXPECT_EQ(early.refused, Errc::FailedPrecondition) << early.message;
      co_await replica->close();
      replica->open(later);
      co_await write(*replica, 3);
    }
    const auto changed = co_await next();
    EXPECT_FALSE(changed.refused) << changed.message;
    co_await reach_epoch({0, 1, 2, 3}, 2);
    EXPECT_EQ(replicas[0]->node->status().version, 2);
    co_await write(*replicas[0], 12);
    co_await replicas[3]->close();
    const auto older = replicas[3]->try_open();
    EXPECT_EQ(older.error().code, Errc::Unsupported);
    EXPECT_FALSE(older.error().hints.empty());
    co_await write(*replicas[0], 3);
    replicas[3]->open(later);
    co_await write(*replicas[3], 3);
  });
}

TEST_F(Membership, WhoMissedALaterVersionStopsAndSaysWhatToDo) {
  run(4, 4, [this](Replicas& replicas) -> Task<> {
    ReplicaOptions later;
    later.engine.versions.newest = 2;
    for (auto& replica : replicas) replica->open(later);
    co_await write(*replicas[0], 12);
    ChangeVersion wanted{1, 2, {}};
    for (auto& replica : replicas) wanted.copies.push_back(co_await learnt(*replica));
    co_await replicas[3]->close();
    const auto changed = co_await change(encode(OnCluster<ChangeVersion>{0, std::move(wanted)}));
    EXPECT_FALSE(changed.refused) << changed.message;
    co_await reach_epoch({0, 1, 2}, 2);
    replicas[3]->open();
    const auto why = co_await replicas[3]->node->failed();
    EXPECT_EQ(why.code, Errc::Unsupported) << why.describe();
    EXPECT_FALSE(why.hints.empty());
    co_await replicas[3]->close();
    replicas[3]->open(later);
    co_await reach_epoch({3}, 2);
    co_await write(*replicas[3], 3);
  });
}

}  // namespace
}  // namespace hypermesh::consensus::testing
