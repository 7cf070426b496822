#pragma once

#include "state/event_log.hpp"
#include "state/storage.hpp"

namespace hypermesh::state {

inline constexpr std::size_t kEventProofBytesMax = 64u << 20;

/// A change of one key under a watched prefix.
struct Event {
  Revision revision = 0;
  std::string key;
  std::optional<std::string> value;     ///< Empty: deleted.
  std::optional<std::string> previous;  ///< Empty: there was none, or it is compacted away.
  bool operator==(const Event&) const = default;
};

/// The events of revisions (after, up_to], in full under `prefix` and as key and digest elsewhere.
/// The caller has checked that they are retained.
/// Errors: ResourceExhausted (more than kEventProofBytesMax: ask for fewer revisions), DataLoss.
base::Result<base::Bytes> prove_events(const Reader& storage, std::string_view prefix,
                                       Revision after, Revision up_to);

/// Checks that these are all events under `prefix` between two heads, which the client took from
/// two certified roots (proofs of kHeadKey). `previous` stays empty.
/// Errors: NotVerified (an event is missing, added, changed or out of order), DataLoss (malformed).
base::Result<std::vector<Event>> verify_events(std::string_view prefix, const Head& from,
                                               const Head& to, base::BytesView proof);

}  // namespace hypermesh::state
