#include "consensus/epoch_chain.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace hypermesh::consensus {

using base::Errc;
using base::Result;

EpochChain::EpochChain(Voters first, std::map<Epoch, StableCheckpoint> ends)
    : first_(std::move(first)), ends_(std::move(ends)), proven_(first_.epoch) {
  while (ends_.contains(proven_)) ++proven_;
}

void EpochChain::add(StableCheckpoint end) {
  BASE_ASSERT(end.next.has_value(), "the last checkpoint of an epoch names the next voters");
  const Epoch epoch = end.certificate.statement.epoch;
  ends_.try_emplace(epoch, std::move(end));
  while (ends_.contains(proven_)) ++proven_;
}

const Voters* EpochChain::voters(Epoch epoch) const {
  if (epoch == first_.epoch) return &first_;
  const auto before = ends_.find(epoch - 1);
  return before == ends_.end() ? nullptr : &*before->second.next;
}

const StableCheckpoint* EpochChain::end_of(Epoch epoch) const {
  const auto found = ends_.find(epoch);
  return found == ends_.end() ? nullptr : &found->second;
}

bool EpochChain::is_end(Slot slot) const {
  return std::ranges::any_of(
      ends_, [&](const auto& each) { return each.second.certificate.statement.slot == slot; });
}

std::vector<StableCheckpoint> EpochChain::ends_from(Epoch epoch) const {
  std::vector<StableCheckpoint> ends;
  for (auto next = ends_.find(epoch); next != ends_.end() && next->first == epoch + ends.size() &&
                                      ends.size() < kEndsPerMessageMax;
       ++next)
    ends.push_back(next->second);
  return ends;
}

Result<Voters> verify(const ClusterId& cluster, Voters voters,
                      std::span<const StableCheckpoint> ends) {
  for (const auto& end : ends) {
    const auto checked = [&]() -> Result<> {
      TRY_DO(check_statement(end));
      if (!end.next) return base::fail(Errc::NotVerified, "it names no voters");
      return verify(cluster, voters, end.certificate);
    }();
    if (!checked) {
      return std::unexpected(base::wrap(
          checked.error(), fmt::format("the last checkpoint of epoch {}", voters.epoch)));
    }
    voters = *end.next;
  }
  return voters;
}

}  // namespace hypermesh::consensus
