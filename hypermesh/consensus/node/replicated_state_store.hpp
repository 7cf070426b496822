#pragma once

#include <memory>
#include <nexus/state_store.hpp>
#include <set>

#include "consensus/node/replica_node.hpp"

namespace hypermesh::consensus {

/// The cluster's state as Nexus sees it, through this node's replica. Every call is ordered or
/// waits for what was; watches follow what is executed here. Leases end in ordered time.
class ReplicatedStateStore final : public nexus::StateStore {
 public:
  struct Limits {
    /// Of every call; a commit that is ordered later changes nothing.
    base::Duration time = std::chrono::seconds(10);
    std::size_t watch_revisions = 1000;  ///< Looked at for one Watch::next().
  };

  /// `node` is borrowed and outlives the store and its watches.
  ReplicatedStateStore(ReplicaNode& node, Limits limits);
  explicit ReplicatedStateStore(ReplicaNode& node) : ReplicatedStateStore(node, Limits()) {}

  /// Beside the errors that the interface names: NoQuorum, TimedOut, Unavailable (ReplicaNode).
  base::Task<base::Result<std::optional<nexus::KeyValue>>> get(std::string key) override;
  base::Task<base::Result<nexus::RangeResult>> range(nexus::Range range) override;
  base::Task<base::Result<nexus::Revision>> commit(std::vector<nexus::Write> writes) override;
  base::Task<base::Result<std::unique_ptr<nexus::Watch>>> watch(std::string prefix,
                                                                nexus::Revision after) override;
  base::Task<base::Result<nexus::LeaseId>> grant_lease(base::Duration time_to_live) override;
  base::Task<base::Result<>> keep_alive(nexus::LeaseId lease) override;
  base::Task<base::Result<>> revoke_lease(nexus::LeaseId lease) override;
  nexus::Revision revision() const override;

 private:
  class Cursor;
  base::Task<base::Result<std::uint64_t>> order(decltype(state::Operation::action) action);

  ReplicaNode& node_;
  const Limits limits_;
  const std::shared_ptr<std::set<Cursor*>> cursors_;  // That are watched with.
};

}  // namespace hypermesh::consensus
