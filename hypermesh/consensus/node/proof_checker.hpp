#pragma once

// What somebody believes who trusts no replica: it knows the voters of one epoch, and follows the
// certificates from there. docs/design/0012.

#include "consensus/epoch_chain.hpp"
#include "consensus/node/requests.hpp"
#include "state/event_proof.hpp"
#include "state/proof.hpp"

namespace hypermesh::consensus {

/// A state that a quorum signed.
struct CertifiedState {
  Slot slot = 0;
  base::Digest root{};
  std::uint64_t time = 0;  ///< Ordered; compared with a clock, it is the state's age.
};
struct ProvenRead {
  CertifiedState state;
  std::optional<state::ProvenValue> value;  ///< Empty: the key is absent.
};
struct ProvenChanges {
  CertifiedState state;
  state::Head head;  ///< Go on from it.
  std::vector<state::Event> events;
};

/// Errors of all checks: NotVerified, DataLoss (the answer is a lie, or damaged);
/// FailedPrecondition (it is true, but of an older state than was seen before).
class ProofChecker {
 public:
  /// `voters`: of the genesis, or of any epoch that one trusts.
  ProofChecker(const ClusterId& cluster, Voters voters)
      : cluster_(cluster), voters_(std::move(voters)) {}

  /// Of the newest epoch that was proven.
  const Voters& voters() const { return voters_; }
  Slot newest() const { return newest_.slot; }

  base::Result<ProvenRead> check(std::string_view full_key, const ProveReply& reply);
  /// `from`: Head{} is the beginning of the cluster.
  base::Result<ProvenChanges> check(std::string_view prefix, const state::Head& from,
                                    const ProveChangesReply& reply);

 private:
  base::Result<CertifiedState> check(const Proven& proven);

  const ClusterId cluster_;
  Voters voters_;
  Statement newest_;  // Of the newest checkpoint that was proven.
};

}  // namespace hypermesh::consensus
