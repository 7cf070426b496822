#pragma once

// What replicas sign, and what a quorum of signatures proves. Everything that is signed is a
// Statement in one fixed layout, so that two that contradict each other convince anybody.

#include <base/crypto.hpp>
#include <compare>
#include <cstdint>
#include <optional>
#include <vector>

#include "consensus/mutants.hpp"

namespace hypermesh::consensus {

using Epoch = std::uint64_t;  ///< Of a configuration, from 1.
using View = std::uint64_t;   ///< Within an epoch, from 0; each has one primary.
using Slot = std::uint64_t;   ///< Position in the one order, from 1; 0: before everything.
using ReplicaId = std::uint16_t;

inline constexpr std::size_t kVotersMax = 128;

/// Of the formats and rules that all replicas of an epoch share: docs/design/0014.
using Version = std::uint8_t;
/// What a program can go by.
struct Versions {
  Version oldest = 1, newest = 1;
  bool contain(Version version) const { return oldest <= version && version <= newest; }
};

enum class Phase : std::uint8_t { Prepare = 1, Commit, Checkpoint, ViewChange, Hold };
/// All voters holding a block commits it, as a quorum of Commit votes does: docs/design/0013.
constexpr bool commits(Phase phase) {
  return phase == Phase::Commit || phase == Phase::Hold;
}
std::string_view to_text(Phase phase);

/// The replicas that vote in one epoch. A replica's id is its place in `keys`.
struct Voters {
  Epoch epoch = 1;
  std::vector<base::PublicKey> keys;
  std::vector<ReplicaId> isolated;  ///< Ascending. They count, and are never primary.
  ReplicaId first_primary = 0;
  Version version = 1;  ///< That they go by.

  std::size_t size() const { return keys.size(); }
  /// f: how many may lie, n = 3f + 1 or more.
  std::size_t faulty_max() const { return (keys.size() - 1) / 3; }
  /// Any two of these share an honest replica, also when n is not 3f + 1: ceil((n + f + 1) / 2).
  std::size_t quorum() const {
    return (keys.size() + faulty_max() + 2) / 2 - (mutant(Mutant::QuorumTooSmall) ? 1 : 0);
  }
  /// How many signatures make a certificate.
  std::size_t needed(Phase phase) const {
    return phase == Phase::Hold && !mutant(Mutant::HoldsOfQuorum) ? keys.size() : quorum();
  }
  /// One of these is honest: f + 1.
  std::size_t weak_quorum() const { return faulty_max() + 1; }
  ReplicaId primary(View view) const;
  bool is_isolated(ReplicaId replica) const;
  std::optional<ReplicaId> find(const base::PublicKey& key) const;

  friend bool operator==(const Voters&, const Voters&) = default;
};

inline constexpr std::size_t kVotersBytesMax = 64 * kVotersMax;
base::Bytes encode(const Voters& voters);
/// Of whatever version: who is too old for it has to know. Errors: DataLoss, InvalidArgument (no
/// voters, too many, one key twice, an id out of range, no version).
base::Result<Voters> decode_voters(base::BytesView bytes);

/// The voters that take over when the slot `after` is executed and its checkpoint is signed.
struct NextEpoch {
  Voters voters;
  Slot after = 0;
  friend bool operator==(const NextEpoch&, const NextEpoch&) = default;
};

/// A checkpoint is of no view (0). For a change of views `view` is the one that is wanted, and
/// `digest` that of the claim and of what is held behind it.
struct Statement {
  Phase phase{};
  Epoch epoch = 0;
  View view = 0;
  Slot slot = 0;
  base::Digest digest{};

  friend bool operator==(const Statement&, const Statement&) = default;
};

/// Names the cluster for whom signatures are: the digest of its genesis.
using ClusterId = base::Digest;

/// The bytes that are signed: a tag, the cluster and the statement.
base::Bytes signed_bytes(const ClusterId& cluster, const Statement& statement);

struct Vote {
  Statement statement;
  ReplicaId replica = 0;
  base::Signature signature{};

  friend bool operator==(const Vote&, const Vote&) = default;
};

/// A quorum signed one statement; of Phase::Hold, all voters did.
struct Certificate {
  Statement statement;
  /// Ascending by replica.
  std::vector<std::pair<ReplicaId, base::Signature>> signatures;

  friend bool operator==(const Certificate&, const Certificate&) = default;
};

/// Whether `certificate` proves its statement to whoever knows the voters' keys.
/// Errors: NotVerified (fewer signatures than a quorum, one replica twice, a wrong signature,
/// another epoch), and says which.
base::Result<> verify(const ClusterId& cluster, const Voters& voters,
                      const Certificate& certificate);
/// The part of it that costs nothing.
base::Result<> check_signers(const Voters& voters, const Certificate& certificate);

/// Two votes that no honest replica casts both: the same replica, epoch, view, slot and phase, with
/// different digests; or different wishes for the same view.
struct Evidence {
  Vote first, second;
};
bool contradict(const Vote& first, const Vote& second);
/// Errors: InvalidArgument (they do not contradict each other), NotVerified (a signature).
base::Result<> verify(const ClusterId& cluster, const Voters& voters, const Evidence& evidence);

}  // namespace hypermesh::consensus
