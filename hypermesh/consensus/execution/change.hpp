#pragma once

// What changes a configuration. Deterministic: every replica decides the same.

#include "consensus/execution/configuration.hpp"

namespace hypermesh::consensus {

/// Members that come or change, and members that go. A voter stays a member.
struct ChangeMembers {
  std::vector<Member> put;
  std::vector<base::PublicKey> remove;
  friend bool operator==(const ChangeMembers&, const ChangeMembers&) = default;
};

/// A node's word that it holds a checkpoint, and what its program can: without it nobody becomes a
/// voter.
struct Copy {
  base::PublicKey node{};
  Slot slot = 0;
  base::Digest root{};
  base::Signature signature{};
  Version newest = 1;  ///< That the program can go by.
  friend bool operator==(const Copy&, const Copy&) = default;
};
base::Bytes signed_bytes(const ClusterId& cluster, const Copy& copy);
void write(base::ByteWriter& out, const Copy& copy);
base::Result<> read(base::ByteReader& in, Copy& copy);

/// Who votes in the next epoch, in the order of their ids.
struct ChangeVoters {
  Epoch epoch = 0;  ///< The one under way: whoever asks has seen it.
  std::vector<base::PublicKey> voters;
  std::vector<Copy> copies;  ///< Of those who do not vote yet.
  friend bool operator==(const ChangeVoters&, const ChangeVoters&) = default;
};

/// All go by the next version from the next epoch on.
struct ChangeVersion {
  Epoch epoch = 0;  ///< The one under way.
  Version version = 0;
  std::vector<Copy> copies;  ///< Of all voters that are not isolated.
  friend bool operator==(const ChangeVersion&, const ChangeVersion&) = default;
};

/// A checkpoint of which a copy may be.
struct KnownCheckpoint {
  Slot slot = 0;
  base::Digest root{};
  friend bool operator==(const KnownCheckpoint&, const KnownCheckpoint&) = default;
};

/// Errors: InvalidArgument (a bad endpoint, one key twice), ResourceExhausted (too many members),
/// NotFound, FailedPrecondition (a voter would go: change the voters first).
base::Result<> change_members(Configuration& configuration, const ChangeMembers& change);

/// Sets `configuration.next`. At most max(1, f) voters go at once, so that the quorum that orders
/// the change and the next one share honest replicas that stay.
/// Errors: Conflict (another epoch is under way), FailedPrecondition (a change is under way; too
/// many go; a proven liar comes), NotFound (no such node), InvalidArgument (none, one twice, the
/// same voters, too many), NotVerified (a copy is missing, old or wrong, or of an older program).
base::Result<> change_voters(const ClusterId& cluster, Configuration& configuration,
                             const ChangeVoters& change, Slot after, const base::PublicKey& primary,
                             const std::vector<KnownCheckpoint>& checkpoints);

/// Likewise. Errors: Conflict, FailedPrecondition (a change is under way; a voter's program is too
/// old), InvalidArgument (not the version after that under way), NotVerified.
base::Result<> change_version(const ClusterId& cluster, Configuration& configuration,
                              const ChangeVersion& change, Slot after,
                              const base::PublicKey& primary,
                              const std::vector<KnownCheckpoint>& checkpoints);

/// Takes note that a voter of this epoch or of the one before lies.
/// Errors: NotVerified, InvalidArgument, FailedPrecondition (of another epoch), AlreadyExists.
base::Result<base::PublicKey> accuse(const ClusterId& cluster, Configuration& configuration,
                                     const Evidence& evidence);
/// Isolates proven liars that vote, f at most, if no other change is under way. True if it did.
bool isolate_proven(Configuration& configuration, Slot after, const base::PublicKey& primary);

/// The slot `next->after` is executed: its voters are those of the epoch under way.
void begin_next(Configuration& configuration, const base::Digest& block);

}  // namespace hypermesh::consensus
