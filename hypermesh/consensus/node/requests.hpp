#pragma once

// What clients ask of a replica over one stream, many at a time: docs/wire/consensus.md,
// "Requests". Answers come in any order.

#include <variant>

#include "consensus/execution/executor.hpp"
#include "consensus/messages.hpp"

namespace hypermesh::consensus {

inline constexpr std::size_t kRequestBytesMax = kBundleBytesMax + 4096;
inline constexpr std::size_t kReplyBytesMax = 24 << 20;

/// A command (execution/command.hpp), which the node orders in its own name.
struct OrderRequest {
  base::Bytes command;
};
/// A bundle that the client signed itself. `bundle` is encoded; see block.hpp.
struct BundleRequest {
  BundlePtr bundle;
};
struct GetRequest {
  std::string key;
  bool local = false;  ///< What this node has, as old as that may be.
  /// 0: the newest. Else: as of this revision; the node waits until it has it.
  state::Revision at = 0;
};
struct RangeRequest {
  state::RangeQuery query;
  bool local = false;
};
/// Changes after a revision; the node waits until there is one, or the request's time is over.
struct ChangesRequest {
  std::string prefix;
  state::Revision after = 0;
};
struct StatusRequest {};
/// The node's word that it holds the newest checkpoint, for who makes it a voter.
struct CopyRequest {};
/// A full key (state/keys.hpp) at the newest certified checkpoint, with what proves its value, or
/// that it has none, to whoever knows the voters of the epoch `proven`.
struct ProveRequest {
  std::string full_key;
  Epoch proven = 1;
};
/// All changes under a prefix between a revision and the newest certified checkpoint, proven.
struct ProveChangesRequest {
  std::string prefix;
  state::Revision after = 0;
  Epoch proven = 1;
};

struct Request {
  std::uint64_t id = 0;        ///< The client's, for the reply.
  std::uint32_t limit_ms = 0;  ///< How long to try; 1 to kLimitMsMax.
  std::variant<OrderRequest, BundleRequest, GetRequest, RangeRequest, ChangesRequest, StatusRequest,
               CopyRequest, ProveRequest, ProveChangesRequest>
      what;
};
inline constexpr std::uint32_t kLimitMsMax = 60'000;

struct OrderReply {
  std::uint64_t number = 0;  ///< See state::Outcome.
};
struct BundleReply {
  std::vector<state::Outcome> outcomes;
  bool refused = false;  ///< As BundleResult::refused.
  friend bool operator==(const BundleReply&, const BundleReply&) = default;
};
struct GetReply {
  std::optional<state::KeyValue> entry;
  state::Revision revision = 0;  ///< That the answer is of.
  std::uint64_t time = 0;        ///< Ordered, of the newest slot here; a local answer is as old.
};
struct RangeReply {
  state::RangePage page;
  std::uint64_t time = 0;
};
struct ChangesReply {
  state::EventPage page;
};
struct StatusReply {
  Epoch epoch = 0;
  View view = 0;
  Slot applied = 0, stable = 0;
  state::Revision revision = 0;
  std::uint16_t voters = 0, connected = 0;
  bool votes = false;
  base::PublicKey leader{};
};

struct CopyReply {
  Copy copy;
};
/// A certified state, and how old it is: see proof_checker.hpp.
struct Proven {
  std::vector<StableCheckpoint> ends;  ///< Of the epochs from the asked one to the checkpoint's.
  StableCheckpoint checkpoint;
  base::Bytes last;  ///< Proof of kLastKey.
};
struct ProveReply {
  Proven at;
  base::Bytes proof;
};
struct ProveChangesReply {
  Proven at;
  base::Bytes head, events;  ///< Proof of state::kHeadKey, and of what leads to it.
};
inline constexpr std::size_t kEventsProvenBytesMax = 16 << 20;

struct Reply {
  std::uint64_t id = 0;
  base::Result<std::variant<OrderReply, BundleReply, GetReply, RangeReply, ChangesReply,
                            StatusReply, CopyReply, ProveReply, ProveChangesReply>>
      what;
};

void write(base::ByteWriter& out, const Request& request);
/// Errors: DataLoss, InvalidArgument (a limit out of range), Unsupported (a newer kind).
base::Result<Request> decode_request(base::BytesView bytes);
void write(base::ByteWriter& out, const Reply& reply);
/// Errors: DataLoss. (What the node answered with is in the reply.)
base::Result<Reply> decode_reply(base::BytesView bytes);

}  // namespace hypermesh::consensus
