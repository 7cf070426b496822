#pragma once

// How a segment of the log lies on disk: docs/wire/log.md. A header of one sector, then records,
// then zeros. Every record is sealed with its place as context, so that no bytes from elsewhere,
// or of an earlier time, open as a record here.

#include <base/crypto.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "at_rest/record_cipher.hpp"
#include "consensus/log/log_batch.hpp"

namespace hypermesh::consensus {

/// Which log a file belongs to: a digest of the cluster, the group and the replica.
using LogId = base::Digest;

inline constexpr std::uint16_t kLogVersion = 1;
inline constexpr std::size_t kSectorBytes = 512;  ///< What a disk writes whole or not at all.
inline constexpr std::size_t kSegmentHeaderBytes = kSectorBytes;
inline constexpr std::size_t kRecordAlignment = 8;  ///< Records begin at multiples, in bytes.
inline constexpr std::size_t kRecordHeaderBytes = 28;
inline constexpr std::size_t kEndMarkBytes = 4;
/// The shortest record there can be.
inline constexpr std::size_t kRecordBytesMin = 40;
inline constexpr std::uint32_t kBodyBytesMax = 64u << 20;

/// Of a segment's number and of an lsn in its name: far more than there can be, far from overflow.
inline constexpr std::uint64_t kPlaceMax = 1ull << 62;

/// A segment's place, which its file's name tells: "0000000000000001-0000000000000001.log".
struct SegmentPlace {
  std::uint64_t number = 1;  ///< Consecutive in a log.
  Lsn first = 1;             ///< Of its first record.
  friend bool operator==(const SegmentPlace&, const SegmentPlace&) = default;
};
std::string segment_name(SegmentPlace place);
std::optional<SegmentPlace> parse_segment_name(std::string_view name);

/// `continues`: the segment before was on disk whole when this one was made.
base::Bytes encode_segment_header(const LogId& log, SegmentPlace place, bool continues,
                                  at_rest::RecordCipher& cipher);
struct SegmentHeader {
  bool intact = false;  ///< If not, its records may be intact still.
  bool continues = true;
};
/// Looks at the start of a segment. Errors: FailedPrecondition (a newer version's file, another
/// log's, another place's, or sealed with keys that are not there).
base::Result<SegmentHeader> check_segment_header(base::BytesView segment, const LogId& log,
                                                 SegmentPlace place,
                                                 const at_rest::RecordCipher& cipher);

struct RecordHeader {
  std::uint32_t body_bytes = 0;
  std::uint32_t body_crc = 0;
  Lsn lsn = 0;
  Lsn durable = 0;  ///< Up to there everything was on disk when this record was written.
};
/// Bytes that a record with a body of `body_bytes` takes.
constexpr std::uint64_t record_bytes(std::uint64_t body_bytes) {
  return (kRecordHeaderBytes + body_bytes + kEndMarkBytes + kRecordAlignment - 1) /
         kRecordAlignment * kRecordAlignment;
}
/// Nothing if no header of a record of segment `number` is at the start of `bytes`.
std::optional<RecordHeader> decode_record_header(base::BytesView bytes, std::uint64_t number);
/// Whether `bytes` end as a record does, but for a flipped bit or two.
bool ends_in_mark(base::BytesView bytes);

/// Seals records of one segment behind bytes that go to disk together.
class RecordWriter {
 public:
  RecordWriter(const LogId& log, std::uint64_t number, at_rest::RecordCipher& cipher);
  /// `out` ends where a record may begin. `typed`: type and payload.
  void add(base::Bytes& out, Lsn lsn, Lsn durable, base::BytesView typed);

 private:
  std::uint64_t number_;
  at_rest::RecordCipher& cipher_;
  base::Bytes context_;  // Its end is written anew for each record.
};

/// Type and payload of a record whose header is at the start of `record`.
/// Errors: NotVerified (damaged), FailedPrecondition (of a key that is not there).
base::Result<base::Bytes> open_record(const RecordHeader& header, base::BytesView record,
                                      const LogId& log, std::uint64_t number,
                                      const at_rest::RecordCipher& cipher);

}  // namespace hypermesh::consensus
