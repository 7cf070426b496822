#include "consensus/log/segment_log.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "at_rest/testing/fixed_key_cipher.hpp"
#include "consensus/log/testing/memory_disk.hpp"

namespace hypermesh::consensus {
namespace {

using ::testing::HasSubstr;
using testing::MemoryDisk;
using Unsynced = MemoryDisk::Unsynced;

class SegmentLogTest : public ::testing::Test {
 protected:
  SegmentLogTest() {
    options_.segment_bytes = 16 * 1024;
    options_.payload_bytes_max = 1000;
  }

  void start() {
    log_.reset();
    auto log = open_segment_log(disk_.start(), cipher_, options_);
    ASSERT_TRUE(log) << log.error().describe();
    log_ = std::move(*log);
  }
  void append(std::uint64_t count) {
    for (; count > 0; --count) ASSERT_TRUE(log_->append(1, base::Bytes(400, 7)));
  }
  void add_batch(std::uint64_t count) {
    append(count);
    ASSERT_TRUE(log_->sync());
  }
  std::vector<Lsn> seen() const {
    std::vector<Lsn> lsns;
    EXPECT_TRUE(log_->read(1, [&](const LogRecord& record) { lsns.push_back(record.lsn); }));
    return lsns;
  }
  const std::vector<LogGap>& gaps() const { return log_->opened().gaps; }

  MemoryDisk disk_{1};
  at_rest::FixedKeyCipher cipher_;
  LogOptions options_;
  std::unique_ptr<Log> log_;
};

TEST_F(SegmentLogTest, OneSyncIsForAllThatCameTogether) {
  start();
  append(20);
  EXPECT_EQ(log_->durable(), 0u);
  EXPECT_EQ(log_->appended(), 20u);
  EXPECT_TRUE(seen().empty());
  EXPECT_EQ(*log_->sync(), 20u);
  EXPECT_EQ(disk_.syncs(), 1u);
  EXPECT_EQ(*log_->sync(), 20u);
  EXPECT_EQ(disk_.syncs(), 1u);
  EXPECT_EQ(seen().size(), 20u);
}

TEST_F(SegmentLogTest, AppendsGoOnWhileABatchIsWritten) {
  start();
  append(2);
  LogBatch first = log_->take();
  append(3);
  LogBatch second = log_->take();
  EXPECT_EQ(second.first(), 3u);
  EXPECT_EQ(*log_->write(std::move(first)), 2u);
  append(1);
  EXPECT_EQ(*log_->write(std::move(second)), 5u);
  EXPECT_EQ(*log_->sync(), 6u);
}

TEST_F(SegmentLogTest, AFailedSyncIsNeverTriedAgain) {
  start();
  add_batch(3);
  disk_.fail_next_sync();
  append(2);
  const auto failed = log_->sync();
  EXPECT_EQ(failed.error().code, base::Errc::DataLoss);
  const auto changes = disk_.changes();
  EXPECT_EQ(log_->append(1, {}).error().message, failed.error().message);
  EXPECT_EQ(log_->sync().error().message, failed.error().message);
  EXPECT_EQ(disk_.changes(), changes);
  EXPECT_EQ(log_->durable(), 3u);
  EXPECT_EQ(seen(), (std::vector<Lsn>{1, 2, 3}));
}

TEST_F(SegmentLogTest, ADiskThatIsFullEndsTheLogUntilThereIsSpace) {
  disk_.set_space(options_.segment_bytes);
  start();
  base::Result<Lsn> written = 0;
  for (int i = 0; i < 100 && written; ++i) {
    append(1);
    written = log_->sync();
  }
  EXPECT_EQ(written.error().code, base::Errc::ResourceExhausted);
  const Lsn durable = log_->durable();
  EXPECT_EQ(seen().size(), durable);
  disk_.set_space(1 << 20);
  start();
  EXPECT_EQ(log_->durable(), durable);
  add_batch(30);
  EXPECT_EQ(seen().size(), durable + 30);
}

TEST_F(SegmentLogTest, DamageThatALaterBatchKnowsOfWasAcknowledged) {
  start();
  add_batch(5);
  add_batch(5);
  ASSERT_TRUE(disk_.flip_record(3, 1000));
  start();
  ASSERT_EQ(gaps().size(), 1u);
  EXPECT_EQ(gaps()[0].first, 3u);
  EXPECT_EQ(gaps()[0].last, 3u);
  EXPECT_TRUE(gaps()[0].acknowledged);
}

TEST_F(SegmentLogTest, DamageInTheLastBatchIsNotCertainAndStaysSo) {
  start();
  add_batch(5);
  ASSERT_TRUE(disk_.flip_record(3, 1000));
  for (int i = 0; i < 3; ++i) {
    start();
    ASSERT_EQ(gaps().size(), 1u);
    EXPECT_EQ(gaps()[0].first, 3u);
    EXPECT_FALSE(gaps()[0].acknowledged);
    add_batch(40);
  }
}

TEST_F(SegmentLogTest, DamageToWhatALaterRunReadWasAcknowledged) {
  start();
  add_batch(5);
  start();
  add_batch(1);
  for (const Lsn lsn : {5u, 6u}) {
    ASSERT_TRUE(disk_.flip_record(lsn, 1000));
    start();
    ASSERT_EQ(gaps().back().first, lsn);
    EXPECT_EQ(gaps().back().acknowledged, lsn == 5);
  }
  EXPECT_TRUE(gaps().front().acknowledged);
}

TEST_F(SegmentLogTest, DamageBeforeAFullFileWasAcknowledged) {
  start();
  add_batch(30);  // Does not fit; the next file has one record at least.
  ASSERT_GE(disk_.names().size(), 1u);
  while (disk_.names().size() < 2) add_batch(1);
  const Lsn last = parse_segment_name(disk_.names()[1])->first - 1;
  ASSERT_TRUE(disk_.flip_record(last, 1000));
  start();
  ASSERT_EQ(gaps().size(), 1u);
  EXPECT_EQ(gaps()[0].first, last);
  EXPECT_TRUE(gaps()[0].acknowledged);
}

TEST_F(SegmentLogTest, AFileWithoutRecordsKeepsWhatItSaysOfTheOneBefore) {
  start();
  add_batch(1);
  // The power goes when the second file is made and nothing is in it yet.
  for (std::uint64_t i = 0; i < 100 && disk_.names().size() < 2; ++i) {
    append(1);
    disk_.cut_power_in(2, Unsynced::Lost);
    (void)log_->sync();
    if (disk_.has_power()) continue;
    start();
  }
  ASSERT_EQ(disk_.names().size(), 2u);
  const Lsn last = parse_segment_name(disk_.names()[1])->first - 1;
  start();
  ASSERT_EQ(log_->durable(), last);
  ASSERT_TRUE(disk_.flip_record(last, 1000));
  for (int i = 0; i < 3; ++i) {
    start();
    ASSERT_EQ(gaps().size(), 1u);
    EXPECT_EQ(gaps()[0].last, last);
    EXPECT_TRUE(gaps()[0].acknowledged);
    add_batch(1);
    ASSERT_EQ(log_->durable(), last + 1 + static_cast<Lsn>(i));
  }
}

TEST_F(SegmentLogTest, ThePowerMayGoAtAnyChange) {
  for (const Unsynced fate : {Unsynced::Lost, Unsynced::Cut, Unsynced::Sectors, Unsynced::Kept}) {
    for (std::uint64_t changes = 0; changes < 12; ++changes) {
      SCOPED_TRACE(::testing::Message() << changes << " " << static_cast<int>(fate));
      disk_ = MemoryDisk(changes);
      start();
      disk_.cut_power_in(changes, fate);
      Lsn told = 0;
      for (int i = 0; i < 8; ++i) {
        append(9);
        const auto written = log_->sync();
        if (!written) break;
        told = *written;
      }
      disk_.cut_power(fate);
      start();
      EXPECT_GE(log_->durable(), told);
      for (const LogGap& gap : gaps()) {
        EXPECT_GT(gap.first, told);
        EXPECT_FALSE(gap.acknowledged);
      }
      std::vector<Lsn> first = seen();
      first.resize(std::min<std::size_t>(first.size(), told));
      for (Lsn lsn = 1; lsn <= told; ++lsn) EXPECT_EQ(first.at(lsn - 1), lsn);
      start();
      EXPECT_FALSE(log_->opened().torn_tail);
    }
  }
}

TEST_F(SegmentLogTest, AnUnreadableSectorIsAGapEvenAtTheEnd) {
  start();
  add_batch(5);
  disk_.make_unreadable(disk_.names()[0], {.offset = 2048, .bytes = 4096});
  start();
  ASSERT_EQ(gaps().size(), 1u);
  EXPECT_EQ(gaps()[0].first, 4u);
  EXPECT_GE(gaps()[0].last, 5u);
  EXPECT_FALSE(log_->opened().torn_tail);
  EXPECT_EQ(seen(), (std::vector<Lsn>{1, 2, 3}));
  EXPECT_GT(log_->appended(), 4u);
}

TEST_F(SegmentLogTest, FilesThatCannotBeOfOneLogAreRefused) {
  start();
  add_batch(5);
  log_.reset();
  ASSERT_TRUE(disk_.start()->create("0000000000000002-0000000000000003.log", {}, 4096));
  ASSERT_TRUE(disk_.start()->create("0000000000000003-0000000000000002.log", {}, 4096));
  const auto refused = open_segment_log(disk_.start(), cipher_, options_);
  EXPECT_EQ(refused.error().code, base::Errc::FailedPrecondition);
  EXPECT_THAT(refused.error().message, HasSubstr("cannot both be of one log"));
}

}  // namespace
}  // namespace hypermesh::consensus
