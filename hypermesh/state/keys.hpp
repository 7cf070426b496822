#pragma once

// How the replicated state lies in a Storage. One byte in front tells the tables apart:
//
//   M                         -> what this replica knows of itself (local_meta.hpp)
//   v <full key> ~<stamp>     -> a value that the key had, newest first (row.hpp)
//   n <version> <path>        -> a page of the tree (tree_page.hpp)
//   s <version> <slot> ...    -> what no tree of that version or a later one refers to
//   d <slot>                  -> records outside Space::User that a slot changed, until the tree is
//                                stored (records.hpp)
//   e <revision>              -> what revisions up to this one changed (event_log.hpp)
//   a <lease> <full key>      -> nothing: the key goes with the lease
//   f ...                     -> what a transfer under way has fetched (transfer_staging.hpp)
//
// A full key is one byte of its space and the key. A stamp says when a value was written: the
// revision of a user's key, the slot of any other. Stored complemented, so that the newest comes
// first.

#include <base/bytes.hpp>
#include <cstdint>
#include <string>
#include <string_view>

namespace hypermesh::state {

using Revision = std::uint64_t;
using Slot = std::uint64_t;
using LeaseId = std::uint64_t;
using Stamp = std::uint64_t;
/// Nanoseconds of the cluster's ordered time.
using Time = std::uint64_t;

inline constexpr std::size_t kKeyBytesMax = 4096;
inline constexpr std::size_t kFullKeyBytesMax = kKeyBytesMax + 1;
inline constexpr std::size_t kValueBytesMax = 1536 * 1024;

/// Who may write a key.
enum class Space : char {
  Meta = 'm',    ///< The machine itself: the key "head".
  System = 's',  ///< The consensus layer.
  Lease = 'l',   ///< The machine: one record a lease, its id as 8 bytes.
  User = 'u',    ///< Operations.
};
std::string full_key(Space space, std::string_view key);
inline Space space_of(std::string_view full) {
  return static_cast<Space>(full.front());
}
inline std::string_view user_part(std::string_view full) {
  return full.substr(1);
}

inline constexpr std::string_view kLocalMetaKey = "M";

void put_u64(std::string& to, std::uint64_t value);
/// Of 8 bytes.
std::uint64_t get_u64(std::string_view bytes);
/// Seven bits a byte, the lowest first; the last byte has no high bit.
void put_varint(std::string& to, std::uint64_t value);
/// Errors: DataLoss (past the end, more than 64 bits, or longer than it must be).
base::Result<std::uint64_t> read_varint(base::ByteReader& reader);

/// Keeps the order of keys although a stamp follows: 00 becomes 00 ff, and 00 01 ends the key.
std::string row_key(std::string_view full, Stamp stamp);
/// Before all rows of keys that start with `full`.
std::string row_prefix(std::string_view full);
/// After all rows of `full`, before those of every longer key.
std::string after_rows(std::string_view full);
struct RowName {
  std::string key;  ///< Full.
  Stamp stamp = 0;
};
base::Result<RowName> parse_row_key(std::string_view stored);

std::string event_key(Revision revision);
std::string change_key(Slot slot);
std::string stale_key(std::uint64_t version, Slot slot);
std::string attachment_key(LeaseId lease, std::string_view full);

}  // namespace hypermesh::state
