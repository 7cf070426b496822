// Replicas whose disks refuse: what was acknowledged stays, the others go on, and a replica goes on
// when its disk is well and it is opened anew.

#include <atomic>
#include <base/async/task_scope.hpp>

#include "consensus/node/testing/cluster.hpp"

namespace hypermesh::consensus::testing {
namespace {

// Set by a test, looked at by workers.
struct Fault {
  std::atomic<bool> full = false, sync_fails = false, stuck = false;
  mutable std::atomic<bool> rotten = false;  // Until all of it is dropped.

  Result<> room() const {
    if (!full) return {};
    return std::unexpected(base::with_hint(
        base::make_error(Errc::ResourceExhausted, "cannot make /disk/2.log: 0 bytes are free"),
        "free space on /disk"));
  }
  Result<> reads() const {
    if (!rotten) return {};
    return base::fail(Errc::DataLoss, "block checksum mismatch in /disk/000012.sst");
  }
};

class FaultyFiles final : public LogFiles {
 public:
  FaultyFiles(std::unique_ptr<LogFiles> files, const Fault& fault)
      : files_(std::move(files)), fault_(fault) {}

  std::string path(const std::string& name) const override { return files_->path(name); }
  Result<std::vector<std::string>> list() const override { return files_->list(); }
  Result<Content> read(const std::string& name, std::uint64_t bytes_max) const override {
    return files_->read(name, bytes_max);
  }
  Result<> create(const std::string& name, base::BytesView head, std::uint64_t size) override {
    TRY_DO(fault_.room());
    return files_->create(name, head, size);
  }
  Result<> write(const std::string& name, std::uint64_t offset, base::BytesView bytes) override {
    TRY_DO(fault_.room());
    return files_->write(name, offset, bytes);
  }
  Result<> sync(const std::string& name) override {
    fault_.stuck.wait(true);
    if (fault_.sync_fails) return base::fail(Errc::Unavailable, "the disk does not take the data");
    return files_->sync(name);
  }
  Result<> cut(const std::string& name, std::uint64_t size) override {
    return files_->cut(name, size);
  }
  Result<> remove(const std::string& name) override { return files_->remove(name); }

 private:
  std::unique_ptr<LogFiles> files_;
  const Fault& fault_;
};

class FaultyStorage final : public state::Storage {
 public:
  FaultyStorage(std::unique_ptr<state::Storage> storage, const Fault& fault)
      : storage_(std::move(storage)), fault_(fault) {}

  Result<std::optional<std::string>> get(std::string_view key) const override {
    TRY_DO(fault_.reads());
    return storage_->get(key);
  }
  Result<> scan(std::string_view from, std::string_view end, const Visit& visit) const override {
    TRY_DO(fault_.reads());
    return storage_->scan(from, end, visit);
  }
  std::unique_ptr<state::Reader> snapshot() const override { return storage_->snapshot(); }
  Result<> write(const Batch& batch) override {
    TRY_DO(fault_.room());
    if (!batch.delete_ranges.empty()) fault_.rotten = false;
    return storage_->write(batch);
  }
  Result<> flush() override {
    TRY_DO(fault_.room());
    return storage_->flush();
  }
  Result<> reopen() override { return storage_->reopen(); }

 private:
  std::unique_ptr<state::Storage> storage_;
  const Fault& fault_;
};

class DiskFaults : public ClusterTest {
 protected:
  struct Case {
    std::function<void(TestReplica&)> wrap;
    std::atomic<bool>* fault = nullptr;
    Errc code{};            // Of the error that ends the replica.
    std::string says;       // It.
    std::string hint;       // What to do about it.
    bool under_log = true;  // What cannot be written is what a vote waits for.
  };

  // The last of four has the bad disk.
  void expect_survived(Case bad_disk) {
    run(4, 4, [this, bad_disk](Replicas& all) -> Task<> {
      TestReplica& bad = *all[3];
      bad_disk.wrap(bad);
      for (auto& replica : all) replica->open();
      for (int i = 0; i < 10; ++i) EXPECT_TRUE(co_await write(bad));
      const Slot before = all[0]->node->status().committed;
      all[0]->node->on_vote([this, before](const Vote& vote) {
        if (vote.replica == 3 && vote.statement.slot > before) ++votes_;
      });
      *bad_disk.fault = true;
      // The others go on; more than a window, so that it is behind.
      for (int i = 0; i < 30; ++i) EXPECT_TRUE(co_await write(*all[0]));
      const base::Error why = co_await bad.node->failed();
      EXPECT_EQ(why.code, bad_disk.code) << why.describe();
      EXPECT_NE(why.describe().find(bad_disk.says), std::string::npos) << why.describe();
      EXPECT_EQ(why.hints.empty() ? "" : why.hints[0], bad_disk.hint);
      if (bad_disk.under_log) EXPECT_EQ(votes_, 0u) << "what it said was not on its disk";
      // Whoever asks it learns why.
      const auto refused = co_await bad.node->order(put("late", "1"), 1s);
      EXPECT_EQ(refused.error().code, Errc::Unavailable);
      EXPECT_NE(refused.error().message.find(bad_disk.says), std::string::npos)
          << refused.error().message;
      EXPECT_EQ(refused.error().hints, why.hints);
      const auto unread = co_await bad.node->read(
          ReplicaNode::Consistency::Local, 1s, [](const state::View&) -> Result<> { return {}; });
      EXPECT_EQ(unread.error().code, Errc::Unavailable);
      co_await bad.close();
      // Too early.
      bad.open();
      EXPECT_EQ((co_await bad.node->failed()).code, bad_disk.code);
      co_await bad.close();
      *bad_disk.fault = false;
      bad.open();
      EXPECT_TRUE(bad.node->status().votes);
      for (int i = 0; i < 5; ++i) EXPECT_TRUE(co_await write(bad));
      // It is needed now.
      co_await all[1]->close();
      EXPECT_TRUE(co_await write(*all[0]));
      // All that was acknowledged, through the one that had failed.
      co_await expect_all_there(bad);
    });
  }
  Task<> expect_all_there(TestReplica& at) const {
    for (int i = 0; i < written_; ++i) {
      const auto value = co_await at.node->read(
          ReplicaNode::Consistency::Linearizable, 20s,
          [i](const state::View& view) { return view.get("k" + std::to_string(i)); });
      EXPECT_TRUE(value && *value && (*value)->value == std::to_string(i));
    }
  }
  Task<bool> write(TestReplica& through) {
    const auto text = std::to_string(written_);
    const auto done = co_await through.node->order(put("k" + text, text), 20s);
    if (done) ++written_;
    co_return done.has_value();
  }
  void with_log(TestReplica& replica) {
    replica.wrap_files = [this](std::unique_ptr<LogFiles> files) -> std::unique_ptr<LogFiles> {
      return std::make_unique<FaultyFiles>(std::move(files), fault_);
    };
  }
  void with_storage(TestReplica& replica) {
    replica.wrap_storage =
        [this](std::unique_ptr<state::Storage> storage) -> std::unique_ptr<state::Storage> {
      return std::make_unique<FaultyStorage>(std::move(storage), fault_);
    };
  }

  Fault fault_;

 private:
  std::size_t votes_ = 0;  // Of the last of four, on what was proposed after its disk was bad.
  int written_ = 0;
};

TEST_F(DiskFaults, AFullDiskUnderTheLogStopsTheReplicaUntilThereIsRoom) {
  expect_survived({[this](TestReplica& replica) { with_log(replica); }, &fault_.full,
                   Errc::ResourceExhausted, "cannot make /disk/2.log: 0 bytes are free",
                   "free space on /disk"});
}

TEST_F(DiskFaults, ASyncThatFailsStopsTheReplicaBeforeItSaysAnything) {
  expect_survived({[this](TestReplica& replica) { with_log(replica); }, &fault_.sync_fails,
                   Errc::Unavailable, "the disk does not take the data",
                   "when the disk is well, stop this replica and open it anew: it goes on from "
                   "what is on disk"});
}

TEST_F(DiskFaults, AFullDiskUnderTheStateStopsTheReplicaUntilThereIsRoom) {
  expect_survived({[this](TestReplica& replica) { with_storage(replica); }, &fault_.full,
                   Errc::ResourceExhausted, "cannot make /disk/2.log: 0 bytes are free",
                   "free space on /disk", false});
}

// It has promised nothing about what is lost, and goes on voting.
TEST_F(DiskFaults, AStateThatCannotBeReadIsFetchedAnew) {
  run(4, 4, [this](Replicas& all) -> Task<> {
    TestReplica& bad = *all[3];
    with_storage(bad);
    for (auto& replica : all) replica->open();
    for (int i = 0; i < 25; ++i) EXPECT_TRUE(co_await write(bad));
    fault_.rotten = true;
    for (int i = 0; i < 35; ++i) EXPECT_TRUE(co_await write(*all[0]));
    EXPECT_FALSE(fault_.rotten);
    EXPECT_TRUE(co_await write(bad));
    co_await expect_all_there(bad);
    EXPECT_TRUE(bad.node->status().votes);
    co_await all[1]->close();
    EXPECT_TRUE(co_await write(*all[0]));
    for (const auto& replica : all)
      if (replica->node) EXPECT_EQ(replica->node->status().epoch, 1u);
  });
}

// It takes in no more than its log may hold back, and catches up.
TEST_F(DiskFaults, ADiskThatIsStuckStopsNobody) {
  run(4, 4, [this](Replicas& all) -> Task<> {
    TestReplica& slow = *all[3];
    with_log(slow);
    slow.log_options.pending_bytes_max = 1 << 20;
    for (auto& replica : all) replica->open();
    EXPECT_TRUE(co_await write(slow));
    fault_.stuck = true;
    const std::string large(64 << 10, 'x');
    for (int i = 0; i < 40; ++i)
      EXPECT_TRUE(co_await all[0]->node->order(put("large", large + std::to_string(i)), 20s));
    fault_.stuck = false;
    fault_.stuck.notify_all();
    EXPECT_TRUE(co_await write(slow));
    const auto value =
        co_await slow.node->read(ReplicaNode::Consistency::Linearizable, 20s,
                                 [](const state::View& view) { return view.get("large"); });
    EXPECT_TRUE(value && *value && (*value)->value == large + "39");
  });
}

}  // namespace
}  // namespace hypermesh::consensus::testing
