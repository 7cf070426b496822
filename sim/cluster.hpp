#pragma once

#include <map>
#include <memory>

#include "sim/keys.hpp"

namespace sim {

namespace pbft = hypermesh::consensus::pbft;

/// What the replicas of one cluster have in common: keys, configuration and how they sign. Borrowed
/// by all of them.
class Cluster {
 public:
  explicit Cluster(std::size_t replicas, std::size_t clients = 1);

  const hypermesh::consensus::ClusterId& id() const { return options.cluster; }
  const hypermesh::consensus::Voters& voters() const { return genesis.voters; }
  pbft::Signer& signer(hypermesh::consensus::ReplicaId replica) const { return *signers_[replica]; }
  bool good(const pbft::Check::Item& item) const { return keys_.good(item); }

  /// Signed as a client does.
  hypermesh::consensus::BundlePtr bundle(std::uint64_t sequence, std::size_t client = 0) const;
  /// Of clients that ask this replica.
  hypermesh::consensus::BundlePtr gateway_bundle(std::uint64_t sequence,
                                                 hypermesh::consensus::ReplicaId replica) const;
  // Signed by `replica`, whether it would say that or not.
  hypermesh::consensus::Vote vote(hypermesh::consensus::ReplicaId replica,
                                  const hypermesh::consensus::Statement& statement) const;
  hypermesh::consensus::Proposal proposal(hypermesh::consensus::View view,
                                          hypermesh::consensus::LinkPtr link) const;
  hypermesh::consensus::Wish wish(hypermesh::consensus::ReplicaId replica,
                                  hypermesh::consensus::View view,
                                  const hypermesh::consensus::Claim& claim,
                                  const std::vector<base::Digest>& held = {}) const;
  hypermesh::consensus::Certificate certificate(
      const hypermesh::consensus::Statement& statement,
      const std::vector<hypermesh::consensus::ReplicaId>& signers) const;
  /// What claims nothing.
  hypermesh::consensus::Claim nothing() const { return {0, genesis.start, genesis.start_digest}; }

  hypermesh::consensus::EpochBegun genesis;
  pbft::Options options;
  /// Who votes next, by the slot that orders it; from Options::window slots later on. The same
  /// replicas in the same places: seats are known by these.
  std::map<hypermesh::consensus::Slot, hypermesh::consensus::Voters> changes;
  /// Blocks do not tell when they were made, so that what differs only in that is the same.
  bool walls_stand_still = false;

 private:
  hypermesh::consensus::BundlePtr bundle_of(const base::PublicKey& client,
                                            std::uint64_t sequence) const;

  Keys keys_;
  std::vector<base::PublicKey> clients_;
  std::vector<std::unique_ptr<pbft::Signer>> signers_;
};

}  // namespace sim
