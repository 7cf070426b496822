#pragma once

#include <array>
#include <functional>
#include <map>
#include <stoq/types.hpp>

#include "consensus/pbft/replica.hpp"

namespace hypermesh::consensus {

/// The last samples of something, and how long it takes at most, all but one of a hundred times.
class RecentTail {
 public:
  static constexpr std::size_t kSamples = 128;

  void add(base::Duration sample);
  /// 0 of none.
  base::Duration p99() const;

 private:
  std::array<base::Duration, kSamples> samples_{};
  std::size_t count_ = 0;
};

/// What a replica measures of its disk and of the other voters, for pbft::Conditions. Plain.
class Measured {
 public:
  void on_sync(base::Duration took) { syncs_.add(took); }
  void on_round_trip(const stoq::NodeId& peer, base::Duration took) {
    round_trips_[peer].add(took);
  }
  /// Others are no voters any more.
  void keep(const std::function<bool(const stoq::NodeId&)>& votes);
  /// The slowest `faulty_max` peers are left out: they might hold their answers back, so that
  /// everybody waits long for a primary that is gone.
  pbft::Conditions conditions(std::size_t faulty_max) const;

 private:
  RecentTail syncs_;
  std::map<stoq::NodeId, RecentTail> round_trips_;
};

}  // namespace hypermesh::consensus
