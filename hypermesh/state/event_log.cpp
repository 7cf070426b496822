#include "state/event_log.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

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

void EventBlock::add(Revision revision, const LoggedEvents& events) {
  if (bytes_.empty()) {
    bytes_ += static_cast<char>(kEventsFormat);
    put_varint(bytes_, revision);
  }
  BASE_ASSERT(last_ == 0 || revision == last_ + 1, "revisions have no gaps");
  last_ = revision;
  put_varint(bytes_, events.size());
  for (const LoggedEvent& event : events) {
    put_varint(bytes_, event.key.size());
    bytes_ += event.key;
    put_varint(bytes_, event.previous);
    bytes_ += event.put ? '\1' : '\0';
    if (!event.put) continue;
    put_varint(bytes_, event.value_bytes);
    bytes_.append(reinterpret_cast<const char*>(event.put->data()), event.put->size());
  }
}

void EventBlock::store(Storage::Batch& batch) {
  if (empty()) return;
  batch.put(event_key(last_), std::exchange(bytes_, {}));
  last_ = 0;
}

base::Result<std::vector<LoggedRevision>> decode_events(Revision last, std::string_view bytes) {
  base::ByteReader reader(base::as_bytes(bytes));
  TRY(const auto format, reader.u8());
  if (format != kEventsFormat) {
    return base::fail(
        base::Errc::DataLoss,
        fmt::format("logged revisions have format {}; this build reads {}", format, kEventsFormat));
  }
  TRY(const Revision first, read_varint(reader));
  if (first == 0) return base::fail(base::Errc::DataLoss, "there is no revision 0");
  std::vector<LoggedRevision> revisions;
  while (reader.remaining() > 0) {
    LoggedRevision logged{first + revisions.size(), {}};
    TRY(auto count, read_varint(reader));
    for (; count > 0; --count) {
      LoggedEvent event;
      TRY(const auto key_bytes, read_varint(reader));
      TRY(const auto key, reader.raw(std::min<std::uint64_t>(key_bytes, kKeyBytesMax + 1)));
      if (key.empty() || key.size() > kKeyBytesMax)
        return base::fail(base::Errc::DataLoss,
                          fmt::format("a logged event has a key of {} bytes", key_bytes));
      event.key = base::as_text(key);
      TRY(event.previous, read_varint(reader));
      TRY(const auto flag, reader.u8());
      if (flag > 1)
        return base::fail(base::Errc::DataLoss,
                          fmt::format("a logged event has the flag {}", flag));
      if (flag == 1) {
        TRY(const auto value_bytes, read_varint(reader));
        if (value_bytes > kValueBytesMax)
          return base::fail(base::Errc::DataLoss,
                            fmt::format("a logged value has {} bytes", value_bytes));
        event.value_bytes = static_cast<std::uint32_t>(value_bytes);
        TRY(event.put, read_digest(reader));
      }
      logged.events.push_back(std::move(event));
    }
    revisions.push_back(std::move(logged));
  }
  if (revisions.empty() || revisions.back().revision != last)
    return base::fail(base::Errc::DataLoss,
                      fmt::format("the record of revision {} has others in it", last));
  return revisions;
}

base::Result<> scan_revisions(const Reader& storage, Revision after, Revision up_to,
                              const VisitRevision& visit) {
  base::Result<> parsed;
  Revision next = after + 1;
  bool stopped = false;
  const auto look = [&](std::string_view key, std::string_view value) {
    auto revisions = decode_events(get_u64(key.substr(1)), value);
    if (!revisions) {
      parsed = std::unexpected(std::move(revisions).error());
      return false;
    }
    for (LoggedRevision& logged : *revisions) {
      if (logged.revision < next) continue;
      if (logged.revision > next || next > up_to) break;
      ++next;
      stopped = !visit(logged, logged.revision == revisions->back().revision);
      if (stopped) return false;
    }
    return next <= up_to;
  };
  if (next <= up_to) TRY_DO(storage.scan(event_key(next), end_of_prefix("e"), look));
  TRY_DO(std::move(parsed));
  if (stopped || next > up_to) return {};
  return base::fail(base::Errc::DataLoss, fmt::format("the events of revision {} are gone", next));
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
