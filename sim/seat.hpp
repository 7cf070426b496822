#pragma once

// A replica whose signatures, disk and state machine answer at once, so that what it does depends
// on what it is told and when, and on nothing else. It can be copied: a search tries several
// continuations of one past.

#include "sim/cluster.hpp"

namespace sim {

using base::MonotonicTime;
using hypermesh::consensus::Slot;
using hypermesh::consensus::View;

class Seat {
 public:
  /// `clock_ahead`, of others' clocks, makes one instance's blocks differ from its twin's.
  Seat(const Cluster& cluster, hypermesh::consensus::ReplicaId id, base::Duration clock_ahead = {});
  Seat(const Seat& other);
  Seat(Seat&&) = default;

  bool up() const { return replica_ != nullptr; }
  const pbft::Replica& replica() const { return *replica_; }
  /// Does nothing while it is down. What leaves it is appended to `sent`, in its order.
  void step(const pbft::Input& input, MonotonicTime now, std::vector<pbft::Send>& sent);
  /// Records and what waits for them stay where they are until the disk works again.
  void stop_disk() { disk_works_ = false; }
  void resume_disk(MonotonicTime now, std::vector<pbft::Send>& sent);
  /// Keeps its durable records, and `more` of the others.
  void crash(pbft::Lsn more = 0);
  void start(MonotonicTime now, std::vector<pbft::Send>& sent);
  /// The state that it was told to fetch.
  void install(MonotonicTime now, std::vector<pbft::Send>& sent);

  /// Of all that decides what it does from now on but its timers; after a crash too if `crashes`.
  base::Digest fingerprint(bool crashes) const;
  pbft::Lsn durable() const { return durable_; }
  pbft::Lsn written() const { return log_.empty() ? durable_ : log_.back().lsn; }
  /// A hash over all executed blocks stands for the state.
  const base::Digest& root() const { return state_.root; }

  const hypermesh::consensus::ReplicaId id;
  // Of all its lives:
  std::map<Slot, base::Digest> executed;
  std::vector<hypermesh::consensus::Evidence> evidence;
  std::string failure;  ///< Empty, or what it did that no state machine can follow.
  // Of this life:
  std::optional<hypermesh::consensus::StableCheckpoint> needed;
  std::vector<pbft::Readable> readable;
  std::vector<hypermesh::consensus::BundlePtr> overdue;  ///< That it was asked about last.
  bool damaged = false;  ///< Was told that its state differs from a quorum's.
  MonotonicTime wake_at{};
  bool wrong_roots = false;  ///< The root of its next checkpoints will be another.

 private:
  struct State {
    Slot slot = 0;
    base::Digest block{}, root{};
    std::uint64_t time = 0;
  };
  void take(const pbft::Outputs& outputs, std::vector<pbft::Input>& next);
  pbft::Applied apply(const pbft::Apply& apply);
  /// What the state knows of the epoch after this one, unless that began before where it is.
  std::optional<hypermesh::consensus::NextEpoch> next_after(
      hypermesh::consensus::Epoch epoch) const;
  void release(std::vector<pbft::Send>& sent);

  const Cluster* cluster_;
  const base::Duration clock_ahead_;
  std::unique_ptr<pbft::Replica> replica_;
  State state_, flushed_;
  std::vector<pbft::Persist> log_;
  pbft::Lsn durable_ = 0;
  bool disk_works_ = true;
  std::optional<pbft::Release> release_;
  std::vector<pbft::Send> held_;
};

}  // namespace sim
