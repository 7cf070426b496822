#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <thread>

#include "at_rest/testing/fixed_key_cipher.hpp"
#include "consensus/log/disk_files.hpp"
#include "consensus/log/segment_log.hpp"

namespace hypermesh::consensus {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

/// What the record of an lsn says in these tests.
base::Bytes payload_of(Lsn lsn) {
  base::SeededRng rng(lsn);
  base::Bytes payload(rng.below(500));
  rng.fill(payload);
  return payload;
}

class SegmentLogDiskTest : public testing::Test {
 protected:
  SegmentLogDiskTest() {
    std::string pattern = (std::filesystem::temp_directory_path() / "log-XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
    options_.segment_bytes = 64 * 1024;
    options_.payload_bytes_max = 4096;
  }
  ~SegmentLogDiskTest() override { std::filesystem::remove_all(folder_); }

  base::Result<std::unique_ptr<Log>> open() {
    TRY(auto files, open_disk_files(folder_ / "log"));
    return open_segment_log(std::move(files), cipher_, options_);
  }
  std::unique_ptr<Log> opened() {
    auto log = open();
    EXPECT_TRUE(log) << log.error().describe();
    return std::move(*log);
  }
  /// Appends and syncs up to `last`.
  static void grow(Log& log, Lsn last) {
    while (log.appended() < last) {
      const Lsn lsn = log.appended() + 1;
      ASSERT_EQ(*log.append(static_cast<std::uint8_t>(lsn), payload_of(lsn)), lsn);
    }
    ASSERT_EQ(*log.sync(), last);
  }
  /// Every record from `first` to `last` is there as it was appended, and no other up to there.
  static void expect_all(const Log& log, Lsn first, Lsn last) {
    Lsn next = first;
    const auto gaps = log.read(first, [&](const LogRecord& record) {
      EXPECT_EQ(record.lsn, next++);
      EXPECT_EQ(record.type, static_cast<std::uint8_t>(record.lsn));
      const base::Bytes expected = payload_of(record.lsn);
      EXPECT_TRUE(std::ranges::equal(record.payload, expected)) << record.lsn;
    });
    ASSERT_TRUE(gaps) << gaps.error().describe();
    EXPECT_TRUE(gaps->empty());
    EXPECT_GT(next, last);
  }
  std::vector<std::filesystem::path> segments() const {
    std::vector<std::filesystem::path> paths;
    for (const auto& entry : std::filesystem::directory_iterator(folder_ / "log"))
      paths.push_back(entry.path());
    std::ranges::sort(paths);
    return paths;
  }
  static void change(const std::filesystem::path& path, off_t offset, std::uint8_t bits) {
    const int fd = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
    std::uint8_t byte = 0;
    ASSERT_EQ(::pread(fd, &byte, 1, offset), 1);
    byte ^= bits;
    ASSERT_EQ(::pwrite(fd, &byte, 1, offset), 1);
    ::close(fd);
  }

  std::filesystem::path folder_;
  at_rest::FixedKeyCipher cipher_;
  LogOptions options_;
};

TEST_F(SegmentLogDiskTest, RecordsAreThereAfterAReopen) {
  for (const Lsn last : {Lsn{700}, Lsn{701}, Lsn{1500}}) {
    auto log = opened();
    EXPECT_TRUE(log->opened().gaps.empty());
    EXPECT_FALSE(log->opened().torn_tail);
    expect_all(*log, 1, log->durable());
    grow(*log, last);
    expect_all(*log, 1, last);
    expect_all(*log, last / 2, last);
  }
  EXPECT_GT(segments().size(), 5u);
  for (const auto& path : segments()) {
    struct stat status{};
    ASSERT_EQ(::stat(path.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777, 0600u);
  }
}

TEST_F(SegmentLogDiskTest, FilesThatAreNotNeededGo) {
  auto log = opened();
  grow(*log, 1000);
  const std::size_t before = segments().size();
  ASSERT_TRUE(log->drop_before(600));
  EXPECT_LT(segments().size(), before);
  expect_all(*log, 600, 1000);
  ASSERT_TRUE(log->drop_before(100'000));
  EXPECT_EQ(segments().size(), 1u);
  grow(*log, 1001);
  log.reset();
  log = opened();
  EXPECT_GT(log->opened().first, 600u);
  EXPECT_EQ(log->opened().last, 1001u);
  EXPECT_TRUE(log->opened().gaps.empty());
}

TEST_F(SegmentLogDiskTest, OneProcessHoldsTheFolder) {
  const auto log = opened();
  const auto refused = open();
  EXPECT_EQ(refused.error().code, base::Errc::FailedPrecondition);
  EXPECT_THAT(refused.error().message, HasSubstr("another process uses"));
}

TEST_F(SegmentLogDiskTest, DamageOnDiskIsReportedUntilItIsDropped) {
  grow(*opened(), 100);
  change(segments().at(0), 20'000, 8);
  for (int i = 0; i < 2; ++i) {
    auto log = opened();
    ASSERT_EQ(log->opened().gaps.size(), 1u);
    const LogGap gap = log->opened().gaps[0];
    EXPECT_EQ(gap.first, gap.last);
    EXPECT_EQ(gap.file, segments().at(0).string());
    EXPECT_LE(gap.offset, 20'000u);
    EXPECT_GT(gap.offset + gap.bytes, 20'000u);
    std::size_t seen = 0;
    EXPECT_THAT(*log->read(1, [&](const LogRecord&) { ++seen; }), ElementsAre(gap));
    EXPECT_EQ(seen, log->durable() - 1);
    expect_all(*log, gap.last + 1, log->durable());
    grow(*log, log->durable() + 100);
    if (i == 1) ASSERT_TRUE(log->drop_before(log->durable()));
  }
  EXPECT_TRUE(opened()->opened().gaps.empty());
}

TEST_F(SegmentLogDiskTest, ADamagedHeaderHidesNoRecord) {
  grow(*opened(), 50);
  change(segments().at(0), 30, 1);
  const auto log = opened();
  EXPECT_THAT(log->opened().damaged_headers, ElementsAre(segments().at(0).string()));
  expect_all(*log, 1, 50);
}

TEST_F(SegmentLogDiskTest, AMissingFileIsAGap) {
  grow(*opened(), 1000);
  std::filesystem::remove(segments().at(1));
  const auto log = opened();
  ASSERT_EQ(log->opened().gaps.size(), 1u);
  EXPECT_TRUE(log->opened().gaps[0].acknowledged);
  expect_all(*log, log->opened().gaps[0].last + 1, 1000);
}

TEST_F(SegmentLogDiskTest, AnotherLogOrAnotherKeyIsRefusedAndNothingChanged) {
  grow(*opened(), 10);
  const auto size = std::filesystem::file_size(segments().at(0));
  options_.id = base::sha256("another");
  auto refused = open();
  EXPECT_EQ(refused.error().code, base::Errc::FailedPrecondition);
  EXPECT_THAT(refused.error().describe(), HasSubstr("belongs to log 00000000"));
  options_.id = {};
  at_rest::FixedKeyCipher other(99);
  refused = open_segment_log(*open_disk_files(folder_ / "log"), other, options_);
  EXPECT_EQ(refused.error().code, base::Errc::FailedPrecondition);
  EXPECT_THAT(refused.error().hints, ElementsAre(HasSubstr("key ring")));
  EXPECT_EQ(std::filesystem::file_size(segments().at(0)), size);
  expect_all(*opened(), 1, 10);
}

TEST_F(SegmentLogDiskTest, AFullDiskEndsTheLogAndKeepsWhatWasAcknowledged) {
  ASSERT_NE(std::signal(SIGXFSZ, SIG_IGN), SIG_ERR);
  auto log = opened();
  grow(*log, 100);
  struct rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  struct rlimit small = before;
  small.rlim_cur = 48 * 1024;
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  // The file that is open ends at the limit, and no other can be made.
  Lsn acknowledged = 100;
  base::Result<Lsn> written = acknowledged;
  while (written) {
    acknowledged = *written;
    ASSERT_LT(acknowledged, 10'000u);
    const Lsn next = log->appended() + 1;
    ASSERT_TRUE(log->append(static_cast<std::uint8_t>(next), payload_of(next)));
    written = log->sync();
  }
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  EXPECT_EQ(written.error().code, base::Errc::ResourceExhausted);
  EXPECT_THAT(written.error().message, HasSubstr((folder_ / "log").string()));
  EXPECT_THAT(written.error().message, HasSubstr("bytes are free there"));
  EXPECT_FALSE(written.error().hints.empty());
  // It does not go on by itself, even though there is space again.
  EXPECT_EQ(log->append(1, {}).error().code, base::Errc::ResourceExhausted);
  EXPECT_EQ(log->sync().error().code, base::Errc::ResourceExhausted);
  expect_all(*log, 1, acknowledged);
  log.reset();
  log = opened();
  EXPECT_TRUE(log->opened().gaps.empty());
  expect_all(*log, 1, acknowledged);
  grow(*log, log->durable() + 300);
}

TEST_F(SegmentLogDiskTest, LimitsAreNamed) {
  auto log = opened();
  const auto refused = log->append(1, base::Bytes(5000));
  EXPECT_EQ(refused.error().code, base::Errc::InvalidArgument);
  EXPECT_THAT(refused.error().message, HasSubstr("4096"));
  log.reset();
  options_.segment_bytes = 4096;
  EXPECT_EQ(open().error().code, base::Errc::InvalidArgument);
  options_ = {.segment_bytes = 64 * 1024, .payload_bytes_max = 4096, .pending_bytes_max = 1000};
  log = opened();
  ASSERT_TRUE(log->append(1, base::Bytes(990)));
  EXPECT_EQ(log->append(1, base::Bytes(990)).error().code, base::Errc::ResourceExhausted);
  ASSERT_TRUE(log->sync());
  EXPECT_EQ(*log->append(1, base::Bytes(990)), 2u);
}

// The engine's thread appends, a worker writes what has come together, a third one reads.
TEST_F(SegmentLogDiskTest, OneThreadAppendsWhileAnotherWrites) {
  auto log = opened();
  constexpr Lsn kLast = 2000;
  LogBatch handed;
  std::mutex mutex;
  std::jthread worker([&] {
    while (log->durable() < kLast) {
      LogBatch batch;
      {
        const std::lock_guard lock(mutex);
        std::swap(batch, handed);
      }
      if (!batch.empty()) EXPECT_TRUE(log->write(std::move(batch)));
    }
  });
  std::jthread reader([&] {
    while (log->durable() < kLast) {
      const Lsn durable = log->durable();
      expect_all(*log, durable / 2 + 1, durable);
    }
  });
  while (log->appended() < kLast || log->durable() < kLast) {
    if (const Lsn lsn = log->appended() + 1; lsn <= kLast)
      ASSERT_TRUE(log->append(static_cast<std::uint8_t>(lsn), payload_of(lsn)));
    const std::lock_guard lock(mutex);
    if (handed.empty()) handed = log->take();
  }
  worker.join();
  reader.join();
  expect_all(*log, 1, kLast);
}

/// Appends and syncs for ever, telling every acknowledged lsn.
[[noreturn]] void append_until_killed(Log& log, int pipe, std::uint64_t seed) {
  base::SeededRng rng(seed);
  for (;;) {
    for (std::uint64_t i = rng.below(20) + 1; i > 0; --i) {
      const Lsn lsn = log.appended() + 1;
      if (!log.append(static_cast<std::uint8_t>(lsn), payload_of(lsn))) ::_exit(1);
    }
    const auto durable = log.sync();
    if (!durable || ::write(pipe, &*durable, sizeof(Lsn)) != sizeof(Lsn)) ::_exit(1);
  }
}

TEST_F(SegmentLogDiskTest, WhatAKilledProcessAcknowledgedIsThere) {
  base::SeededRng rng(17);
  Lsn acknowledged = 0;
  for (std::uint64_t round = 0; round < 20; ++round) {
    std::array<int, 2> ends{};
    ASSERT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      auto log = open();
      if (!log) ::_exit(1);
      append_until_killed(**log, ends[1], round);
    }
    ::close(ends[1]);
    std::uint64_t left = rng.below(30) + 1;
    Lsn lsn = 0;
    while (::read(ends[0], &lsn, sizeof lsn) == sizeof lsn) {
      EXPECT_GT(lsn, acknowledged);
      acknowledged = lsn;
      if (--left == 0) ::kill(child, SIGKILL);
    }
    ::close(ends[0]);
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status));
    const auto log = opened();
    EXPECT_TRUE(log->opened().gaps.empty());
    EXPECT_GE(log->durable(), acknowledged);
    expect_all(*log, 1, log->durable());
    acknowledged = log->durable();
  }
}

}  // namespace
}  // namespace hypermesh::consensus
