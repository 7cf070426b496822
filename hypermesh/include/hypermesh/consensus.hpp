#pragma once

#include <base/async/task.hpp>
#include <base/bytes.hpp>
#include <base/crypto.hpp>
#include <cstdint>
#include <functional>
#include <string>

namespace hypermesh {

struct Ordered {
  std::uint64_t sequence = 0;  ///< Position in the cluster's one order of operations, from 1.
  base::Bytes operation;
};

/// One vote of one replica, as it was counted.
struct Vote {
  enum class Phase : std::uint8_t { Prepare, Commit } phase;
  std::uint64_t view = 0, sequence = 0;  ///< Of the slot, which holds many operations.
  std::uint32_t replica = 0;
  base::Digest digest{};
};

struct ConsensusStatus {
  std::string protocol;
  std::uint64_t view = 0, height = 0;  ///< Height: the position that was ordered last.
  std::uint32_t replicas = 0, faulty_max = 0, quorum = 0, leader = 0;
};

/// Puts operations into one order that every honest replica agrees on (Castro and Liskov 1999).
///
/// An operation is bytes that mean something to those who propose and apply it, and is delivered
/// once. Others have positions in the same order (a cluster orders changes of its state and of its
/// members too), so the positions that are delivered rise, with gaps. Calls are made on one
/// executor. Implementations: ReplicatedConsensus. Doubles: SoloConsensus.
class Consensus {
 public:
  virtual ~Consensus() = default;

  /// Resumes when `operation` is ordered and durable, with its position; it was delivered here.
  /// Errors: NoQuorum (the deadline passed; the operation will not take effect: nobody is given
  /// it), TimedOut (outcome unknown), Unavailable (likewise: this replica stops), ResourceExhausted
  /// (too large, or too much waits; nothing was done).
  virtual base::Task<base::Result<std::uint64_t>> propose(base::Bytes operation,
                                                          base::Duration deadline) = 0;

  /// `apply` is called for every operation after the position `after`, in order: for those that are
  /// retained before this returns, then for others when they are ordered. An error is the last
  /// call: FailedPrecondition (what comes next is not known here, for this replica was behind and
  /// fetched the state alone; says where to go on). Replaces the one before; an empty one ends it.
  /// Errors: FailedPrecondition (what follows `after` is not retained any more; says what is).
  using OnCommit = std::function<void(const base::Result<Ordered>&)>;
  virtual base::Result<> on_commit(std::uint64_t after, OnCommit apply) = 0;
  /// Called for every counted vote; replaces the one before.
  virtual void on_vote(std::function<void(const Vote&)> observe) = 0;

  virtual ConsensusStatus status() const = 0;
};

}  // namespace hypermesh
