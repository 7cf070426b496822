#pragma once

#include <base/time.hpp>
#include <deque>
#include <map>
#include <optional>
#include <vector>

#include "consensus/messages.hpp"

namespace hypermesh::consensus::pbft {

using base::Duration;
using base::MonotonicTime;
using Ticket = std::uint64_t;

/// Reads that show all that was acknowledged before they began, without ordering anything.
///
/// What is acknowledged has a quorum of commits, or is held by all voters. Of any other quorum that
/// is asked afterwards an honest replica has sent one of the commits, and all that are honest hold
/// the block; so the highest slot that one knows of, or that all but f hold, is far enough
/// (docs/design/0011). Many reads share one round of questions.
class Reads {
 public:
  /// A slot that is not executed within this time is not waited for, and who named it is not
  /// believed for a while.
  static constexpr Duration kPatience = std::chrono::milliseconds(100);
  static constexpr Duration kDistrust = std::chrono::seconds(10);
  static constexpr std::size_t kRoundsMax = 16;  ///< Of which all but one wait for execution.

  /// Tickets ascend.
  void want(Ticket ticket) { wanted_ = ticket; }
  /// Begins a round of questions if something wants one and none is being asked: its number, which
  /// no earlier life of this replica used. `wall`: nanoseconds of UTC.
  std::optional<std::uint64_t> begin(MonotonicTime now, std::uint64_t wall);
  void answer(ReplicaId from, const ReadAnswer& answer, const Voters& voters, MonotonicTime now);
  /// Another epoch has begun, whose voters are to be asked: answers of others count no more.
  void ask_anew();

  struct Settled {
    Ticket ticket = 0;  ///< This one and all before it.
    bool good = false;  ///< Else nothing is known in time.
  };
  std::vector<Settled> settle(Slot applied, MonotonicTime now);
  MonotonicTime wake_at() const;
  bool idle() const { return !wanted_ && rounds_.empty(); }

 private:
  struct Round {
    Ticket ticket = 0;
    std::uint64_t number = 0;
    MonotonicTime since{};
    std::map<ReplicaId, ReadAnswer> answers;
    std::optional<Slot> enough;  // To execute; none while it is being asked.
  };

  std::optional<Ticket> wanted_;
  std::uint64_t last_round_ = 0;
  std::deque<Round> rounds_;  // Only the last is being asked.
  std::map<ReplicaId, MonotonicTime> distrusted_;
};

}  // namespace hypermesh::consensus::pbft
