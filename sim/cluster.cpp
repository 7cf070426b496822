#include "sim/cluster.hpp"

#include <fmt/format.h>

namespace sim {

using namespace hypermesh::consensus;

namespace {

class KeySigner final : public pbft::Signer {
 public:
  KeySigner(const Keys& keys, const base::PublicKey& key) : keys_(keys), key_(key) {}
  base::Signature sign(base::BytesView bytes) override { return keys_.sign(key_, bytes); }

 private:
  const Keys& keys_;
  const base::PublicKey key_;
};

}  // namespace

Cluster::Cluster(std::size_t replicas, std::size_t clients) : keys_(0, false) {
  options.cluster = base::sha256("a cluster");
  options.suspects_alone = true;
  options.fast_path = false;  // Unless a script is about it.
  genesis.start_digest = options.cluster;
  for (std::size_t i = 0; i < replicas; ++i) {
    genesis.voters.keys.push_back(keys_.add(fmt::format("replica {}", i)));
    signers_.push_back(std::make_unique<KeySigner>(keys_, genesis.voters.keys.back()));
  }
  for (std::size_t i = 0; i < clients; ++i)
    clients_.push_back(keys_.add(fmt::format("client {}", i)));
}

BundlePtr Cluster::bundle(std::uint64_t sequence, std::size_t client) const {
  return bundle_of(clients_[client], sequence);
}

BundlePtr Cluster::gateway_bundle(std::uint64_t sequence, ReplicaId replica) const {
  return bundle_of(voters().keys[replica], sequence);
}

BundlePtr Cluster::bundle_of(const base::PublicKey& client, std::uint64_t sequence) const {
  auto bundle = std::make_shared<Bundle>();
  bundle->client = client;
  bundle->sequence = sequence;
  bundle->operations.emplace_back(1, static_cast<std::uint8_t>(sequence));
  bundle->signature = keys_.sign(bundle->client, signed_bytes(id(), *bundle));
  return bundle;
}

Vote Cluster::vote(ReplicaId replica, const Statement& statement) const {
  return {statement, replica, signer(replica).sign(signed_bytes(id(), statement))};
}

Proposal Cluster::proposal(View view, LinkPtr link) const {
  const Epoch epoch = voters().epoch;
  const Statement statement{Phase::Prepare, epoch, view, link->block.slot, link->digest};
  return {epoch, view, vote(voters().primary(view), statement).signature, options.fast_path,
          std::move(link)};
}

Wish Cluster::wish(ReplicaId replica, View view, const Claim& claim,
                   const std::vector<base::Digest>& held) const {
  return {replica, claim, held,
          vote(replica, statement_of(voters().epoch, view, claim, held)).signature};
}

Certificate Cluster::certificate(const Statement& statement,
                                 const std::vector<ReplicaId>& signers) const {
  Certificate made{statement, {}};
  for (const ReplicaId replica : signers)
    made.signatures.emplace_back(replica, vote(replica, statement).signature);
  return made;
}

}  // namespace sim
