#pragma once

// What each revision changed, for watches that resume, for reads of the past and for proofs that a
// watch missed nothing. The chain over revisions has its newest link in the tree, so every
// certified root also certifies all events before it.

#include <base/bytes.hpp>
#include <base/crypto.hpp>
#include <optional>
#include <vector>

#include "state/keys.hpp"
#include "state/storage.hpp"

namespace hypermesh::state {

/// One key that a revision changed.
struct LoggedEvent {
  std::string key;                  ///< The user's part.
  std::optional<base::Digest> put;  ///< SHA-256 of the value; empty: deleted.
  Revision previous = 0;            ///< `modified` of the value it replaced; 0: none.
  std::uint32_t value_bytes = 0;
  bool operator==(const LoggedEvent&) const = default;
};
using LoggedEvents = std::vector<LoggedEvent>;

/// Revisions that follow each other, in one record under the last of them.
class EventBlock {
 public:
  /// The one after the last that was added.
  void add(Revision revision, const LoggedEvents& events);
  bool empty() const { return last_ == 0; }
  bool full() const { return bytes_.size() >= kBytesWanted; }
  /// Puts the record and begins another.
  void store(Storage::Batch& batch);

 private:
  static constexpr std::size_t kBytesWanted = 32u << 10;
  std::string bytes_;
  Revision last_ = 0;
};
struct LoggedRevision {
  Revision revision = 0;
  LoggedEvents events;
};
/// `last`: the revision in the record's key. Errors: DataLoss.
base::Result<std::vector<LoggedRevision>> decode_events(Revision last, std::string_view bytes);

/// Return false to stop. `last_of_record`: it is the last revision of its record.
using VisitRevision = std::function<bool(LoggedRevision& logged, bool last_of_record)>;
/// Those after `after`, up to `up_to`, in order. Errors: DataLoss (also when one is missing), of
/// the storage.
base::Result<> scan_revisions(const Reader& storage, Revision after, Revision up_to,
                              const VisitRevision& visit);
/// What a revision counts for in the limit of the history.
std::uint64_t history_bytes_of(const LoggedEvents& events);

/// Hashes one revision onto the chain: domain, link before, revision, events in their order.
class ChainLink {
 public:
  ChainLink(const base::Digest& before, Revision revision, std::uint32_t events);
  void add(std::string_view key, const std::optional<base::Digest>& put);
  base::Digest finish() const { return base::sha256(writer_.view()); }

 private:
  base::ByteWriter writer_;
};
base::Digest chain_after(const base::Digest& before, Revision revision, const LoggedEvents& events);

/// The machine's own record in the tree, under the key "head" of Space::Meta.
struct Head {
  Revision revision = 0;
  base::Digest chain{};  ///< Of all revisions up to this one; zeros before the first.
  LeaseId last_lease = 0;
  bool operator==(const Head&) const = default;
};
/// Its full key; before the first change there is no record, which stands for Head{}.
inline constexpr std::string_view kHeadKey = "mhead";
std::string encode_head(const Head& head);
/// Errors: DataLoss.
base::Result<Head> decode_head(std::string_view bytes);

}  // namespace hypermesh::state
