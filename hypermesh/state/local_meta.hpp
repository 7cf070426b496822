#pragma once

#include "state/tree.hpp"

namespace hypermesh::state {

/// The last ones, and more while none of them is certified: those from the certified one on.
inline constexpr std::size_t kCheckpointsKept = 2;
inline constexpr std::size_t kCheckpointsMax = 8;
inline constexpr Slot kNobodyCertifies = ~Slot{0};

/// A state that stays readable for transfer while newer slots are applied.
struct Checkpoint {
  Slot slot = 0;
  Revision revision = 0;
  TreeRef tree;
  std::uint64_t version = 0;  ///< The tree's version that this checkpoint closed.
  bool operator==(const Checkpoint&) const = default;
};

/// What this replica knows of its own state; written with every slot, certified by nobody.
struct LocalMeta {
  Slot applied = 0;
  Revision revision = 0;
  /// The newest tree that is stored whole. What changed since follows from the events after
  /// `stored_revision` and from the lists of the slots after `stored_slot`.
  TreeRef tree;
  Slot stored_slot = 0;
  Revision stored_revision = 0;
  std::uint64_t version = 1;  ///< Of the tree's nodes that change now.
  Revision compacted = 0;     ///< Reads at, and watches after, a revision before it are refused.
  std::uint64_t history_bytes = 0;  ///< Of the revisions after `compacted`.
  /// The last checkpoint that a quorum signed; 0: none yet. kNobodyCertifies: the last ones do.
  Slot certified = kNobodyCertifies;
  std::vector<Checkpoint> checkpoints;  ///< Oldest first, at most kCheckpointsMax.
  bool operator==(const LocalMeta&) const = default;
};

std::string encode_meta(const LocalMeta& meta);
/// Errors: DataLoss, Unsupported (of a newer build).
base::Result<LocalMeta> decode_meta(std::string_view bytes);

}  // namespace hypermesh::state
