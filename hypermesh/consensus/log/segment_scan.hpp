#pragma once

// What the bytes of a segment hold. The file was all zeros before anything was written, and records
// are written in order, so three ends can be told apart:
//
//   intact      after the last record come zeros;
//   torn        what follows the last record lacks a sector, or its end: a write that a crash cut
//               short, and that nobody was told of;
//   damaged     a record that was written whole, or that intact records follow, does not verify:
//               it was there and is lost.

#include <base/bytes.hpp>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "consensus/log/segment_format.hpp"

namespace hypermesh::consensus {

struct ByteRange {
  std::uint64_t offset = 0, bytes = 0;
  std::uint64_t end() const { return offset + bytes; }
  friend bool operator==(const ByteRange&, const ByteRange&) = default;
};

struct SegmentInput {
  base::BytesView bytes;  ///< The whole file.
  SegmentPlace place;
  /// First record of the segment after this one: what is here from there on was never told of.
  std::optional<Lsn> next_first;
  /// What the disk would not give; zeros stand for it in `bytes`.
  std::span<const ByteRange> unreadable;
};

struct Damage {
  Lsn first = 0, last = 0;
  ByteRange where;
  friend bool operator==(const Damage&, const Damage&) = default;
};

struct SegmentScan {
  Lsn next = 1;        ///< The lsn after the last record, intact or damaged.
  Lsn durable = 0;     ///< The highest lsn that a record here says was on disk.
  bool found = false;  ///< At least one intact record.
  std::vector<Damage> damaged;
  std::optional<ByteRange> torn;
  std::uint64_t used_bytes = 0;  ///< The end of what is to be kept: records and damage.
};

using RecordVisitor = std::function<void(Lsn lsn, base::BytesView typed)>;

/// Calls `visit` with every intact record, in order.
/// Errors: FailedPrecondition (a record is of a key that is not there).
base::Result<SegmentScan> scan_segment(const SegmentInput& input, const LogId& log,
                                       const at_rest::RecordCipher& cipher,
                                       const RecordVisitor& visit);

}  // namespace hypermesh::consensus
