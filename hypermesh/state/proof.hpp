#pragma once

#include "state/row.hpp"
#include "state/tree.hpp"

namespace hypermesh::state {

inline constexpr std::size_t kProofBytesMax =
    kValueBytesMax + kPathNibblesMax * (2 + (kFanout - 1) * 32) + 256;

/// A value as its leaf certifies it.
struct ProvenValue {
  std::string value;
  Stamp created = 0;
  Stamp modified = 0;
  LeaseId lease = 0;
  bool operator==(const ProvenValue&) const = default;
};

/// That `full` has its value, or is absent, in a stored tree. Errors: DataLoss, Unavailable.
base::Result<base::Bytes> prove(const Reader& storage, const TreeRef& tree, std::string_view full);

/// Checks with nothing but a certified root: the key's value, or empty when the proof shows that
/// the key is absent. Whether a whole prefix was listed cannot be shown: the tree orders keys by
/// their hashes. (Watches prove completeness: event_proof.hpp.)
/// Errors: NotVerified (it does not lead to `root`), DataLoss (malformed).
base::Result<std::optional<ProvenValue>> verify_proof(const base::Digest& root,
                                                      std::string_view full, base::BytesView proof);

}  // namespace hypermesh::state
