#include "consensus/pbft/votes.hpp"

#include <algorithm>
#include <map>

namespace hypermesh::consensus::pbft {

namespace {

ReplicaId replica_of(const VoteSet::Held& held) {
  return held.vote.replica;
}

}  // namespace

const Vote* VoteSet::add(const Vote& vote, State state) {
  const auto at = std::ranges::lower_bound(held_, vote.replica, {}, replica_of);
  if (at == held_.end() || at->vote.replica != vote.replica) {
    held_.insert(at, {vote, state});
    return nullptr;
  }
  if (at->vote.statement == vote.statement) return nullptr;
  return &at->vote;
}

const VoteSet::Held* VoteSet::find(ReplicaId replica) const {
  const auto at = std::ranges::lower_bound(held_, replica, {}, replica_of);
  return at != held_.end() && at->vote.replica == replica ? &*at : nullptr;
}

void VoteSet::set(ReplicaId replica, State state) {
  const auto at = std::ranges::lower_bound(held_, replica, {}, replica_of);
  if (at != held_.end() && at->vote.replica == replica) at->state = state;
}

std::vector<Vote> VoteSet::to_check(std::size_t quorum) {
  struct Count {
    std::size_t sure = 0, unchecked = 0;
  };
  std::map<base::Digest, Count> counts;
  for (const Held& held : held_) {
    Count& count = counts[held.vote.statement.digest];
    if (held.state == State::Unchecked) ++count.unchecked;
    if (held.state == State::Good || held.state == State::Checking) ++count.sure;
  }
  std::vector<Vote> chosen;
  for (const auto& [digest, count] : counts) {
    if (count.sure >= quorum || count.sure + count.unchecked < quorum) continue;
    std::size_t missing = quorum - count.sure;
    for (Held& held : held_) {
      if (missing == 0) break;
      if (held.state != State::Unchecked || held.vote.statement.digest != digest) continue;
      held.state = State::Checking;
      chosen.push_back(held.vote);
      --missing;
    }
  }
  return chosen;
}

std::optional<base::Digest> VoteSet::agreed(std::size_t quorum) const {
  std::map<base::Digest, std::size_t> counts;
  for (const Held& held : held_) {
    if (held.state == State::Good && ++counts[held.vote.statement.digest] >= quorum)
      return held.vote.statement.digest;
  }
  return std::nullopt;
}

Certificate VoteSet::certificate(const base::Digest& digest, std::size_t quorum) const {
  Certificate made;
  for (const Held& held : held_) {
    if (held.state != State::Good || held.vote.statement.digest != digest) continue;
    made.statement = held.vote.statement;
    made.signatures.emplace_back(held.vote.replica, held.vote.signature);
    if (made.signatures.size() == quorum) break;
  }
  return made;
}

}  // namespace hypermesh::consensus::pbft
