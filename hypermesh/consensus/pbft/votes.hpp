#pragma once

#include "consensus/types.hpp"

namespace hypermesh::consensus::pbft {

/// The votes of one phase for one slot of one view, the first of each replica. They are checked
/// only when they could make a quorum.
class VoteSet {
 public:
  enum class State : std::uint8_t { Unchecked, Checking, Good, Bad };
  struct Held {
    Vote vote;
    State state = State::Unchecked;
  };

  /// The vote that this replica cast before and that says something else; null: none.
  const Vote* add(const Vote& vote, State state = State::Unchecked);
  const Held* find(ReplicaId replica) const;
  void set(ReplicaId replica, State state);

  /// The unchecked votes for `digest`; they are then Checking.
  std::vector<Vote> to_check(const base::Digest& digest);
  /// Votes to check now, so that `quorum` could agree on one digest; they are then Checking.
  std::vector<Vote> to_check(std::size_t quorum);
  /// The digest that `quorum` good votes are for.
  std::optional<base::Digest> agreed(std::size_t quorum) const;
  /// Of `quorum` good votes for `digest`.
  Certificate certificate(const base::Digest& digest, std::size_t quorum) const;
  std::size_t size() const { return held_.size(); }
  const std::vector<Held>& held() const { return held_; }  ///< Ascending by replica.

 private:
  std::vector<Held> held_;  // Ascending by replica.
};

}  // namespace hypermesh::consensus::pbft
