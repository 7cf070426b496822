#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <set>

#include "at_rest/testing/fixed_key_cipher.hpp"
#include "consensus/log/segment_log.hpp"
#include "consensus/log/testing/memory_disk.hpp"

// Lives of a log on a disk that fails in every way, each drawn from a seed, against a model of what
// was told to whom. LOG_SEEDS=n runs n of them, LOG_SEED=n that one alone.

namespace hypermesh::consensus {
namespace {

using testing::MemoryDisk;
using Unsynced = MemoryDisk::Unsynced;

class Life {
 public:
  explicit Life(std::uint64_t seed) : rng_(seed), disk_(seed + 1), cipher_(seed) {
    options_.segment_bytes = 2048 + rng_.below(8) * 1024;
    options_.payload_bytes_max = 600;
    flips_ = rng_.below(3) == 0;
  }

  void run(int steps) {
    open();
    for (int i = 0; i < steps && !::testing::Test::HasFatalFailure(); ++i) step();
    crash(Unsynced::Kept);
  }

 private:
  void step() {
    switch (rng_.below(16)) {
      case 0:
        crash(static_cast<Unsynced>(rng_.below(4)));
        break;
      case 1:
        disk_.cut_power_in(rng_.below(6), static_cast<Unsynced>(rng_.below(4)));
        break;
      case 2:
        if (rng_.below(4) == 0) disk_.fail_next_sync();
        break;
      case 3:
        disk_.set_space(rng_.below(5) * 3000);
        break;
      case 4:
        drop();
        break;
      case 5:
        if (flips_) flip();
        break;
      case 6:
        check(*log_, log_->opened().gaps);
        break;
      case 7:
      case 8:
      case 9:
        sync();
        break;
      default:
        append();
    }
  }

  void append() {
    const auto type = static_cast<std::uint8_t>(rng_.below(256));
    base::Bytes payload(rng_.below(5) == 0 ? rng_.below(601) : rng_.below(80));
    rng_.fill(payload);
    const auto lsn = log_->append(type, payload);
    if (!lsn) return;
    payload.insert(payload.begin(), type);
    appended_[*lsn] = payload;
    ever_[*lsn].insert(std::move(payload));
  }

  void sync() {
    const LogBatch batch = log_->take();
    const Lsn last = log_->appended();
    const auto durable = log_->write(batch);
    if (!durable) {
      EXPECT_FALSE(log_->append(1, {}));
      check(*log_, log_->opened().gaps);
      disk_.set_space(std::nullopt);
      crash(static_cast<Unsynced>(rng_.below(4)));
      return;
    }
    ASSERT_EQ(*durable, last);
    tell(last);
  }

  void tell(Lsn last) {
    for (auto it = appended_.begin(); it != appended_.end() && it->first <= last;
         it = appended_.erase(it))
      told_[it->first] = it->second;
  }

  void drop() {
    if (told_.empty()) return;
    const Lsn before = told_.begin()->first + rng_.below(told_.size());
    // The power may go meanwhile: then some of it may be there still.
    (void)log_->drop_before(before);
    dropped_ = std::max(dropped_, before);
  }

  void flip() {
    if (told_.empty()) return;
    if (rng_.below(8) == 0) {  // A header's damage loses no record.
      headers_flipped_ = true;
      const auto names = disk_.names();
      if (!names.empty())
        disk_.flip_byte(names[rng_.below(names.size())], rng_.below(kSegmentHeaderBytes), 2);
      return;
    }
    auto it = told_.begin();
    std::advance(it, rng_.below(told_.size()));
    if (disk_.flip_record(it->first, rng_.u64())) flipped_.insert(it->first);
  }

  void crash(Unsynced fate) {
    if (disk_.has_power()) disk_.cut_power(fate);
    log_.reset();
    appended_.clear();
    open();
  }

  void open() {
    auto log = open_segment_log(disk_.start(), cipher_, options_);
    // A cut that was planned may come while the log is opened.
    if (!log && log.error().code == base::Errc::Unavailable)
      log = open_segment_log(disk_.start(), cipher_, options_);
    ASSERT_TRUE(log) << log.error().describe();
    log_ = std::move(*log);
    for (const LogGap& gap : log_->opened().gaps) {
      EXPECT_LE(gap.first, gap.last);
      // Power cuts alone never make a gap that is certain.
      if (!headers_flipped_ && gap.acknowledged && gap.last >= dropped_)
        EXPECT_FALSE(flipped_.lower_bound(gap.first) == flipped_.end());
    }
    check(*log_, log_->opened().gaps, /*now_told=*/true);
  }

  /// Every record that was told of is read or in a gap; without a flip it is read. Nothing else is
  /// read but what was appended.
  void check(const Log& log, const std::vector<LogGap>& opened, bool now_told = false) {
    std::map<Lsn, base::Bytes> seen;
    Lsn before = 0;
    const auto gaps = log.read(1, [&](const LogRecord& record) {
      EXPECT_GT(record.lsn, before);
      before = record.lsn;
      base::Bytes typed(record.payload.begin(), record.payload.end());
      typed.insert(typed.begin(), record.type);
      EXPECT_TRUE(ever_[record.lsn].contains(typed)) << "never appended: " << record.lsn;
      seen[record.lsn] = std::move(typed);
    });
    ASSERT_TRUE(gaps) << gaps.error().describe();
    if (now_told) EXPECT_EQ(*gaps, opened);
    for (const auto& [lsn, typed] : told_) {
      if (lsn < dropped_) continue;
      if (const auto it = seen.find(lsn); it != seen.end()) {
        EXPECT_EQ(it->second, typed) << "another record in its place: " << lsn;
        continue;
      }
      EXPECT_TRUE(flipped_.contains(lsn)) << "lost: " << lsn;
      const bool reported = std::ranges::any_of(
          *gaps, [&](const LogGap& gap) { return gap.first <= lsn && lsn <= gap.last; });
      EXPECT_TRUE(reported) << "silently skipped: " << lsn;
    }
    if (!now_told) return;
    // Who opened the log builds on what was there.
    for (auto& [lsn, typed] : seen) told_[lsn] = std::move(typed);
  }

  base::SeededRng rng_;
  MemoryDisk disk_;
  at_rest::FixedKeyCipher cipher_;
  LogOptions options_;
  std::unique_ptr<Log> log_;
  bool flips_ = false, headers_flipped_ = false;
  std::map<Lsn, base::Bytes> appended_, told_;
  std::map<Lsn, std::set<base::Bytes>> ever_;
  std::set<Lsn> flipped_;
  Lsn dropped_ = 0;
};

TEST(SegmentLogSeeds, WhatWasToldOfIsThereOrReported) {
  std::uint64_t first = 1, count = 500;
  if (const char* text = std::getenv("LOG_SEEDS")) count = std::strtoull(text, nullptr, 10);
  if (const char* text = std::getenv("LOG_SEED")) {
    first = std::strtoull(text, nullptr, 10);
    count = 1;
  }
  for (std::uint64_t seed = first; seed < first + count; ++seed) {
    SCOPED_TRACE(fmt::format("replay with LOG_SEED={}", seed));
    Life(seed).run(150);
    if (::testing::Test::HasFailure()) break;
  }
}

}  // namespace
}  // namespace hypermesh::consensus
