#include "etcd_messages.hpp"

#include <fmt/format.h>

namespace bench {

namespace {

constexpr std::size_t kFrameHeadBytes = 5;

// Fields by their numbers in rpc.proto and kv.proto.
namespace field {
constexpr std::uint64_t kRequestKey = 1, kPutValue = 2;
constexpr std::uint64_t kAnswerHeader = 1, kRangeKvs = 2, kHeaderRevision = 3;
constexpr std::uint64_t kKvKey = 1, kKvValue = 5;
}  // namespace field

enum class Wire : std::uint8_t { Varint = 0, Fixed64 = 1, Sized = 2, Fixed32 = 5 };

void put_varint(base::ByteWriter& out, std::uint64_t value) {
  for (; value >= 0x80; value >>= 7) out.u8(static_cast<std::uint8_t>(value | 0x80));
  out.u8(static_cast<std::uint8_t>(value));
}

void put_bytes(base::ByteWriter& out, std::uint64_t number, base::BytesView bytes) {
  put_varint(out, number << 3 | static_cast<std::uint64_t>(Wire::Sized));
  put_varint(out, bytes.size());
  out.raw(bytes);
}

base::Result<std::uint64_t> get_varint(base::ByteReader& in) {
  std::uint64_t value = 0;
  for (unsigned shift = 0; shift < 64; shift += 7) {
    TRY(const std::uint8_t byte, in.u8());
    if (shift == 63 && byte > 1) break;
    value |= std::uint64_t{byte & 0x7fu} << shift;
    if (byte < 0x80) return value;
  }
  return base::fail(base::Errc::DataLoss,
                    fmt::format("a number before byte {} has more than 64 bits", in.offset()));
}

/// One field: a number, or bytes where it has a size.
struct Field {
  std::uint64_t number = 0;
  Wire wire = Wire::Varint;
  std::uint64_t value = 0;
  base::BytesView bytes;
};

base::Result<Field> get_field(base::ByteReader& in) {
  TRY(const std::uint64_t tag, get_varint(in));
  Field found{.number = tag >> 3, .wire = static_cast<Wire>(tag & 7)};
  switch (found.wire) {
    case Wire::Varint: {
      TRY(found.value, get_varint(in));
      return found;
    }
    case Wire::Fixed64: {
      TRY_DO(in.raw(8));
      return found;
    }
    case Wire::Fixed32: {
      TRY_DO(in.raw(4));
      return found;
    }
    case Wire::Sized: {
      TRY(const std::uint64_t size, get_varint(in));
      TRY(found.bytes, in.raw(size));
      return found;
    }
  }
  return base::fail(base::Errc::DataLoss,
                    fmt::format("field {} is of the wire type {}", found.number, tag & 7));
}

/// Calls `visit(Field)`, which gives a Result, for each field of a message.
template <class Visit>
base::Result<> each_field(base::BytesView message, Visit visit) {
  base::ByteReader in(message);
  while (in.remaining() > 0) {
    TRY(const Field found, get_field(in));
    TRY_DO(visit(found));
  }
  return {};
}

base::Result<> check_pair(const Key& asked, base::BytesView pair) {
  base::BytesView key, value;
  TRY_DO(each_field(pair, [&](const Field& found) -> base::Result<> {
    if (found.wire != Wire::Sized) return {};
    if (found.number == field::kKvKey) key = found.bytes;
    if (found.number == field::kKvValue) value = found.bytes;
    return {};
  }));
  if (base::as_text(key) != std::string_view(asked.data(), asked.size()))
    return base::fail(base::Errc::DataLoss, "another key was answered than was asked for");
  return check_value(asked, value);
}

base::Result<> check_message(const Operation& operation, base::BytesView message) {
  std::int64_t revision = 0;
  std::size_t pairs = 0;
  TRY_DO(each_field(message, [&](const Field& found) -> base::Result<> {
    if (found.number == field::kAnswerHeader && found.wire == Wire::Sized)
      return each_field(found.bytes, [&](const Field& inner) -> base::Result<> {
        if (inner.number == field::kHeaderRevision && inner.wire == Wire::Varint)
          revision = static_cast<std::int64_t>(inner.value);
        return {};
      });
    if (!operation.read || found.number != field::kRangeKvs || found.wire != Wire::Sized) return {};
    ++pairs;
    return check_pair(operation.key, found.bytes);
  }));
  if (revision <= 0)
    return base::fail(base::Errc::DataLoss,
                      fmt::format("the revision is {}; must be above 0", revision));
  if (operation.read && pairs != 1)
    return base::fail(
        base::Errc::DataLoss,
        fmt::format("{} values of {} were answered; must be 1 (was it filled?)", pairs,
                    std::string_view(operation.key.data(), operation.key.size())));
  return {};
}

}  // namespace

base::Bytes encode_request(const Operation& operation) {
  base::ByteWriter message;
  put_bytes(message, field::kRequestKey,
            base::as_bytes({operation.key.data(), operation.key.size()}));
  if (!operation.read) put_bytes(message, field::kPutValue, operation.value);
  base::ByteWriter frame;
  frame.u8(0);
  frame.sized(message.view());
  return std::move(frame).take();
}

base::Result<> check_answer(const Operation& operation, base::BytesView frames) {
  if (frames.size() < kFrameHeadBytes)
    return base::fail(base::Errc::DataLoss,
                      fmt::format("an answer of {} bytes; a frame's head alone has {}",
                                  frames.size(), kFrameHeadBytes));
  base::ByteReader in(frames);
  TRY(const std::uint8_t compressed, in.u8());
  if (compressed != 0)
    return base::fail(base::Errc::DataLoss, "a compressed answer; none was asked for");
  TRY(const base::BytesView message, in.sized(kAnswerBytesMax));
  TRY_DO(in.end());
  return check_message(operation, message);
}

}  // namespace bench
