#include "consensus/log/segment_scan.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "at_rest/testing/fixed_key_cipher.hpp"
#include "consensus/log/crc32c.hpp"

namespace hypermesh::consensus {
namespace {

TEST(Crc32c, AgreesWithTheRfcAndWithItself) {
  // RFC 3720 appendix B.4: 32 bytes of zeros, of ones, rising.
  base::Bytes bytes(32);
  EXPECT_EQ(crc32c(bytes), 0x8a9136aau);
  bytes.assign(32, 0xff);
  EXPECT_EQ(crc32c(bytes), 0x62a8ab43u);
  for (std::uint8_t i = 0; i < 32; ++i) bytes[i] = i;
  EXPECT_EQ(crc32c(bytes), 0x46dd794eu);
  base::SeededRng rng(1);
  for (std::size_t size = 0; size < 70; ++size) {
    base::Bytes random(size);
    rng.fill(random);
    EXPECT_EQ(crc32c(random, 77), crc32c_portable(random, 77));
    const auto half = base::BytesView(random).first(size / 2);
    EXPECT_EQ(crc32c(base::BytesView(random).subspan(size / 2), crc32c(half)), crc32c(random));
  }
}

/// One segment with records of 100, 101 ... bytes; the last batch begins at `batch`.
class SegmentScanTest : public testing::Test {
 protected:
  static constexpr Lsn kFirst = 11;

  void fill(Lsn records, Lsn batch) {
    bytes_ = encode_segment_header(log_, place_, false, cipher_);
    RecordWriter writer(log_, place_.number, cipher_);
    for (Lsn lsn = kFirst; lsn < kFirst + records; ++lsn) {
      begins_.push_back(bytes_.size());
      const Lsn durable = lsn < batch ? 0 : batch - 1;
      const base::Bytes typed(100 + lsn - kFirst, static_cast<std::uint8_t>(lsn));
      writer.add(bytes_, lsn, durable, typed);
    }
    begins_.push_back(bytes_.size());
    bytes_.resize(64 * 1024);
  }
  std::size_t begin_of(Lsn lsn) const { return begins_.at(lsn - kFirst); }
  /// What is behind it in the record may be lost without harm.
  std::size_t body_end_of(Lsn lsn) const {
    constexpr std::size_t kSealBytes = 24 + 16;
    return begin_of(lsn) + kRecordHeaderBytes + 100 + lsn - kFirst + kSealBytes;
  }

  SegmentScan scan(std::optional<Lsn> next_first = std::nullopt,
                   std::vector<ByteRange> unreadable = {}) {
    seen_.clear();
    auto result = scan_segment(
        {.bytes = bytes_, .place = place_, .next_first = next_first, .unreadable = unreadable},
        log_, cipher_, [this](Lsn lsn, base::BytesView typed) {
          EXPECT_EQ(typed.size(), 100 + lsn - kFirst);
          EXPECT_EQ(typed[0], static_cast<std::uint8_t>(lsn));
          seen_.push_back(lsn);
        });
    EXPECT_TRUE(result) << result.error().describe();
    return *result;
  }

  const LogId log_ = base::sha256("a log");
  const SegmentPlace place_{.number = 3, .first = kFirst};
  at_rest::FixedKeyCipher cipher_;
  base::Bytes bytes_;
  std::vector<std::size_t> begins_;
  std::vector<Lsn> seen_;
};

TEST_F(SegmentScanTest, IntactRecordsComeInOrder) {
  fill(5, 14);
  const SegmentScan result = scan();
  EXPECT_EQ(seen_, (std::vector<Lsn>{11, 12, 13, 14, 15}));
  EXPECT_EQ(result.next, 16u);
  EXPECT_EQ(result.durable, 13u);
  EXPECT_EQ(result.used_bytes, begin_of(16));
  EXPECT_TRUE(result.damaged.empty());
  EXPECT_FALSE(result.torn);
}

TEST_F(SegmentScanTest, AnEmptySegmentHasNothing) {
  fill(0, 11);
  const SegmentScan result = scan();
  EXPECT_EQ(result.next, kFirst);
  EXPECT_EQ(result.used_bytes, kSegmentHeaderBytes);
}

TEST_F(SegmentScanTest, AWriteCutShortAtAnyByteIsTorn) {
  fill(4, 13);
  const base::Bytes whole = bytes_;
  for (std::size_t cut = begin_of(13); cut < begin_of(15); ++cut) {
    SCOPED_TRACE(cut);
    bytes_ = whole;
    std::fill(bytes_.begin() + static_cast<std::ptrdiff_t>(cut), bytes_.end(), 0);
    const SegmentScan result = scan();
    EXPECT_TRUE(result.damaged.empty());
    const Lsn next = cut >= body_end_of(14) ? 15 : cut >= body_end_of(13) ? 14 : 13;
    EXPECT_EQ(result.next, next);
    EXPECT_EQ(seen_.size(), next - kFirst);
    EXPECT_LE(result.used_bytes, begin_of(next));
  }
}

TEST_F(SegmentScanTest, AFlippedBitInTheMiddleIsAGapOfThatRecord) {
  fill(4, 14);
  const base::Bytes whole = bytes_;
  for (std::size_t at = begin_of(12); at < begin_of(13) - kEndMarkBytes; ++at) {
    SCOPED_TRACE(at);
    bytes_ = whole;
    bytes_[at] ^= 0x10;
    const SegmentScan result = scan();
    EXPECT_EQ(result.next, 15u);
    if (result.damaged.empty()) {  // Padding says nothing.
      EXPECT_EQ(seen_.size(), 4u);
      continue;
    }
    const Damage expected{
        .first = 12, .last = 12, .where = {begin_of(12), begin_of(13) - begin_of(12)}};
    EXPECT_EQ(result.damaged, std::vector{expected});
    EXPECT_EQ(seen_, (std::vector<Lsn>{11, 13, 14}));
    EXPECT_FALSE(result.torn);
  }
}

TEST_F(SegmentScanTest, AFlippedBitInTheLastRecordIsDamageAndNotTorn) {
  fill(3, 13);
  const base::Bytes whole = bytes_;
  for (std::size_t at = begin_of(13); at < begin_of(14) - kEndMarkBytes; ++at) {
    SCOPED_TRACE(at);
    bytes_ = whole;
    bytes_[at] ^= 0x80;
    const SegmentScan result = scan();
    EXPECT_FALSE(result.torn);
    EXPECT_EQ(result.used_bytes, begin_of(14));
    if (seen_.size() == 3) continue;  // Padding.
    ASSERT_EQ(result.damaged.size(), 1u);
    EXPECT_EQ(result.damaged[0].first, 13u);
    // With its header gone, as many as fit may be lost there.
    EXPECT_GE(result.damaged[0].last, 13u);
    EXPECT_EQ(result.next, result.damaged[0].last + 1);
  }
}

TEST_F(SegmentScanTest, ATornWriteBehindADamagedRecordHidesNothing) {
  fill(5, 14);
  const base::Bytes whole = bytes_;
  for (const std::size_t flipped : {begin_of(13) + 9, begin_of(13) + 60}) {
    for (std::size_t cut = begin_of(14) + 1; cut < body_end_of(14); ++cut) {
      SCOPED_TRACE(testing::Message() << flipped << " " << cut);
      bytes_ = whole;
      std::fill(bytes_.begin() + static_cast<std::ptrdiff_t>(cut), bytes_.end(), 0);
      bytes_[flipped] ^= 1;
      const SegmentScan result = scan();
      EXPECT_EQ(seen_, (std::vector<Lsn>{11, 12}));
      ASSERT_EQ(result.damaged.size(), 1u);
      EXPECT_EQ(result.damaged[0].first, 13u);
      EXPECT_EQ(result.damaged[0].where.end(), begin_of(14));
      ASSERT_TRUE(result.torn);
      EXPECT_EQ(result.torn->offset, begin_of(14));
    }
  }
}

TEST_F(SegmentScanTest, ASectorThatIsMissingBeforeIntactRecordsIsAGap) {
  fill(20, 16);
  const std::size_t sector = begin_of(18) / kSectorBytes * kSectorBytes;
  std::fill_n(bytes_.begin() + static_cast<std::ptrdiff_t>(sector), kSectorBytes, 0);
  const SegmentScan result = scan();
  EXPECT_EQ(result.next, 31u);
  EXPECT_FALSE(result.torn);
  ASSERT_EQ(result.damaged.size(), 1u);
  EXPECT_LE(result.damaged[0].first, 18u);
  EXPECT_GE(result.damaged[0].last, 18u);
  EXPECT_EQ(seen_.size() + result.damaged[0].last - result.damaged[0].first + 1, 20u);
}

TEST_F(SegmentScanTest, WhatTheDiskWouldNotGiveIsNeverTorn) {
  fill(3, 13);
  // The whole last record, or its end behind a header that is there.
  for (const std::size_t lost : {begin_of(13) + 48, begin_of(13)}) {
    std::fill(bytes_.begin() + static_cast<std::ptrdiff_t>(lost), bytes_.end(), 0);
    const SegmentScan result = scan(std::nullopt, {{lost, begin_of(14) - lost}});
    EXPECT_FALSE(result.torn);
    ASSERT_EQ(result.damaged.size(), 1u);
    EXPECT_EQ(result.damaged[0].first, 13u);
  }
}

TEST_F(SegmentScanTest, TheNextSegmentSaysWhatMustBeHere) {
  fill(4, 13);
  EXPECT_TRUE(scan(15).damaged.empty());
  EXPECT_EQ(scan(17).damaged[0].first, 15u);
  EXPECT_EQ(scan(17).damaged[0].last, 16u);
  // Records that the next segment took the place of are not here.
  EXPECT_TRUE(scan(13).damaged.empty());
  EXPECT_EQ(seen_, (std::vector<Lsn>{11, 12}));
}

TEST_F(SegmentScanTest, BytesOfAnotherSegmentOrLogDoNotOpen) {
  fill(2, 12);
  const auto other_number = scan_segment({.bytes = bytes_,
                                          .place = {.number = 4, .first = kFirst},
                                          .next_first = {},
                                          .unreadable = {}},
                                         log_, cipher_, [](Lsn, auto) { FAIL(); });
  ASSERT_TRUE(other_number);
  EXPECT_FALSE(other_number->found);
  const auto other_log =
      scan_segment({.bytes = bytes_, .place = place_, .next_first = {}, .unreadable = {}},
                   base::sha256("another"), cipher_, [](Lsn, auto) { FAIL(); });
  ASSERT_TRUE(other_log);
  EXPECT_FALSE(other_log->found);
}

TEST_F(SegmentScanTest, AHeaderTellsVersionLogPlaceAndKeys) {
  fill(0, 11);
  const auto check = [&](const LogId& log, SegmentPlace place, at_rest::RecordCipher& cipher) {
    return check_segment_header(bytes_, log, place, cipher);
  };
  EXPECT_TRUE(check(log_, place_, cipher_)->intact);
  const auto other_log = check(base::sha256("another"), place_, cipher_);
  EXPECT_EQ(other_log.error().code, base::Errc::FailedPrecondition);
  const auto renamed = check(log_, {.number = 9, .first = 9}, cipher_);
  EXPECT_THAT(renamed.error().hints.at(0), testing::HasSubstr(segment_name(place_)));
  at_rest::FixedKeyCipher other_keys(2);
  EXPECT_EQ(check(log_, place_, other_keys).error().code, base::Errc::FailedPrecondition);

  for (std::size_t at = 0; at < 120; ++at) {
    base::Bytes damaged = bytes_;
    damaged[at] ^= 1;
    const auto result = check_segment_header(damaged, log_, place_, cipher_);
    ASSERT_TRUE(result) << at << " " << result.error().describe();
    EXPECT_FALSE(result->intact && at < 100) << at;
  }

  bytes_[9] = 2;  // The version, and the checksum of the fields that every version has.
  base::ByteWriter crc;
  crc.u32(crc32c(base::BytesView(bytes_).first(12)));
  std::ranges::copy(crc.view(), bytes_.begin() + 12);
  const auto newer = check(log_, place_, cipher_);
  EXPECT_EQ(newer.error().code, base::Errc::FailedPrecondition);
  EXPECT_EQ(newer.error().message, "the log has version 2 and this program reads up to 1");
}

TEST(SegmentName, IsReadAsItIsWritten) {
  const SegmentPlace place{.number = 18, .first = 4711};
  EXPECT_EQ(segment_name(place), "0000000000000012-0000000000001267.log");
  EXPECT_EQ(parse_segment_name(segment_name(place)), place);
  for (const char* name :
       {"", "x.log", "0000000000000012-0000000000001267.log.new",
        "000000000000001A-0000000000001267.log", "0000000000000000-0000000000001267.log",
        "ffffffffffffffff-0000000000001267.log", "0000000000000012_0000000000001267.log"})
    EXPECT_FALSE(parse_segment_name(name)) << name;
}

}  // namespace
}  // namespace hypermesh::consensus
