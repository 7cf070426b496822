// The machine on RocksDB: the common suite, and what a crash may leave.

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>

#include "at_rest/testing/fixed_key_cipher.hpp"
#include "state/machine_suite_testing.hpp"
#include "state/memory_storage.hpp"
#include "state/rocksdb_storage.hpp"

namespace hypermesh::state {
namespace {

using testing::MachineTest;
using testing::Model;

class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern = std::filesystem::temp_directory_path() / "hypermesh-test-XXXXXX";
    path_ = ::mkdtemp(pattern.data());
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

// A storage in a folder that goes with it.
class OwnFolderStorage final : public Storage {
 public:
  OwnFolderStorage()
      : storage_(*open_rocksdb_storage(folder_.path(), {.free_bytes_min = 0}, cipher_, {})) {}
  base::Result<std::optional<std::string>> get(std::string_view key) const override {
    return storage_->get(key);
  }
  base::Result<> scan(std::string_view from, std::string_view end,
                      const Visit& visit) const override {
    return storage_->scan(from, end, visit);
  }
  std::unique_ptr<Reader> snapshot() const override { return storage_->snapshot(); }
  base::Result<> write(const Batch& batch) override { return storage_->write(batch); }
  base::Result<> flush() override { return storage_->flush(); }
  base::Result<> reopen() override { return storage_->reopen(); }

 private:
  TemporaryFolder folder_;
  at_rest::FixedKeyCipher cipher_;
  std::unique_ptr<Storage> storage_;
};

INSTANTIATE_TEST_SUITE_P(RocksDb, MachineTest, ::testing::Values([]() -> std::unique_ptr<Storage> {
                           return std::make_unique<OwnFolderStorage>();
                         }));

// Life `seed` of a machine: the same operations whenever and wherever it is lived.
class Life {
 public:
  explicit Life(std::uint64_t seed) : rng_(seed) {}

  /// Applies the next slot to the model, and to a machine if there is one.
  base::Result<> next(Machine* machine) {
    ++slot_;
    time_ += rng_.below(4);
    model.begin(time_);
    std::vector<Operation> operations;
    for (auto i = rng_.below(20); i > 0; --i) {
      operations.push_back(testing::random_operation(rng_, model, time_, 300));
      model.apply(operations.back(), time_);
    }
    if (!machine) return {};
    TRY_DO(machine->apply(slot_, time_, operations));
    if (slot_ % 10 == 0) TRY_DO(machine->checkpoint());
    if (slot_ % 37 == 0) TRY_DO(machine->flush());
    return {};
  }
  Slot slot() const { return slot_; }

  Model model;

 private:
  base::SeededRng rng_;
  Slot slot_ = 0;
  Time time_ = 0;
};

// Small, so that RocksDB writes files of its own accord between flushes.
const RocksDbStorageOptions kSmall{.write_buffer_bytes = 64 << 10, .free_bytes_min = 0};

constexpr Slot kFlushed = 1ull << 63;

// The child: lives until it is killed; tells each slot on standard output, with kFlushed when it
// is on disk.
int live(const std::filesystem::path& folder, std::uint64_t seed) {
  at_rest::FixedKeyCipher cipher(seed);
  const auto storage = open_rocksdb_storage(folder, kSmall, cipher, {});
  if (!storage) return 3;
  const auto machine = Machine::open(**storage, {.history_revisions_max = 50});
  if (!machine) return 4;
  Life life(seed);
  while (life.slot() < (*machine)->applied()) {
    if (!life.next(nullptr)) return 5;
  }
  while (true) {
    if (!life.next(machine->get())) return 6;
    const Slot told = life.slot() | (life.slot() % 37 == 0 ? kFlushed : 0);
    if (::write(1, &told, sizeof told) != sizeof told) return 7;
  }
}

TEST(RocksDbCrash, LeavesTheStateOfSomeSlot) {
  constexpr std::uint64_t kSeed = 11;
  const TemporaryFolder folder;
  base::SystemRng random;
  Slot flushed = 0, last_applied = 0;
  MemoryStorage memory;
  const auto undisturbed = Machine::open(memory, {});
  Life told(kSeed);
  for (int round = 0; round < 8; ++round) {
    int tell[2];
    ASSERT_EQ(::pipe(tell), 0);
    const pid_t child = ::fork();
    if (child == 0) {
      ::dup2(tell[1], 1);
      ::execl("/proc/self/exe", "live", folder.path().c_str(), nullptr);
      ::_exit(127);
    }
    ::close(tell[1]);
    const std::uint64_t kill_at = 1 + random.below(120);
    std::uint64_t told_slots = 0;
    Slot seen = 0;
    while (::read(tell[0], &seen, sizeof seen) == sizeof seen) {
      if ((seen & kFlushed) != 0) flushed = seen & ~kFlushed;
      ++told_slots;
      if (told_slots == kill_at) ::kill(child, SIGKILL);
    }
    ::close(tell[0]);
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status)) << "the child ended by itself: " << WEXITSTATUS(status);

    at_rest::FixedKeyCipher cipher(kSeed);
    const auto storage = open_rocksdb_storage(folder.path(), kSmall, cipher, {});
    ASSERT_TRUE(storage) << storage.error().describe();
    const auto machine = Machine::open(**storage, {.history_revisions_max = 50});
    ASSERT_TRUE(machine) << machine.error().describe();
    const Slot applied = (*machine)->applied();
    EXPECT_GE(applied, flushed) << "what was flushed survives";
    EXPECT_GE(applied, last_applied);
    while (told.slot() < applied) ASSERT_TRUE(told.next(undisturbed->get()));
    ASSERT_EQ((*machine)->root().value(), (*undisturbed)->root().value()) << "slot " << applied;
    const auto view = View::of(**storage);
    ASSERT_TRUE(view);
    testing::expect_equal(*view, told.model);
    last_applied = applied;
  }
  EXPECT_GT(last_applied, 50u) << "the children came to nothing";
}

TEST(RocksDbStorage, ADamagedOrForeignValueIsRefused) {
  const TemporaryFolder folder;
  at_rest::FixedKeyCipher cipher(1), other(2);
  Storage::Batch batch;
  batch.put("a", "secret value");
  {
    const auto storage = open_rocksdb_storage(folder.path(), {}, cipher, {});
    ASSERT_TRUE((*storage)->write(batch));
    EXPECT_EQ(*(*storage)->get("a"), "secret value");
    ASSERT_TRUE((*storage)->flush());
    EXPECT_EQ(open_rocksdb_storage(folder.path(), {}, cipher, {}).error().code,
              base::Errc::FailedPrecondition);
  }
  const auto storage = open_rocksdb_storage(folder.path(), {}, other, {});
  EXPECT_EQ((*storage)->get("a").error().code, base::Errc::DataLoss);
  EXPECT_EQ((*storage)->scan("", "", [](auto, auto) { return true; }).error().code,
            base::Errc::DataLoss);
}

TEST(RocksDbStorage, ASnapshotIsScannedAgainWithOtherBounds) {
  OwnFolderStorage storage;
  Storage::Batch batch;
  for (int i = 0; i < 500; ++i) batch.put(fmt::format("k{:03}", i), std::string(200, 'v'));
  ASSERT_TRUE(storage.write(batch));
  ASSERT_TRUE(storage.flush());
  const auto snapshot = storage.snapshot();
  base::SeededRng rng(4);
  for (int i = 0; i < 300; ++i) {
    const auto from = rng.below(500), end = rng.below(501);
    std::uint64_t next = from;
    std::uint64_t nested = 0;
    ASSERT_TRUE(snapshot->scan(fmt::format("k{:03}", from), fmt::format("k{:03}", end),
                               [&](std::string_view key, std::string_view) {
                                 EXPECT_EQ(key, fmt::format("k{:03}", next++));
                                 if (nested++ == 0) {
                                   EXPECT_TRUE(snapshot->scan("k100", "k101",
                                                              [](auto, auto) { return true; }));
                                 }
                                 return true;
                               }));
    EXPECT_EQ(next, std::max(from, end));
  }
}

TEST(RocksDbStorage, ASnapshotIsOfItsMoment) {
  OwnFolderStorage storage;
  Storage::Batch one, two;
  one.put("a", "1");
  one.put("b", "1");
  two.delete_ranges.emplace_back("a", "b");
  two.put("b", "2");
  ASSERT_TRUE(storage.write(one));
  const auto before = storage.snapshot();
  ASSERT_TRUE(storage.write(two));
  EXPECT_EQ(*before->get("a"), "1");
  EXPECT_EQ(*before->get("b"), "1");
  EXPECT_FALSE(*storage.get("a"));
  EXPECT_EQ(*storage.get("b"), "2");
}

}  // namespace
}  // namespace hypermesh::state

int main(int argc, char** argv) {
  if (std::string_view(argv[0]) == "live" && argc == 2) return hypermesh::state::live(argv[1], 11);
  ::testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
