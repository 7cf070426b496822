#pragma once

#include <map>
#include <string>
#include <tuple>

#include "consensus/messages.hpp"

namespace sim {

/// What one honest instance has said in all its lives. It says one thing only of each slot and
/// phase of a view, votes in no view below one that it wanted, and claims at least what it sent
/// commits for.
class Words {
 public:
  explicit Words(hypermesh::consensus::ReplicaId speaker) : speaker_(speaker) {}

  /// Empty, or what it may not say after what it said before.
  std::string say(const hypermesh::consensus::Message& message);

 private:
  using Place = std::tuple<hypermesh::consensus::Epoch, hypermesh::consensus::View,
                           hypermesh::consensus::Slot, hypermesh::consensus::Phase>;
  std::string say(const hypermesh::consensus::Statement& statement);

  hypermesh::consensus::ReplicaId speaker_;
  std::map<Place, base::Digest> said_;
  hypermesh::consensus::View wanted_ = 0;
  std::pair<hypermesh::consensus::View, hypermesh::consensus::Slot> highest_commit_{};
};

}  // namespace sim
