// What a node finds on its disk and cannot use: it says what, and what to do, and changes nothing.
// And keys that are rotated while it works.

#include <base/async/task_scope.hpp>
#include <fstream>

#include "at_rest/key_ring.hpp"
#include "at_rest/sealed_record.hpp"
#include "consensus/log/crc32c.hpp"
#include "consensus/node/testing/cluster.hpp"

namespace hypermesh::consensus::testing {
namespace {

class AtRest : public ClusterTest {
 protected:
  // The last of four is closed, `spoil`ed, refuses to open, and goes on when that is undone.
  void expect_untouched(std::function<void(TestReplica&)> spoil,
                        std::function<void(TestReplica&)> undo, Errc code, std::string says,
                        std::string hint) {
    run(4, 4, [=, this](Replicas& all) -> Task<> {
      TestReplica& odd = *all[3];
      for (auto& replica : all) replica->open();
      co_await write(*all[0], 15);
      co_await write(odd, 1);
      co_await odd.close();
      spoil(odd);
      const auto refused = odd.try_open();
      EXPECT_FALSE(refused);
      if (refused) co_return;
      EXPECT_EQ(refused.error().code, code) << refused.error().describe();
      EXPECT_NE(refused.error().describe().find(says), std::string::npos)
          << refused.error().describe();
      EXPECT_EQ(refused.error().hints.empty() ? "" : refused.error().hints[0], hint);
      co_await write(*all[0], 1);
      undo(odd);
      odd.open();
      EXPECT_TRUE(odd.node->status().votes);
      // It is needed now.
      co_await all[1]->close();
      co_await write(odd, 1);
      co_await expect_all_there(odd);
    });
  }
  Task<> write(TestReplica& through, int count) {
    for (int i = 0; i < count; ++i, ++written_) {
      const auto text = std::to_string(written_);
      const auto done = co_await through.node->order(put("k" + text, text), 20s);
      EXPECT_TRUE(done) << done.error().describe();
    }
  }
  Task<> write_until(TestReplica& through, const bool& over) {
    while (!over) co_await write(through, 1);
  }
  Task<> expect_all_there(TestReplica& at) const {
    for (int i = 0; i < written_; ++i) {
      const auto value = co_await at.node->read(
          ReplicaNode::Consistency::Linearizable, 20s,
          [i](const state::View& view) { return view.get("k" + std::to_string(i)); });
      EXPECT_TRUE(value && *value && (*value)->value == std::to_string(i)) << i;
    }
  }
  static at_rest::Passphrase passphrase(std::string_view text) {
    const auto bytes = base::as_bytes(text);
    return {base::SecretBytes(base::Bytes(bytes.begin(), bytes.end()))};
  }
  std::unique_ptr<at_rest::KeyRing> make_ring(const std::string& name) {
    return std::move(*at_rest::make_key_ring(folder / name, passphrase("right"), rng_));
  }

  base::SystemRng rng_;
  int written_ = 0;
};

// Of every file of a log; the prefix is the same in every version.
void set_version(const TestReplica& replica, std::uint16_t version) {
  for (const auto& file : std::filesystem::directory_iterator(replica.folder / "log")) {
    if (file.path().extension() != ".log") continue;
    std::fstream bytes(file.path(), std::ios::in | std::ios::out | std::ios::binary);
    base::ByteWriter prefix;
    prefix.raw(base::as_bytes("HMRECLOG"));
    prefix.u16(version);
    prefix.u16(0);
    prefix.u32(crc32c(prefix.view()));
    const auto text = base::as_text(prefix.view());
    bytes.write(text.data(), static_cast<std::streamsize>(text.size()));
  }
}

TEST_F(AtRest, ALogOfANewerVersionIsLeftAlone) {
  expect_untouched([](TestReplica& replica) { set_version(replica, kLogVersion + 1); },
                   [](TestReplica& replica) { set_version(replica, kLogVersion); },
                   Errc::FailedPrecondition, "the log has version 2 and this program reads up to 1",
                   "start the version that wrote it, or a newer one");
}

TEST_F(AtRest, ARecordOfANewerVersionEndsTheOpening) {
  const auto kept = folder / "kept";
  expect_untouched(
      [kept](TestReplica& replica) {
        std::filesystem::copy(replica.folder / "log", kept);
        auto log = *open_segment_log(*open_disk_files(replica.folder / "log"), *replica.log_cipher,
                                     replica.log_options);
        EXPECT_TRUE(log->append(0, base::Bytes{9, 1, 2, 3}));
        EXPECT_TRUE(log->sync());
      },
      [kept](TestReplica& replica) {
        std::filesystem::remove_all(replica.folder / "log");
        std::filesystem::rename(kept, replica.folder / "log");
      },
      Errc::Unsupported, "a record of version 9; this program reads 1",
      "start the version that wrote it, or a newer one; nothing was changed");
}

TEST_F(AtRest, AStateOfANewerVersionIsLeftAlone) {
  const auto turn = [](TestReplica& replica, char by) {
    auto storage =
        *state::open_rocksdb_storage(replica.folder / "state", {}, *replica.state_cipher, {});
    auto meta = storage->get(state::kLocalMetaKey).value().value();
    meta[0] = static_cast<char>(meta[0] + by);
    state::Storage::Batch batch;
    batch.put(std::string(state::kLocalMetaKey), std::move(meta));
    EXPECT_TRUE(storage->write(batch));
    EXPECT_TRUE(storage->flush());
  };
  expect_untouched([turn](TestReplica& replica) { turn(replica, 1); },
                   [turn](TestReplica& replica) { turn(replica, -1); }, Errc::Unsupported,
                   "the replicated state: the state has format",
                   "start the version that wrote it, or a newer one; nothing was changed");
}

TEST_F(AtRest, OtherKeysOpenNothingAndHarmNothing) {
  auto other = make_ring("other");
  expect_untouched(
      [&other](TestReplica& replica) { replica.log_cipher = replica.state_cipher = other.get(); },
      [](TestReplica& replica) { replica.log_cipher = replica.state_cipher = &replica.cipher; },
      Errc::FailedPrecondition, "the log was sealed with other keys",
      "bring back the key ring that belongs to this data folder");
}

TEST_F(AtRest, AWrongPassphraseAndAKeyFileThatIsGoneAreNamed) {
  std::unique_ptr<at_rest::KeyRing> ring;
  const auto key_file = folder / "key", ring_path = folder / "ring";
  expect_untouched(
      [&](TestReplica&) {
        make_ring("typed").reset();
        const auto typed = at_rest::open_key_ring(folder / "typed", passphrase("wrong"), rng_);
        EXPECT_EQ(typed.error().code, Errc::NotVerified);
        EXPECT_FALSE(typed.error().hints.empty());
        EXPECT_TRUE(at_rest::open_key_ring(folder / "typed", passphrase("right"), rng_));
        EXPECT_TRUE(at_rest::make_key_ring(ring_path, at_rest::KeyFile{key_file}, rng_));
        std::filesystem::rename(key_file, folder / "elsewhere");
        const auto gone = at_rest::open_key_ring(ring_path, at_rest::KeyFile{key_file}, rng_);
        EXPECT_EQ(gone.error().code, Errc::NotFound);
        EXPECT_NE(gone.error().describe().find(key_file.string()), std::string::npos);
        EXPECT_FALSE(gone.error().hints.empty());
        EXPECT_FALSE(std::filesystem::exists(key_file));  // It is not made anew.
        std::filesystem::rename(folder / "elsewhere", key_file);
        ring = std::move(*at_rest::open_key_ring(ring_path, at_rest::KeyFile{key_file}, rng_));
        replicas[3]->log_cipher = replicas[3]->state_cipher = ring.get();
      },
      [](TestReplica& replica) { replica.log_cipher = replica.state_cipher = &replica.cipher; },
      Errc::FailedPrecondition, "the log was sealed with other keys",
      "bring back the key ring that belongs to this data folder");
}

// Counts what is sealed by the keys of one epoch.
class WatchedRing final : public at_rest::RecordCipher {
 public:
  explicit WatchedRing(at_rest::KeyRing& ring) : ring_(ring) {}
  base::Bytes seal(base::BytesView plain, base::BytesView context) override {
    auto sealed = ring_.seal(plain, context);
    if (at_rest::epoch_of(sealed).value() == watched) ++sealed_with;
    return sealed;
  }
  Result<base::Bytes> open(base::BytesView sealed, base::BytesView context) const override {
    return ring_.open(sealed, context);
  }
  std::atomic<at_rest::KeyEpoch> watched = 0;
  std::atomic<std::size_t> sealed_with = 0;

 private:
  at_rest::KeyRing& ring_;
};

TEST_F(AtRest, KeysAreRotatedWhileWritesGoOn) {
  auto ring = make_ring("ring");
  WatchedRing log_ring(*ring), state_ring(*ring);
  run(4, 4, [&](Replicas& all) -> Task<> {
    TestReplica& rotating = *all[0];
    rotating.log_cipher = &log_ring;
    rotating.state_cipher = &state_ring;
    for (auto& replica : all) replica->open();
    bool over = false;
    base::TaskScope scope(rotating.executor);
    scope.spawn(write_until(rotating, over));
    for (int rotations = 0; rotations < 3; ++rotations) {
      const auto epoch = ring->rotate();
      EXPECT_TRUE(epoch) << epoch.error().describe();
      log_ring.sealed_with = state_ring.sealed_with = 0;
      log_ring.watched = state_ring.watched = epoch.value_or(0);
      while (log_ring.sealed_with == 0 || state_ring.sealed_with == 0)
        co_await rotating.node->applied_after(rotating.node->status().applied, 1s);
      if (rotations == 0) std::filesystem::copy(folder / "ring", folder / "backup");
    }
    over = true;
    co_await scope.join();
    co_await rotating.close();
    // An older ring does not have the newest keys, and harms nothing.
    auto old = std::move(*at_rest::open_key_ring(folder / "backup", passphrase("right"), rng_));
    rotating.log_cipher = rotating.state_cipher = old.get();
    const auto refused = rotating.try_open();
    EXPECT_EQ(refused ? Errc::Internal : refused.error().code, Errc::FailedPrecondition);
    if (refused) co_return;
    EXPECT_NE(refused.error().describe().find("has epochs 1 to 2"), std::string::npos)
        << refused.error().describe();
    EXPECT_EQ(refused.error().hints.empty() ? "" : refused.error().hints[0],
              "bring back the key ring that has it");
    auto opened = std::move(*at_rest::open_key_ring(folder / "ring", passphrase("right"), rng_));
    EXPECT_EQ(opened->current_epoch(), 4u);
    rotating.log_cipher = rotating.state_cipher = opened.get();
    rotating.open();
    EXPECT_TRUE(rotating.node->status().votes);
    co_await all[1]->close();
    co_await write(rotating, 1);
    co_await expect_all_there(rotating);
    co_await rotating.close();
  });
}

}  // namespace
}  // namespace hypermesh::consensus::testing
