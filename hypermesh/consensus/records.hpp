#pragma once

// What a replica writes to its log before it acts on it, so that after a crash it keeps every
// promise that others may have heard.

#include "consensus/messages.hpp"

namespace hypermesh::consensus {

/// The configuration that votes from `start` on; the block in `start` is the last of the one
/// before.
struct EpochBegun {
  Voters voters;
  Slot start = 0;
  base::Digest start_digest{};
};
/// This replica wants `view` and votes in no lower one.
struct ViewWanted {
  Epoch epoch = 0;
  View view = 0;
  Claim claim;
  std::vector<base::Digest> held;
};
/// The view has begun with the block of `base`. `proof` convinces who has missed it; none: the
/// epoch's first.
struct ViewBegun {
  Epoch epoch = 0;
  View view = 0;
  Claim base;
  std::optional<NewView> proof;
};
/// As primary of `view`, this replica may propose up to `slot`; after a restart it does not.
struct Reserved {
  Epoch epoch = 0;
  View view = 0;
  Slot slot = 0;
};
struct Body {
  LinkPtr link;
};
/// This replica votes for that block in this slot of this view.
struct Accepted {
  Epoch epoch = 0;
  View view = 0;
  Slot slot = 0;
  base::Digest digest{};
};
/// A Prepare, Commit or Hold certificate.
struct Certified {
  Certificate certificate;
};

/// The last checkpoint of an epoch, which proves the voters of the next. Kept for good.
struct EpochEnded {
  StableCheckpoint end;
};
/// What this replica promised under its key may be lost: it votes no more.
struct Silenced {};

// A StableCheckpoint without signatures is this replica's own.
using Record = std::variant<EpochBegun, ViewWanted, ViewBegun, Reserved, Body, Accepted, Certified,
                            StableCheckpoint, EpochEnded, Silenced>;

/// Of one, encoded: of a block, and what is around it.
inline constexpr std::size_t kRecordBytesMax = kBlockBytesMax + 4096;

base::Bytes encode(const Record& record, Version version = 1);
/// Errors: DataLoss, Unsupported (of none of the `known` versions).
base::Result<Record> decode_record(const ClusterId& cluster, base::BytesView bytes,
                                   const Versions& known = {});

}  // namespace hypermesh::consensus
