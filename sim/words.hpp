#pragma once

#include <string>
#include <tuple>
#include <unordered_map>

#include "consensus/messages.hpp"
#include "sim/mark.hpp"

namespace sim {

/// What one honest instance has said in all its lives and epochs. It says one thing only of each
/// slot and phase of a view, votes in no view below one that it wanted, claims at least what it
/// sent commits for, and shows what it said that it holds.
class Words {
 public:
  /// Empty, or what it may not say after what it said before. `own`: its number in the message's
  /// epoch.
  std::string say(const hypermesh::consensus::Message& message,
                  hypermesh::consensus::ReplicaId own);
  /// It has a certified checkpoint of this slot. What it held before needs no wish of its own: a
  /// quorum went further with commits, which their wishes show (docs/design/0013).
  void certified(hypermesh::consensus::Epoch epoch, hypermesh::consensus::Slot slot) {
    if (hold_ && hold_->epoch == epoch && hold_->slot <= slot) hold_.reset();
  }

 private:
  using Epoch = hypermesh::consensus::Epoch;
  using View = hypermesh::consensus::View;
  using Slot = hypermesh::consensus::Slot;
  struct Place {
    Epoch epoch = 0;
    View view = 0;
    Slot slot = 0;
    hypermesh::consensus::Phase phase{};
    friend bool operator==(const Place&, const Place&) = default;
  };
  struct PlaceHash {
    std::size_t operator()(const Place& place) const {
      return mixed(mixed(mixed(place.epoch, place.view), place.slot),
                   static_cast<std::uint64_t>(place.phase));
    }
  };
  std::string say(const hypermesh::consensus::Statement& statement,
                  hypermesh::consensus::ReplicaId own);
  bool voted_otherwise(const hypermesh::consensus::Statement& hold,
                       const hypermesh::consensus::Claim& claim) const;

  std::unordered_map<Place, base::Digest, PlaceHash> said_;
  std::pair<Epoch, View> wanted_{};
  std::tuple<Epoch, View, Slot> highest_commit_{};
  std::optional<hypermesh::consensus::Statement> hold_;  ///< The last, in the last view with votes.
};

/// The epoch of what only a voter says in its own name; none: anybody may say it.
std::optional<hypermesh::consensus::Epoch> epoch_of_word(
    const hypermesh::consensus::Message& message);

}  // namespace sim
