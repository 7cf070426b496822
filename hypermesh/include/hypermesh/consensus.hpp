#pragma once

#include <base/async/task.hpp>
#include <base/bytes.hpp>
#include <base/crypto.hpp>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace hypermesh {

struct Ordered {
  std::uint64_t sequence = 0;  ///< Position in the cluster's one order of operations, from 1.
  base::Bytes operation;
};

/// One vote of one replica, as it was counted.
struct Vote {
  enum class Phase : std::uint8_t { Prepare, Commit } phase;
  std::uint64_t view = 0, sequence = 0;
  std::uint32_t replica = 0;
  base::Digest digest{};
};

struct ConsensusStatus {
  std::string protocol;
  std::uint64_t view = 0, height = 0;
  std::uint32_t replicas = 0, faulty_max = 0, quorum = 0, leader = 0;
};

/// Puts operations into one order that every honest replica agrees on (Castro and Liskov 1999).
///
/// Calls are made on one executor. Doubles: SoloConsensus.
class Consensus {
 public:
  virtual ~Consensus() = default;

  /// Resumes when `operation` is ordered and durable, with its sequence number.
  /// Errors: NoQuorum (the deadline passed; the operation will not take effect), TimedOut (outcome
  /// unknown).
  virtual base::Task<base::Result<std::uint64_t>> propose(base::Bytes operation,
                                                          base::Duration deadline) = 0;

  /// Called for every ordered operation, in order, from `after` + 1 on.
  virtual void on_commit(std::uint64_t after, std::function<void(const Ordered&)> apply) = 0;
  /// Called for every counted vote.
  virtual void on_vote(std::function<void(const Vote&)> observe) = 0;

  virtual ConsensusStatus status() const = 0;
};

}  // namespace hypermesh
