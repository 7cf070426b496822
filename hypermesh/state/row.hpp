#pragma once

#include "state/storage.hpp"
#include "state/tree_node.hpp"

namespace hypermesh::state {

/// A value that a key had from the row's stamp on.
struct Row {
  bool deleted = false;  ///< The key went; the rest is empty.
  Stamp created = 0;
  LeaseId lease = 0;
  std::string value;
  bool operator==(const Row&) const = default;
};

std::string encode_row(Stamp created, LeaseId lease, std::string_view value);
std::string encode_deletion();
/// Errors: DataLoss.
base::Result<Row> decode_row(std::string_view bytes);

/// The row of a leaf. Errors: DataLoss (also when it is not there, or is a deletion).
base::Result<Row> read_row(const Reader& storage, std::string_view full, Stamp stamp);
/// The newest row of a key up to `stamp`, with its own stamp; empty when there is none.
base::Result<std::optional<std::pair<Stamp, Row>>> read_row_at(const Reader& storage,
                                                               std::string_view full, Stamp stamp);

/// What a key's leaf hashes to.
base::Digest hash_of(const base::Digest& key_hash, Stamp modified, const Row& row);

}  // namespace hypermesh::state
