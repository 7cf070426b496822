#include "consensus/log/segment_format.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <charconv>

#include "consensus/log/crc32c.hpp"

namespace hypermesh::consensus {
namespace {

constexpr std::string_view kMagic = "HMRECLOG";
// The magic, the version and a checksum of both lie here in every version.
constexpr std::size_t kPrefixBytes = 16;
constexpr std::size_t kKeyCheckBytesMax = 256;
constexpr std::uint32_t kEndMark = 0xe5d2c7b4;
constexpr std::string_view kNameSuffix = ".log";
constexpr std::size_t kNameDigits = 16;

base::Bytes header_context(const LogId& log, SegmentPlace place, bool continues) {
  base::ByteWriter writer;
  writer.raw(base::as_bytes("hypermesh log segment 1"));
  writer.raw(log);
  writer.u64(place.number);
  writer.u64(place.first);
  writer.u8(continues ? 1 : 0);
  return std::move(writer).take();
}

base::Bytes record_context(const LogId& log, std::uint64_t number, Lsn lsn, Lsn durable) {
  base::ByteWriter writer;
  writer.raw(base::as_bytes("hypermesh log record 1"));
  writer.raw(log);
  writer.u64(number);
  writer.u64(lsn);
  writer.u64(durable);
  return std::move(writer).take();
}

std::uint32_t record_header_crc(base::BytesView fields, std::uint64_t number) {
  base::ByteWriter writer;
  writer.u64(number);
  return crc32c(fields, crc32c(writer.view()));
}

/// What the header says, or nothing when it is damaged.
struct Fields {
  LogId log;
  SegmentPlace place;
  bool continues;
  base::BytesView key_check;
};
base::Result<Fields> decode_fields(base::BytesView header) {
  base::ByteReader reader(header);
  TRY_DO(reader.raw(kPrefixBytes));
  Fields fields{};
  TRY(const base::BytesView log, reader.raw(fields.log.size()));
  std::ranges::copy(log, fields.log.begin());
  TRY(fields.place.number, reader.u64());
  TRY(fields.place.first, reader.u64());
  TRY(const std::uint8_t continues, reader.u8());
  fields.continues = continues != 0;
  TRY(fields.key_check, reader.sized(kKeyCheckBytesMax));
  const std::size_t checked = reader.offset();
  TRY(const std::uint32_t crc, reader.u32());
  if (crc != crc32c(header.first(checked)))
    return base::fail(base::Errc::DataLoss, "the header of a segment is damaged");
  return fields;
}

}  // namespace

std::string segment_name(SegmentPlace place) {
  return fmt::format("{:016x}-{:016x}{}", place.number, place.first, kNameSuffix);
}

std::optional<SegmentPlace> parse_segment_name(std::string_view name) {
  if (name.size() != 2 * kNameDigits + 1 + kNameSuffix.size()) return std::nullopt;
  SegmentPlace place{.number = 0, .first = 0};
  std::from_chars(name.data(), name.data() + kNameDigits, place.number, 16);
  std::from_chars(name.data() + kNameDigits + 1, name.data() + 2 * kNameDigits + 1, place.first,
                  16);
  // One name for one place: no capitals, no signs.
  if (place.number == 0 || place.number > kPlaceMax || place.first == 0 ||
      place.first > kPlaceMax || segment_name(place) != name)
    return std::nullopt;
  return place;
}

base::Bytes encode_segment_header(const LogId& log, SegmentPlace place, bool continues,
                                  at_rest::RecordCipher& cipher) {
  base::ByteWriter writer;
  writer.raw(base::as_bytes(kMagic));
  writer.u16(kLogVersion);
  writer.u16(0);
  writer.u32(crc32c(writer.view()));
  writer.raw(log);
  writer.u64(place.number);
  writer.u64(place.first);
  writer.u8(continues ? 1 : 0);
  // Sealed nothing: tells keys that are not ours from damage.
  const base::Bytes key_check = cipher.seal({}, header_context(log, place, continues));
  BASE_ASSERT(key_check.size() <= kKeyCheckBytesMax, "a seal adds little");
  writer.sized(key_check);
  writer.u32(crc32c(writer.view()));
  base::Bytes header = std::move(writer).take();
  header.resize(kSegmentHeaderBytes);
  return header;
}

base::Result<SegmentHeader> check_segment_header(base::BytesView segment, const LogId& log,
                                                 SegmentPlace place,
                                                 const at_rest::RecordCipher& cipher) {
  const base::BytesView header = segment.first(std::min(segment.size(), kSegmentHeaderBytes));
  base::ByteReader prefix(header);
  if (header.size() < kPrefixBytes ||
      !std::ranges::equal(*prefix.raw(kMagic.size()), base::as_bytes(kMagic)))
    return SegmentHeader{};
  const std::uint16_t version = *prefix.u16();
  (void)prefix.u16();
  if (*prefix.u32() != crc32c(header.first(kPrefixBytes - sizeof(std::uint32_t))))
    return SegmentHeader{};
  if (version > kLogVersion) {
    return std::unexpected(base::with_hint(
        base::make_error(base::Errc::FailedPrecondition,
                         fmt::format("the log has version {} and this program reads up to {}",
                                     version, kLogVersion)),
        "start the version that wrote it, or a newer one"));
  }
  const auto fields = decode_fields(header);
  if (!fields) return SegmentHeader{};
  if (fields->log != log) {
    return std::unexpected(
        base::with_hint(base::make_error(base::Errc::FailedPrecondition,
                                         fmt::format("the file belongs to log {}, not to {}",
                                                     base::to_hex(fields->log), base::to_hex(log))),
                        "give each replica of each cluster a data folder of its own"));
  }
  if (fields->place != place) {
    return std::unexpected(base::with_hint(
        base::make_error(base::Errc::FailedPrecondition, "the file has another segment's name"),
        fmt::format("rename it to {}", segment_name(fields->place))));
  }
  if (const auto opened =
          cipher.open(fields->key_check, header_context(log, place, fields->continues));
      !opened) {
    if (opened.error().code != base::Errc::NotVerified) return std::unexpected(opened.error());
    return std::unexpected(base::with_hint(
        base::make_error(base::Errc::FailedPrecondition, "the log was sealed with other keys"),
        "bring back the key ring that belongs to this data folder"));
  }
  return SegmentHeader{.intact = true, .continues = fields->continues};
}

std::optional<RecordHeader> decode_record_header(base::BytesView bytes, std::uint64_t number) {
  if (bytes.size() < kRecordHeaderBytes) return std::nullopt;
  base::ByteReader reader(bytes);
  const std::uint32_t crc = *reader.u32();
  RecordHeader header;
  header.body_bytes = *reader.u32();
  header.lsn = *reader.u64();
  header.durable = *reader.u64();
  header.body_crc = *reader.u32();
  // What cannot be is refused before the checksum: a scan through damage asks at every place.
  if (header.body_bytes == 0 || header.body_bytes > kBodyBytesMax || header.durable >= header.lsn)
    return std::nullopt;
  constexpr std::size_t kFields = sizeof(std::uint32_t);
  if (crc != record_header_crc(bytes.subspan(kFields, kRecordHeaderBytes - kFields), number))
    return std::nullopt;
  return header;
}

bool ends_in_mark(base::BytesView bytes) {
  if (bytes.size() < kEndMarkBytes) return false;
  constexpr int kFlippedMax = 2;
  return std::popcount(*base::ByteReader(bytes.last(kEndMarkBytes)).u32() ^ kEndMark) <=
         kFlippedMax;
}

base::Bytes RecordWriter::seal(Lsn lsn, Lsn durable, base::BytesView typed) const {
  return cipher_.seal(typed, record_context(log_, number_, lsn, durable));
}

void RecordWriter::add(base::Bytes& out, Lsn lsn, Lsn durable, base::BytesView body) const {
  BASE_ASSERT(!body.empty() && body.size() <= kBodyBytesMax, "a record's length has a limit");
  base::ByteWriter fields;
  fields.u32(static_cast<std::uint32_t>(body.size()));
  fields.u64(lsn);
  fields.u64(durable);
  fields.u32(crc32c(body));
  base::ByteWriter header;
  header.u32(record_header_crc(fields.view(), number_));
  header.raw(fields.view());
  base::ByteWriter end;
  end.u32(kEndMark);
  const std::size_t whole = out.size() + record_bytes(body.size());
  out.insert(out.end(), header.view().begin(), header.view().end());
  out.insert(out.end(), body.begin(), body.end());
  out.resize(whole - kEndMarkBytes);
  out.insert(out.end(), end.view().begin(), end.view().end());
}

base::Result<base::Bytes> open_record(const RecordHeader& header, base::BytesView record,
                                      const LogId& log, std::uint64_t number,
                                      const at_rest::RecordCipher& cipher) {
  const base::BytesView body = record.subspan(kRecordHeaderBytes, header.body_bytes);
  // The checksum first: a flipped bit must not look like a key that is not there.
  if (crc32c(body) != header.body_crc)
    return base::fail(base::Errc::NotVerified, "a record's checksum does not hold");
  return cipher.open(body, record_context(log, number, header.lsn, header.durable));
}

}  // namespace hypermesh::consensus
