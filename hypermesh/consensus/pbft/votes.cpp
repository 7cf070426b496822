#include "consensus/pbft/votes.hpp"

#include <algorithm>

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

std::vector<Vote> VoteSet::to_check(const base::Digest& digest) {
  std::vector<Vote> chosen;
  for (Held& held : held_) {
    if (held.state != State::Unchecked || held.vote.statement.digest != digest) continue;
    held.state = State::Checking;
    chosen.push_back(held.vote);
  }
  return chosen;
}

std::vector<Vote> VoteSet::to_check(std::size_t quorum) {
  std::vector<Vote> chosen;
  if (held_.size() < quorum) return chosen;
  struct Count {
    base::Digest digest{};
    std::size_t sure = 0, unchecked = 0;
  };
  std::vector<Count> counts;  // Of one digest, unless somebody lies.
  for (const Held& held : held_) {
    auto count = std::ranges::find(counts, held.vote.statement.digest, &Count::digest);
    if (count == counts.end())
      count = counts.insert(counts.end(), {held.vote.statement.digest, 0, 0});
    if (held.state == State::Unchecked) ++count->unchecked;
    if (held.state == State::Good || held.state == State::Checking) ++count->sure;
  }
  for (const auto& [digest, sure, unchecked] : counts) {
    if (sure >= quorum || sure + unchecked < quorum) continue;
    std::size_t missing = quorum - sure;
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
  std::size_t good = 0;
  for (const Held& held : held_) good += held.state == State::Good ? 1 : 0;
  for (const Held& held : held_) {
    if (good < quorum) break;
    const auto same = std::ranges::count_if(held_, [&](const Held& other) {
      return other.state == State::Good &&
             other.vote.statement.digest == held.vote.statement.digest;
    });
    if (static_cast<std::size_t>(same) >= quorum) return held.vote.statement.digest;
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
