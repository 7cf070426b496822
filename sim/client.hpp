#pragma once

#include "sim/history.hpp"
#include "sim/node.hpp"
#include "state/operation.hpp"

namespace sim {

/// A bundle that a client waits for.
struct OpenBundle {
  hypermesh::state::Operation operation;
  bool reads = false;  ///< The key, behind a barrier.
  std::string key;
  PacketPtr packet;
  MonotonicTime begun{};
  /// Who waits for it, if not a client that reads and writes.
  std::function<void(const OpenBundle&)> then{};
  std::optional<hypermesh::state::Outcome> outcome;  ///< When it was executed first,
  Slot slot = 0;                                     ///< where,
  Nodes by = 0;                                      ///< and who has executed it.
};

struct World::Client {
  using Open = OpenBundle;

  Client(std::size_t i, const base::PublicKey& public_key, std::uint64_t seed)
      : key(public_key), index(i), rng(mixed(seed, 1000 + i)) {}

  const base::PublicKey key;
  const std::size_t index;
  base::SeededRng rng;
  std::uint64_t next = 1;
  std::map<std::uint64_t, Open> open;
  std::map<std::string, std::uint64_t> seen;  ///< Revisions of keys.
  std::uint64_t lease = 0;
  std::vector<std::pair<std::string, Call>> calls;
  struct Seen {
    std::string key, value;
    std::uint64_t revision = 0;
  };
  std::vector<Seen> reads;
};

}  // namespace sim
