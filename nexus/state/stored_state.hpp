#pragma once

// How the state lies in an ordered key-value store. One byte in front tells the tables apart:
//
//   k <key>               -> entry: created, modified, lease, value
//   e <revision, big end> -> what that commit changed, for watches that resume
//   l <lease>             -> its time to live
//   a <lease> <key>       -> nothing: the key goes with the lease
//   m revision | compacted | format
//
// Every value starts with a format version. Reading checks all bounds: a damaged disk gives
// DataLoss.

#include <base/error.hpp>
#include <base/time.hpp>
#include <nexus/revision.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace nexus {

inline constexpr std::uint64_t kStateFormat = 1;

struct StoredEntry {
  Revision created = 0;
  Revision modified = 0;
  std::uint64_t lease = 0;
  std::string value;
  bool operator==(const StoredEntry&) const = default;
};
std::string encode_entry(const StoredEntry& entry);
base::Result<StoredEntry> decode_entry(std::string_view bytes);

/// One key of a logged commit.
struct LoggedChange {
  std::string key;
  Revision previous = 0;             ///< `modified` of the value it replaced; 0: there was none.
  std::optional<std::string> value;  ///< Empty: deleted.
  bool operator==(const LoggedChange&) const = default;
};
struct LoggedCommit {
  std::uint64_t bytes_before =
      0;  ///< Size of all records ever logged before: two of them give a range's.
  std::vector<LoggedChange> changes;
  bool operator==(const LoggedCommit&) const = default;
};
std::string encode_commit(const LoggedCommit& commit);
base::Result<LoggedCommit> decode_commit(std::string_view bytes);

std::string entry_key(std::string_view key);
std::string commit_key(Revision revision);
std::string lease_key(std::uint64_t lease);
std::string attachment_key(std::uint64_t lease, std::string_view key);
inline constexpr std::string_view kRevisionKey = "mrevision";
inline constexpr std::string_view kCompactedKey = "mcompacted";
inline constexpr std::string_view kFormatKey = "mformat";

std::string encode_number(std::uint64_t value);
base::Result<std::uint64_t> decode_number(std::string_view bytes);
/// The number behind the table's byte in a commit's or lease's key.
base::Result<std::uint64_t> number_of_key(std::string_view key);

/// First key after all that start with `prefix`; empty when there is none.
std::string end_of_prefix(std::string prefix);

}  // namespace nexus
