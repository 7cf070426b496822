#pragma once

// Bugs that the tests must find: in a program that is compiled with HYPERMESH_MUTANTS one of them
// can be switched on, in every other none exists.

#include <cstdint>
#include <string_view>

namespace hypermesh::consensus {

enum class Mutant : std::uint8_t {
  None,
  QuorumTooSmall,
  LockIgnored,
  PrepareBeforeDurable,
  CommitBeforeDurable,
  WishBeforeDurable,
  PromisesForgotten,
  PrimacyKeptOverRestart,
  ParentUnchecked,
  BaseUnchecked,
  BaseNotCarriedOn,
  NewViewUnproven,
  LowestClaimChosen,
  WishesUnchecked,
  WishesCountedTwice,
  TimersRunAlone,
  VotesOfOtherViews,
  VotesUnchecked,
  CertificatesUnchecked,
  EvidenceUnchecked,
  WindowsOutsideState,
  LaggardsLeftBehind,
  ReleasedTooEarly,
  CheckpointVotesForgotten,
  TimeUnchecked,
  CheckpointOfOne,
  ExecutedTwice,
  BaseBeforeDurable,
  EpochsUnchecked,
  HoldsOfQuorum,
  HoldBeforeDurable,
  CountedBeforeDurable,
  HoldWithoutCertificate,
  HeldIgnored,
  HeldForgotten,
  ReadsIgnoreHeld,
  NewestSpoken,
  NewestExecuted,
  OutdatedByOne,
  Count,
};
std::string_view to_text(Mutant mutant);

#ifdef HYPERMESH_MUTANTS
extern Mutant active_mutant;
inline bool mutant(Mutant which) {
  return active_mutant == which;
}
#else
constexpr bool mutant(Mutant) {
  return false;
}
#endif

}  // namespace hypermesh::consensus
