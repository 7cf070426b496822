#include "consensus/pbft/reads.hpp"

#include <algorithm>

namespace hypermesh::consensus::pbft {

std::optional<std::uint64_t> Reads::begin(MonotonicTime now, std::uint64_t wall) {
  if (!wanted_ || rounds_.size() >= kRoundsMax) return std::nullopt;
  if (!rounds_.empty() && !rounds_.back().enough) return std::nullopt;
  last_round_ = std::max(last_round_ + 1, wall);
  rounds_.push_back({*wanted_, last_round_, now, {}, std::nullopt});
  wanted_.reset();
  return last_round_;
}

void Reads::answer(ReplicaId from, const ReadAnswer& answer, const Voters& voters,
                   MonotonicTime now) {
  if (rounds_.empty() || rounds_.back().number != answer.round || rounds_.back().enough) return;
  const auto distrusted = distrusted_.find(from);
  if (distrusted != distrusted_.end()) {
    if (now < distrusted->second) return;
    distrusted_.erase(distrusted);
  }
  Round& asked = rounds_.back();
  asked.answers.emplace(from, answer);
  if (asked.answers.size() < voters.quorum()) return;
  Slot highest = 0;
  std::vector<Slot> held;
  for (const auto& [replica, named] : asked.answers) {
    highest = std::max(highest, named.slot);
    held.push_back(named.held);
  }
  std::ranges::sort(held);
  asked.enough =
      mutant(Mutant::ReadsIgnoreHeld) ? highest : std::max(highest, held[voters.faulty_max()]);
}

void Reads::ask_anew() {
  distrusted_.clear();
  if (rounds_.empty() || rounds_.back().enough) return;
  wanted_ = std::max(wanted_.value_or(0), rounds_.back().ticket);
  rounds_.pop_back();
}

std::vector<Reads::Settled> Reads::settle(Slot applied, MonotonicTime now) {
  std::vector<Settled> settled;
  // A later round is far enough for earlier reads too.
  for (std::size_t i = rounds_.size(); i-- > 0;) {
    if (!rounds_[i].enough || *rounds_[i].enough > applied) continue;
    settled.push_back({rounds_[i].ticket, true});
    rounds_.erase(rounds_.begin(), rounds_.begin() + static_cast<std::ptrdiff_t>(i) + 1);
    break;
  }
  while (!rounds_.empty() && now >= rounds_.front().since + kPatience) {
    const Round& late = rounds_.front();
    for (const auto& [replica, named] : late.answers) {
      if (named.slot > applied) distrusted_[replica] = now + kDistrust;
    }
    settled.push_back({late.ticket, false});
    rounds_.pop_front();
  }
  return settled;
}

MonotonicTime Reads::wake_at() const {
  return rounds_.empty() ? MonotonicTime::max() : rounds_.front().since + kPatience;
}

}  // namespace hypermesh::consensus::pbft
