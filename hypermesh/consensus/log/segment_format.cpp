#include "consensus/log/segment_format.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
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

void put(std::span<std::uint8_t> at, std::uint64_t value) {
  for (std::size_t i = at.size(); i > 0; --i, value >>= 8)
    at[i - 1] = static_cast<std::uint8_t>(value);
}

constexpr std::string_view kRecordDomain = "hypermesh log record 1";
constexpr std::size_t kRecordContextBytes = kRecordDomain.size() + sizeof(LogId) + 3 * 8;

base::Bytes segment_context(const LogId& log, std::uint64_t number) {
  base::Bytes context(kRecordContextBytes);
  auto next = std::ranges::copy(kRecordDomain, context.begin()).out;
  std::ranges::copy(log, next);
  put(std::span(context).subspan(kRecordContextBytes - 24, 8), number);
  return context;
}

/// What a record's seal is bound to; `context` is its segment's.
void put_record(std::span<std::uint8_t> context, Lsn lsn, Lsn durable) {
  put(context.subspan(kRecordContextBytes - 16, 8), lsn);
  put(context.subspan(kRecordContextBytes - 8, 8), durable);
}

std::uint32_t record_header_crc(base::BytesView fields, std::uint64_t number) {
  std::array<std::uint8_t, 8> bytes{};
  put(bytes, number);
  return crc32c(fields, crc32c(bytes));
}

/// 0 if it is none.
std::uint64_t hex_number(std::string_view digits) {
  std::uint64_t number = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), number, 16);
  return number;
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
  const SegmentPlace place{.number = hex_number(name.substr(0, kNameDigits)),
                           .first = hex_number(name.substr(kNameDigits + 1, kNameDigits))};
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

RecordWriter::RecordWriter(const LogId& log, std::uint64_t number, at_rest::RecordCipher& cipher)
    : number_(number), cipher_(cipher), context_(segment_context(log, number)) {}

void RecordWriter::add(base::Bytes& out, Lsn lsn, Lsn durable, base::BytesView typed) {
  put_record(context_, lsn, durable);
  const base::Bytes body = cipher_.seal(typed, context_);
  BASE_ASSERT(!body.empty() && body.size() <= kBodyBytesMax, "a record's length has a limit");
  std::array<std::uint8_t, kRecordHeaderBytes> header{};
  const std::span fields(header);
  put(fields.subspan(4, 4), body.size());
  put(fields.subspan(8, 8), lsn);
  put(fields.subspan(16, 8), durable);
  put(fields.subspan(24, 4), crc32c(body));
  put(fields.first(4), record_header_crc(fields.subspan(4), number_));
  const std::size_t begin = out.size();
  out.insert(out.end(), header.begin(), header.end());
  out.insert(out.end(), body.begin(), body.end());
  out.resize(begin + record_bytes(body.size()));
  put(std::span(out).last(kEndMarkBytes), kEndMark);
}

base::Result<base::Bytes> open_record(const RecordHeader& header, base::BytesView record,
                                      const LogId& log, std::uint64_t number,
                                      const at_rest::RecordCipher& cipher) {
  const base::BytesView body = record.subspan(kRecordHeaderBytes, header.body_bytes);
  // The checksum first: a flipped bit must not look like a key that is not there.
  if (crc32c(body) != header.body_crc)
    return base::fail(base::Errc::NotVerified, "a record's checksum does not hold");
  base::Bytes context = segment_context(log, number);
  put_record(context, header.lsn, header.durable);
  return cipher.open(body, context);
}

}  // namespace hypermesh::consensus
