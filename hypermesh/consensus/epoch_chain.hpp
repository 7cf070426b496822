#pragma once

// Who votes in each epoch, proven from the first on: an epoch's last checkpoint is signed by its
// voters and names those of the next. docs/design/0010.

#include <map>
#include <span>

#include "consensus/messages.hpp"

namespace hypermesh::consensus {

class EpochChain {
 public:
  /// `first`: the voters that are known without proof. `ends` were checked before.
  explicit EpochChain(Voters first, std::map<Epoch, StableCheckpoint> ends = {});

  /// Of an epoch's last checkpoint, whose signatures were checked. Others may be missing before it.
  void add(StableCheckpoint end);
  /// Voters of all epochs up to this one are proven.
  Epoch proven() const { return proven_; }
  /// Null: not known here.
  const Voters* voters(Epoch epoch) const;
  /// Null: not here, or the epoch has not ended.
  const StableCheckpoint* end_of(Epoch epoch) const;
  /// Whether an epoch is known to have ended with it.
  bool is_end(Slot slot) const;
  /// From that of `epoch` on, without gaps, kEndsPerMessageMax at most.
  std::vector<StableCheckpoint> ends_from(Epoch epoch) const;
  const std::map<Epoch, StableCheckpoint>& ends() const { return ends_; }

 private:
  Voters first_;
  std::map<Epoch, StableCheckpoint> ends_;  // By the epoch that ends.
  Epoch proven_ = 0;
};

/// The voters that the last of `ends` names, to whoever knows those of the first one's epoch.
/// Errors: NotVerified, and says which does not follow.
base::Result<Voters> verify(const ClusterId& cluster, Voters voters,
                            std::span<const StableCheckpoint> ends);

}  // namespace hypermesh::consensus
