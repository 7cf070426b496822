#pragma once

// What replicas tell each other: docs/wire/consensus.md. A message's sender is whom the connection
// proves; what must convince others too is signed inside.

#include <variant>

#include "consensus/block.hpp"

namespace hypermesh::consensus {

/// The primary puts a block into a slot of its view.
struct Proposal {
  Epoch epoch = 0;
  View view = 0;
  base::Signature signature{};  ///< Of the view's primary: its Prepare vote.
  bool fast = false;            ///< Whoever can says Hold, and only to the primary.
  LinkPtr link;
};

/// Shows what committed a block that its receiver has.
struct Decided {
  Certificate certificate;
};
/// The primary waits for Hold votes in vain: what it proposed up to `slot` is to be prepared.
struct VoteOpenly {
  Epoch epoch = 0;
  View view = 0;
  Slot slot = 0;
};

/// What a replica wants the next view to go on from: the highest block that it has a certificate
/// for, by view, then slot.
struct Claim {
  View view = 0;
  Slot slot = 0;
  base::Digest digest{};
  friend bool operator==(const Claim&, const Claim&) = default;
};
/// A replica wants `view`, and votes in no lower one any more.
struct Wish {
  ReplicaId replica = 0;
  Claim claim;
  /// The blocks that it voted for behind that of the claim, each naming the one before as parent.
  std::vector<base::Digest> held;
  base::Signature signature{};
};
/// Of one wish: a window of slots (at most 1,024), and some more.
inline constexpr std::size_t kHeldMax = 2048;
Statement statement_of(Epoch epoch, View view, const Claim& claim,
                       const std::vector<base::Digest>& held);

struct ViewChange {
  Epoch epoch = 0;
  View view = 0;
  Wish wish;
  std::optional<Certificate> proof;  ///< Of the claim; none: it claims the epoch's start.
};

/// A quorum wants `view`: new_view.hpp says with which block it begins.
struct NewView {
  Epoch epoch = 0;
  View view = 0;
  std::vector<Wish> wishes;          ///< Ascending by replica.
  std::optional<Certificate> proof;  ///< Of the highest claim.
};

/// How far a replica is. The primary's keeps its view alive; from others it asks for what they
/// lack.
struct Status {
  Epoch epoch = 0;
  View view = 0;
  bool changing = false;  ///< Waits for the view to begin.
  Slot committed = 0;
  Slot accepted = 0;  ///< Highest slot voted for in this view.
  Slot stable = 0;    ///< Last checkpoint that a quorum signed.
  Epoch proven = 1;   ///< It can prove the voters of all epochs up to here.
};

/// Committed blocks, one after the other, and what proves the last of them.
struct Committed {
  Certificate certificate;
  std::vector<LinkPtr> links;
};

/// A checkpoint that a quorum signed: behind it, state is fetched instead of blocks.
struct StableCheckpoint {
  Certificate certificate;
  base::Digest root{};         ///< Of the state after the slot.
  base::Digest block{};        ///< In the slot.
  std::optional<Voters> next;  ///< The slot is the last of its epoch: who votes in the next one.
};
/// What the Checkpoint statement's digest is of: the rest of `checkpoint`.
base::Digest checkpoint_digest(const StableCheckpoint& checkpoint);
/// Whether its statement is of what it says. Errors: NotVerified.
base::Result<> check_statement(const StableCheckpoint& checkpoint);

/// The last checkpoints of epochs, one after the other, so that each names the voters that signed
/// the one behind it; and a newer one of the epoch behind those, whose state can be fetched.
struct Epochs {
  std::vector<StableCheckpoint> ends;
  std::optional<StableCheckpoint> newest;
};
inline constexpr std::size_t kEndsPerMessageMax = 64;

/// Asks for the block with this digest and those before it, down to a slot that the sender has.
struct Fetch {
  base::Digest digest{};
  Slot slot = 0;
  Slot above = 0;
};
struct Fetched {
  std::vector<LinkPtr> links;  ///< Ascending.
};

struct Submit {
  BundlePtr bundle;
};

/// Somebody reads, and wants to know how far the cluster is: pbft/reads.hpp.
struct ReadAsk {
  Epoch epoch = 0;
  std::uint64_t round = 0;  ///< The asker's.
};
struct ReadAnswer {
  Epoch epoch = 0;
  std::uint64_t round = 0;
  Slot slot = 0;  ///< The highest that it sent a commit for, or knows to be committed.
  Slot held = 0;  ///< The highest that it voted for.
};

using Message =
    std::variant<Proposal, Vote, ViewChange, NewView, Status, Committed, StableCheckpoint, Fetch,
                 Fetched, Submit, Evidence, Epochs, ReadAsk, ReadAnswer, Decided, VoteOpenly>;
using MessagePtr = std::shared_ptr<const Message>;

inline constexpr std::size_t kMessageBytesMax = 24 << 20;

base::Bytes encode(const Message& message, Version version = 1);
/// Blocks get their digests here. Errors: DataLoss (what is wrong, and where), Unsupported (of none
/// of the `known` versions; the first byte is its own).
base::Result<Message> decode(const ClusterId& cluster, base::BytesView bytes,
                             const Versions& known = {});

// Parts that records and commands have too.
void write(base::ByteWriter& out, const Vote& vote);
base::Result<> read(base::ByteReader& in, Vote& vote);
void write(base::ByteWriter& out, const Claim& claim);
base::Result<> read(base::ByteReader& in, Claim& claim);
void write_held(base::ByteWriter& out, const std::vector<base::Digest>& held);
base::Result<std::vector<base::Digest>> read_held(base::ByteReader& in);
void write(base::ByteWriter& out, const NewView& message);
base::Result<NewView> read_new_view(base::ByteReader& in);
void write(base::ByteWriter& out, const StableCheckpoint& message);
base::Result<> read(base::ByteReader& in, StableCheckpoint& message);
void write(base::ByteWriter& out, const Certificate& certificate);
base::Result<Certificate> read_certificate(base::ByteReader& in);

}  // namespace hypermesh::consensus
