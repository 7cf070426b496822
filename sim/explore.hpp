#pragma once

// All that can happen to four replicas, one of whom lies, in two views of one or two slots: every
// order in which messages arrive or are lost, each replica giving its view up at any time, and
// crashes.
//
// The network is a soup: what was said can arrive at everybody at any time, any number of times or
// never. So loss, delay, duplication and reordering need no moves of their own, and a state is what
// each honest replica is, and what is in the soup. Each replica is the engine itself; since it
// is deterministic, it is asked once for each of its states and moves, and the search combines the
// answers.
//
// What makes it small enough, and why nothing is missed by it:
//  - Votes for one statement arrive at who casts the same, together when they are enough. Fewer
//    change only a set that is read when it reaches a quorum; what arrives before it can count
//    would wait. Others of a quorum learn of a commit by its certificate, which may arrive at
//    anybody.
//  - Who signed makes no difference: fingerprint.cpp. The liar's vote is always among them.
//  - A wish arrives only at the primary of view 1 that waits for it. Others would join, which they
//    may do at any time anyway, or start the timer of a view that the bound excludes.
//  - Votes and proposals of a view arrive when it has begun. Before, they would only be kept.
//  - A replica's moves that say nothing new happen right before its next one that does: others see
//    only what is said, and what can be heard stays so, hence they may wait. Those behind its last
//    word change nothing for others; each state that they lead to is checked where it could be.
//    What must hold of the soup stays broken once it is, so the states between are not needed.
//  - Statuses are not delivered. What they ask for is: committed blocks with their certificate, and
//    missing blocks.

#include <cstdint>
#include <string>
#include <vector>

#include "consensus/types.hpp"

namespace sim {

inline constexpr hypermesh::consensus::ReplicaId kNobody = 4;

struct Bounds {
  /// 0 and 1: the primaries of the two views; the others are backups. kNobody: all are honest.
  hypermesh::consensus::ReplicaId liar = 0;
  unsigned slots = 1;    ///< 1 or 2.
  unsigned crashes = 0;  ///< In all. Records that the last step wrote are lost or not.
  std::uint64_t states_max = 50'000'000;
  bool fast = false;  ///< Primaries can commit what all voters hold.
};

struct Explored {
  std::string failure;            ///< Empty: every check held in every state.
  std::vector<std::string> path;  ///< The moves that lead to it.
  bool complete = false;          ///< There are no other states within the bounds.
  std::uint64_t states = 0, moves = 0;
  std::uint64_t replica_states = 0, soups = 0;
};

Explored explore(const Bounds& bounds);

}  // namespace sim
