#pragma once

#include "state/tree.hpp"

namespace hypermesh::state {

inline constexpr std::size_t kCheckpointsKept = 2;

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
  TreeRef tree;
  std::uint64_t version = 1;  ///< Of the tree's nodes that are written now.
  Revision compacted = 0;     ///< Reads at, and watches after, a revision before it are refused.
  std::uint64_t history_bytes = 0;      ///< Of the revisions after `compacted`.
  std::vector<Checkpoint> checkpoints;  ///< Oldest first, at most kCheckpointsKept.
  bool operator==(const LocalMeta&) const = default;
};

std::string encode_meta(const LocalMeta& meta);
/// Errors: DataLoss, Unsupported (of a newer build).
base::Result<LocalMeta> decode_meta(std::string_view bytes);

}  // namespace hypermesh::state
