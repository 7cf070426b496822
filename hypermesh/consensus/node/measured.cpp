#include "consensus/node/measured.hpp"

#include <algorithm>

namespace hypermesh::consensus {

void RecentTail::add(base::Duration sample) {
  samples_[count_++ % kSamples] = sample;
}

base::Duration RecentTail::p99() const {
  auto samples = samples_;
  const std::size_t count = std::min(count_, kSamples);
  if (count == 0) return {};
  const auto rank = samples.begin() + static_cast<std::ptrdiff_t>((count * 99 + 99) / 100 - 1);
  std::nth_element(samples.begin(), rank, samples.begin() + static_cast<std::ptrdiff_t>(count));
  return *rank;
}

void Measured::keep(const std::function<bool(const stoq::NodeId&)>& votes) {
  std::erase_if(round_trips_, [&](const auto& each) { return !votes(each.first); });
}

pbft::Conditions Measured::conditions(std::size_t faulty_max) const {
  std::vector<base::Duration> tails;
  for (const auto& [peer, tail] : round_trips_) tails.push_back(tail.p99());
  std::ranges::sort(tails);
  pbft::Conditions conditions{{}, syncs_.p99()};
  if (tails.size() > faulty_max) conditions.round_trip = tails[tails.size() - 1 - faulty_max];
  return conditions;
}

}  // namespace hypermesh::consensus
