#include "state/event_proof.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "state/row.hpp"

namespace hypermesh::state {
namespace {

constexpr std::uint8_t kEventProofFormat = 1;
enum class Kind : std::uint8_t { Delete = 0, PutInFull = 1, PutDigest = 2 };

}  // namespace

base::Result<base::Bytes> prove_events(const Reader& storage, std::string_view prefix,
                                       Revision after, Revision up_to) {
  base::ByteWriter writer;
  writer.u8(kEventProofFormat);
  base::Result<> written;
  const auto put = [&](const LoggedRevision& logged) -> base::Result<> {
    writer.u32(static_cast<std::uint32_t>(logged.events.size()));
    for (const LoggedEvent& event : logged.events) {
      writer.sized(event.key);
      if (!event.put) {
        writer.u8(static_cast<std::uint8_t>(Kind::Delete));
      } else if (event.key.starts_with(prefix)) {
        TRY(const Row row, read_row(storage, full_key(Space::User, event.key), logged.revision));
        writer.u8(static_cast<std::uint8_t>(Kind::PutInFull));
        writer.sized(row.value);
      } else {
        writer.u8(static_cast<std::uint8_t>(Kind::PutDigest));
        writer.raw(*event.put);
      }
      if (writer.view().size() > kEventProofBytesMax) {
        return base::fail(base::Errc::ResourceExhausted,
                          fmt::format("the events of revisions {} to {} do not fit in {} bytes",
                                      after + 1, up_to, kEventProofBytesMax));
      }
    }
    return {};
  };
  TRY_DO(scan_revisions(storage, after, up_to, [&](const LoggedRevision& logged, bool) {
    written = put(logged);
    return written.has_value();
  }));
  TRY_DO(std::move(written));
  return std::move(writer).take();
}

base::Result<std::vector<Event>> verify_events(std::string_view prefix, const Head& from,
                                               const Head& to, base::BytesView proof) {
  base::ByteReader reader(proof);
  TRY(const auto format, reader.u8());
  if (format != kEventProofFormat || from.revision > to.revision) {
    return base::fail(base::Errc::DataLoss,
                      fmt::format("a proof of events of format {} from revision {} to {} cannot be "
                                  "read",
                                  format, from.revision, to.revision));
  }
  std::vector<Event> events;
  base::Digest chain = from.chain;
  for (Revision revision = from.revision + 1; revision <= to.revision; ++revision) {
    TRY(const auto count, reader.u32());
    ChainLink link(chain, revision, count);
    for (std::uint32_t i = 0; i < count; ++i) {
      TRY(const auto key_bytes, reader.sized(kKeyBytesMax));
      const auto key = base::as_text(key_bytes);
      TRY(const auto kind, reader.u8());
      const bool watched = key.starts_with(prefix);
      std::optional<base::Digest> put;
      std::optional<std::string> value;
      if (kind == static_cast<std::uint8_t>(Kind::PutInFull)) {
        TRY(const auto bytes, reader.sized(kValueBytesMax));
        value.emplace(base::as_text(bytes));
        put = base::sha256(bytes);
      } else if (kind == static_cast<std::uint8_t>(Kind::PutDigest)) {
        if (watched) {
          return base::fail(
              base::Errc::NotVerified,
              fmt::format("the value of {} at revision {} was left out", key, revision));
        }
        TRY(const auto bytes, reader.raw(32));
        std::ranges::copy(bytes, put.emplace().begin());
      } else if (kind != static_cast<std::uint8_t>(Kind::Delete)) {
        return base::fail(base::Errc::DataLoss,
                          fmt::format("a proof of events has an event of kind {}", kind));
      }
      link.add(key, put);
      if (watched) events.push_back({revision, std::string(key), std::move(value), {}});
    }
    chain = link.finish();
  }
  TRY_DO(reader.end());
  if (chain != to.chain) {
    return base::fail(base::Errc::NotVerified,
                      fmt::format("the events do not lead from revision {} to {}: one is missing, "
                                  "added, changed or out of order",
                                  from.revision, to.revision));
  }
  return events;
}

}  // namespace hypermesh::state
