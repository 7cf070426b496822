// A replica whose state is not what it should be finds that out when a quorum signs another, lets
// all of it go and fetches theirs; nobody takes it for a liar.

#include "consensus/node/testing/cluster.hpp"
#include "state/row.hpp"

namespace hypermesh::consensus::testing {
namespace {

class DamagedState : public ClusterTest {
 protected:
  Task<> write(TestReplica& through, int count) {
    for (int i = 0; i < count; ++i) {
      const auto done = co_await through.node->order(put("n", std::to_string(++written_)), 20s);
      EXPECT_TRUE(done) << done.error().describe();
    }
  }
  static Task<Result<std::string>> read(TestReplica& at, ReplicaNode::Consistency consistency,
                                        std::string key) {
    co_return co_await at.node->read(consistency, 20s,
                                     [key](const state::View& view) -> Result<std::string> {
                                       TRY(const auto found, view.get(key));
                                       return found ? found->value : std::string();
                                     });
  }
  // Of the newest value of a key; while the replica is closed. Sealed by another cipher it does not
  // open, as when bits of it have rotted.
  static void change(TestReplica& replica, const std::string& key, const std::string& value,
                     at_rest::RecordCipher& cipher) {
    const auto full = state::full_key(state::Space::User, key);
    const auto row =
        state::read_row_at(*stored_by(replica, *replica.state_cipher), full, ~state::Stamp(0))
            .value()
            .value();
    const auto storage = stored_by(replica, cipher);
    state::Storage::Batch batch;
    batch.put(state::row_key(full, row.first),
              state::encode_row(row.second.created, row.second.lease, value));
    EXPECT_TRUE(storage->write(batch));
    EXPECT_TRUE(storage->flush());
  }
  static std::unique_ptr<state::Storage> stored_by(TestReplica& replica,
                                                   at_rest::RecordCipher& cipher) {
    return *state::open_rocksdb_storage(replica.folder / "state", {}, cipher, {});
  }
  // The last of four counts again, and nobody was isolated.
  Task<> expect_healed(Replicas& all) {
    TestReplica& healed = *all[3];
    for (;;) {
      const auto value = co_await read(healed, ReplicaNode::Consistency::Linearizable, "k");
      if (value == "good") break;
      if (!value) EXPECT_EQ(value.error().code, Errc::Unavailable) << value.error().describe();
      co_await healed.node->applied_after(healed.node->status().applied, 20ms);
    }
    EXPECT_TRUE(healed.node->status().votes);
    co_await write(healed, 25);
    co_await all[1]->close();
    co_await write(*all[0], 25);
    EXPECT_EQ(co_await read(healed, ReplicaNode::Consistency::Linearizable, "n"),
              std::to_string(written_));
    EXPECT_EQ(co_await read(healed, ReplicaNode::Consistency::Linearizable, "k"), "good");
    for (const auto& replica : all)
      if (replica->node) EXPECT_EQ(replica->node->status().epoch, 1u);
  }
  // What is not hashed into the stored tree yet is changed, so that the next one is another.
  Task<> damage(Replicas& all) {
    for (auto& replica : all) replica->open();
    co_await write(*all[3], 12);
    EXPECT_TRUE(co_await all[3]->node->order(put("k", "good"), 20s));
    co_await all[3]->close();
    change(*all[3], "k", "evil", *all[3]->state_cipher);
    all[3]->open();
    EXPECT_EQ(co_await read(*all[3], ReplicaNode::Consistency::Local, "k"), "evil");
    all[3]->node->on_executed([this](const Link& link, const Executed&) {
      EXPECT_GT(link.block.slot, observed_);
      observed_ = link.block.slot;
    });
  }

  int written_ = 0;
  Slot observed_ = 0;
};

TEST_F(DamagedState, IsFoundOutAndFetchedAnew) {
  run(4, 4, [this](Replicas& all) -> Task<> {
    co_await damage(all);
    // Past several checkpoints, of which it signs what it has.
    co_await write(*all[3], 35);
    co_await expect_healed(all);
  });
}

// Nothing is written where it is, so no checkpoint would tell.
TEST_F(DamagedState, IsFoundOutByWhoReadsIt) {
  run(4, 4, [this](Replicas& all) -> Task<> {
    for (auto& replica : all) replica->open();
    EXPECT_TRUE(co_await all[3]->node->order(put("k", "good"), 20s));
    co_await write(*all[3], 25);
    co_await all[3]->close();
    at_rest::FixedKeyCipher rotten(77);
    change(*all[3], "k", "good", rotten);
    all[3]->open();
    const auto damaged = co_await read(*all[3], ReplicaNode::Consistency::Local, "k");
    EXPECT_FALSE(damaged);
    if (!damaged) EXPECT_EQ(damaged.error().code, Errc::DataLoss) << damaged.error().describe();
    co_await expect_healed(all);
  });
}

// It signed a checkpoint of a state that it does not have any more, and signs no other for it.
TEST_F(DamagedState, CanBeRemovedByHand) {
  run(4, 4, [this](Replicas& all) -> Task<> {
    co_await damage(all);
    co_await write(*all[3], 10);
    co_await all[3]->close();
    std::filesystem::remove_all(all[3]->folder / "state");
    all[3]->open();
    co_await expect_healed(all);
  });
}

}  // namespace
}  // namespace hypermesh::consensus::testing
