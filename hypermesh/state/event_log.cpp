#include "state/event_log.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace hypermesh::state {
namespace {

constexpr std::uint8_t kEventsFormat = 1, kHeadFormat = 1, kChainDomain = 0x13;

std::string text_of(const base::ByteWriter& writer) {
  return std::string(base::as_text(writer.view()));
}

base::Result<base::Digest> read_digest(base::ByteReader& reader) {
  base::Digest digest;
  TRY(const auto bytes, reader.raw(digest.size()));
  std::ranges::copy(bytes, digest.begin());
  return digest;
}

}  // namespace

std::string encode_events(const LoggedEvents& events) {
  base::ByteWriter writer;
  writer.u8(kEventsFormat);
  writer.u32(static_cast<std::uint32_t>(events.size()));
  for (const LoggedEvent& event : events) {
    writer.sized(event.key);
    writer.u64(event.previous);
    writer.u8(event.put ? 1 : 0);
    if (!event.put) continue;
    writer.u32(event.value_bytes);
    writer.raw(*event.put);
  }
  return text_of(writer);
}

base::Result<LoggedEvents> decode_events(std::string_view bytes) {
  base::ByteReader reader(base::as_bytes(bytes));
  TRY(const auto format, reader.u8());
  if (format != kEventsFormat) {
    return base::fail(
        base::Errc::DataLoss,
        fmt::format("a logged revision has format {}; this build reads {}", format, kEventsFormat));
  }
  TRY(const auto count, reader.u32());
  LoggedEvents events;
  for (std::uint32_t i = 0; i < count; ++i) {
    LoggedEvent event;
    TRY(const auto key, reader.sized(kKeyBytesMax));
    event.key = base::as_text(key);
    TRY(event.previous, reader.u64());
    TRY(const auto flag, reader.u8());
    if (flag > 1)
      return base::fail(base::Errc::DataLoss, fmt::format("a logged event has the flag {}", flag));
    if (flag == 1) {
      TRY(event.value_bytes, reader.u32());
      TRY(event.put, read_digest(reader));
    }
    events.push_back(std::move(event));
  }
  TRY_DO(reader.end());
  return events;
}

std::uint64_t history_bytes_of(const LoggedEvents& events) {
  std::uint64_t bytes = 0;
  for (const LoggedEvent& event : events) bytes += 2 * event.key.size() + event.value_bytes + 64;
  return bytes;
}

ChainLink::ChainLink(const base::Digest& before, Revision revision, std::uint32_t events) {
  writer_.u8(kChainDomain);
  writer_.raw(before);
  writer_.u64(revision);
  writer_.u32(events);
}

void ChainLink::add(std::string_view key, const std::optional<base::Digest>& put) {
  writer_.sized(key);
  writer_.u8(put ? 1 : 0);
  if (put) writer_.raw(*put);
}

base::Digest chain_after(const base::Digest& before, Revision revision,
                         const LoggedEvents& events) {
  ChainLink link(before, revision, static_cast<std::uint32_t>(events.size()));
  for (const LoggedEvent& event : events) link.add(event.key, event.put);
  return link.finish();
}

std::string encode_head(const Head& head) {
  base::ByteWriter writer;
  writer.u8(kHeadFormat);
  writer.u64(head.revision);
  writer.raw(head.chain);
  writer.u64(head.last_lease);
  return text_of(writer);
}

base::Result<Head> decode_head(std::string_view bytes) {
  base::ByteReader reader(base::as_bytes(bytes));
  TRY(const auto format, reader.u8());
  if (format != kHeadFormat) {
    return base::fail(
        base::Errc::DataLoss,
        fmt::format("the state's head has format {}; this build reads {}", format, kHeadFormat));
  }
  Head head;
  TRY(head.revision, reader.u64());
  TRY(head.chain, read_digest(reader));
  TRY(head.last_lease, reader.u64());
  TRY_DO(reader.end());
  return head;
}

}  // namespace hypermesh::state
