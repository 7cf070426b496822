#pragma once

#include <span>
#include <vector>

#include "state/transfer_messages.hpp"

namespace hypermesh::state {

/// Steps that lead from one list of leaves to another.
struct EditStep {
  enum class Kind : std::uint8_t { Keep, Drop, Replace, Insert };
  Kind kind = Kind::Keep;
  std::uint32_t count = 0;
  bool operator==(const EditStep&) const = default;
};

/// Keeps as many as it can whose hints agree in order. `replace`: where as many go as come, they
/// are taken to be the same keys with other values.
std::vector<EditStep> align(std::span<const HashHint> from, std::span<const HashHint> to,
                            bool replace);

/// A leaf of the target: one of ours, or one that came.
struct MergedLeaf {
  base::Digest key_hash{};
  base::Digest hash{};
  std::variant<const Leaf*, TransferLeaf> leaf;
};
/// What edits make of the leaves that we listed below `path`; it refers to those. Empty: they do
/// not fit, or lead to leaves that cannot lie there.
std::optional<std::vector<MergedLeaf>> merge(const Path& path, std::span<const Leaf> listed,
                                             const LeafEdits& subtree);
/// Leaves of the first child of a node at `depth` that has any.
std::size_t first_group(std::span<const MergedLeaf> leaves, std::size_t depth);
/// Of the subtree of `leaves` whose root lies at `depth`.
base::Digest subtree_hash(std::span<const MergedLeaf> leaves, std::size_t depth);

}  // namespace hypermesh::state
