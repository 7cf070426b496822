#pragma once

// What two replicas say to each other when one fetches the other's state: questions for parts of a
// checkpoint's tree by path, with hints of what the asker has there, and answers that the asker
// checks against hashes that it has.

#include <array>
#include <variant>

#include "state/row.hpp"

namespace hypermesh::state {

inline constexpr std::size_t kTransferItemsMax = 256;  ///< Of one request.
/// An answer ends after the item with which it reaches this.
inline constexpr std::size_t kAnswerBytesMax = 1u << 20;
/// The most that one item can add to it: a leaf with the largest key and value.
inline constexpr std::size_t kAnswerBytesHardMax = 2 * kAnswerBytesMax + kValueBytesMax;
inline constexpr std::size_t kListedLeavesMax = 96;    ///< Of a question.
inline constexpr std::size_t kSubtreeLeavesMax = 512;  ///< Answered at once.
inline constexpr std::size_t kSubtreeBytesMax = 128u << 10;
inline constexpr std::size_t kInlineLeafBytesMax = 64u << 10;  ///< Larger ones are asked for.

/// The first bytes of a hash, as a number: enough to tell what changed. Where too few of them err,
/// the answer does not verify and is asked for again, exactly.
using HashHint = std::uint64_t;
HashHint hint_of(const base::Digest& hash, std::size_t bytes);

/// What the children of a node are.
struct NodeQuestion {
  static constexpr std::size_t kHintBytes = 2, kExactHintBytes = 8;
  std::uint16_t known = 0;                ///< Children of the asker's own node there.
  std::uint16_t leaves = 0;               ///< Those of them that are leaves.
  std::array<HashHint, kFanout> hints{};  ///< Of the known ones; zero elsewhere.
  bool operator==(const NodeQuestion&) const = default;
};
/// What to do with all leaves that the asker has below the path, so that they are the source's.
struct LeavesQuestion {
  static constexpr std::size_t kHintBytes = 1, kExactHintBytes = 8;
  std::vector<HashHint> hints;  ///< Ascending by key hash; at most kListedLeavesMax.
  bool operator==(const LeavesQuestion&) const = default;
};
struct TransferItem {
  Path path;
  bool exact = false;  ///< Hints are long.
  std::variant<NodeQuestion, LeavesQuestion> asked;
  bool operator==(const TransferItem&) const = default;
};
struct TransferRequest {
  Slot checkpoint = 0;
  Revision revision = 0;  ///< The asker's.
  std::vector<TransferItem> items;
  bool operator==(const TransferRequest&) const = default;
};

struct TransferLeaf {
  std::string key;  ///< Full.
  Stamp created = 0;
  Stamp modified = 0;
  LeaseId lease = 0;
  std::string value;

  Leaf leaf() const;  ///< With its hash.
  bool operator==(const TransferLeaf&) const = default;
};
/// A child of which the asker has the same already.
struct SameAsYours {
  bool operator==(const SameAsYours&) const = default;
};
struct TransferNode {
  std::uint16_t present = 0;
  std::vector<std::variant<SameAsYours, base::Digest, TransferLeaf>> children;  ///< In order.
  bool operator==(const TransferNode&) const = default;
};
/// How the asker's leaves become the source's. Those behind the last edit are kept.
struct KeepYours {
  std::uint32_t count = 0;
  bool operator==(const KeepYours&) const = default;
};
struct DropYours {
  std::uint32_t count = 0;
  bool operator==(const DropYours&) const = default;
};
/// The asker's next leaf has another value.
struct ReplaceYours {
  std::optional<Stamp> created;  ///< Empty: as the asker has it.
  Stamp modified = 0;
  LeaseId lease = 0;
  std::string value;
  bool operator==(const ReplaceYours&) const = default;
};
struct LeafEdits {
  std::vector<std::variant<KeepYours, DropYours, ReplaceYours, TransferLeaf>> edits;
  bool operator==(const LeafEdits&) const = default;
};
struct NothingThere {
  bool operator==(const NothingThere&) const = default;
};
struct TransferAnswer {
  bool kept = true;  ///< False: the checkpoint is gone; there are no items.
  /// For the request's first items, in order.
  std::vector<std::variant<NothingThere, TransferNode, LeafEdits>> items;
  bool operator==(const TransferAnswer&) const = default;
};

base::Bytes encode(const TransferRequest& request);
base::Bytes encode(const TransferAnswer& answer);
std::string encode_transfer_leaf(const TransferLeaf& leaf);
/// Errors: DataLoss.
base::Result<TransferRequest> decode_transfer_request(base::BytesView bytes);
base::Result<TransferAnswer> decode_transfer_answer(base::BytesView bytes);
base::Result<TransferLeaf> decode_transfer_leaf(std::string_view bytes);

}  // namespace hypermesh::state
