#pragma once

#include <deque>
#include <map>
#include <optional>

#include "consensus/block.hpp"

namespace sim {

/// The state machine of simulated replicas: registers, and each client's window of bundles with
/// their results. An operation is a register's number (u8) and the value to write (u64), or the
/// number alone to read; the result is the value that was there.
class Ledger {
 public:
  struct Done {
    hypermesh::consensus::Slot slot = 0;
    std::uint64_t place = 0;  ///< In the one order of all bundles.
    std::uint64_t result = 0;
  };

  /// Bundles that this block executed first, by client and sequence.
  std::vector<std::pair<std::pair<base::PublicKey, std::uint64_t>, Done>> apply(
      const hypermesh::consensus::Block& block);
  base::Digest root() const;
  hypermesh::consensus::Slot applied() const { return applied_; }
  /// What a replica forgets that does not keep clients' windows in its state.
  void forget_windows() { windows_.clear(); }

 private:
  hypermesh::consensus::Slot applied_ = 0;
  std::uint64_t places_ = 0;
  std::map<std::uint8_t, std::uint64_t> registers_;
  std::map<base::PublicKey, std::map<std::uint64_t, Done>> windows_;
};

}  // namespace sim
