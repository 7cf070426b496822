#pragma once

// What two replicas say to each other when one fetches the other's state: questions for nodes of a
// checkpoint's tree by path, and answers that the asker checks against hashes that it has.

#include <array>
#include <variant>

#include "state/row.hpp"

namespace hypermesh::state {

inline constexpr std::size_t kTransferItemsMax = 256;  ///< Of one request.
/// An answer ends after the item with which it reaches this.
inline constexpr std::size_t kAnswerBytesMax = 1u << 20;
/// The most that one item can add to it: a leaf with the largest key and value.
inline constexpr std::size_t kAnswerBytesHardMax = 2 * kAnswerBytesMax + kValueBytesMax;
inline constexpr std::size_t kSubtreeLeavesMax = 512;  ///< Answered at once.
inline constexpr std::size_t kSubtreeBytesMax = 128u << 10;
inline constexpr std::size_t kInlineLeafBytesMax = 64u << 10;  ///< Larger ones are asked for.

/// Enough of a hash to tell what changed; where it errs, the answer does not verify and is asked
/// for again without hints.
using HashHint = std::array<std::uint8_t, 2>;
HashHint hint_of(const base::Digest& hash);

struct TransferItem {
  Path path;
  std::uint16_t known = 0;   ///< Children of the asker's own node there, none if it has no node.
  std::uint16_t leaves = 0;  ///< Those of them that are leaves.
  std::array<HashHint, kFanout> hints{};  ///< Of the known ones; zero elsewhere.
  /// The asker has a single leaf there: the first bytes of its hash.
  std::optional<std::array<std::uint8_t, 8>> leaf;
  bool operator==(const TransferItem&) const = default;
};
struct TransferRequest {
  Slot checkpoint = 0;
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
/// A whole subtree: its leaves, ascending by key hash.
struct TransferLeaves {
  std::vector<std::variant<SameAsYours, TransferLeaf>> leaves;
  bool operator==(const TransferLeaves&) const = default;
};
struct NothingThere {
  bool operator==(const NothingThere&) const = default;
};
struct TransferAnswer {
  bool kept = true;  ///< False: the checkpoint is gone; there are no items.
  /// For the request's first items, in order.
  std::vector<std::variant<NothingThere, TransferNode, TransferLeaves>> items;
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
