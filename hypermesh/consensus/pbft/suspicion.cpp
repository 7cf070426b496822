#include <algorithm>

#include "consensus/pbft/replica.hpp"

// When a primary counts as gone. Whoever gives a view up takes no part in it any more, so nobody
// does so alone: a replica that was cut off, or did not run for a while, finds the primary silent
// and everybody else too. It blames itself then.

namespace hypermesh::consensus::pbft {

namespace {

// Of a replica that has begun: it and the others are still connecting.
constexpr Duration kConnecting = std::chrono::seconds(1);
constexpr unsigned kDoublingsMax = 5;
constexpr int kRoundTrips = 8;
// Of heartbeats: what the primary gets when others are heard again.
constexpr int kHeartbeatsOfGrace = 3;

}  // namespace

void Replica::begin_listening() {
  if (!options_.suspects_alone) blamed_from_ = now_ + kConnecting;
}

Duration Replica::patience() const {
  const Duration measured = kRoundTrips * conditions_.round_trip + conditions_.sync;
  const Duration once = std::max(options_.suspicion_min, measured);
  if (once >= options_.suspicion_max) return options_.suspicion_max;
  return std::min(once * (1 << std::min(failed_views_, kDoublingsMax)), options_.suspicion_max);
}

bool Replica::primary_is_silent() {
  if (is_primary() || now_ < heard_primary_ + patience()) {
    cut_off_ = false;
    return false;
  }
  if (!options_.suspects_alone && !hears_quorum()) {
    cut_off_ = true;
    return false;
  }
  if (std::exchange(cut_off_, false)) blamed_from_ = now_ + kHeartbeatsOfGrace * options_.heartbeat;
  return now_ >= blamed_from_;
}

// Since the primary fell silent: each tells its status five times a second.
bool Replica::hears_quorum() const {
  const MonotonicTime since = heard_primary_ + options_.heartbeat;
  const auto others = std::ranges::count_if(
      heard_, [&](const auto& each) { return each.first != own_ && each.second > since; });
  return static_cast<std::size_t>(others) + 1 >= voters().quorum();
}

// While it is cut off, what it hears is what it waits for.
MonotonicTime Replica::suspicion_due() const {
  if (is_primary() || cut_off_) return MonotonicTime::max();
  return std::max(heard_primary_ + patience(), blamed_from_);
}

}  // namespace hypermesh::consensus::pbft
