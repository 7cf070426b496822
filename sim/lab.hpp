#pragma once

#include <deque>

#include "sim/seat.hpp"
#include "sim/words.hpp"

namespace sim {

/// Replicas around one table. Messages arrive at once, in the order in which they were sent, or
/// never; time passes when the script says so.
class Lab {
 public:
  /// One instance for each id, all started; an id that is there twice is a replica with a twin.
  Lab(const Cluster& cluster, const std::vector<hypermesh::consensus::ReplicaId>& ids);

  Seat& operator[](std::size_t seat) { return seats_[seat]; }
  const pbft::Replica& replica(std::size_t seat) const { return seats_[seat].replica(); }
  std::size_t size() const { return seats_.size(); }
  MonotonicTime now() const { return now_; }

  /// Between different groups nothing arrives: one number for each seat.
  void separate(std::vector<unsigned> group_of_seat) { groups_ = std::move(group_of_seat); }
  /// Between all of them everything.
  void heal() { groups_.assign(seats_.size(), 0); }
  /// What does not arrive besides; asked when a message would.
  std::function<bool(std::size_t from, std::size_t to, const hypermesh::consensus::Message&)> lost;

  /// Says something to `seat` in the name of `from`, who may be nobody here.
  void tell(std::size_t seat, pbft::PeerId from, hypermesh::consensus::Message message);
  /// Anything else that happens to `seat`.
  void step(std::size_t seat, const pbft::Input& input);
  /// A client hands its bundle to every instance.
  void submit(const hypermesh::consensus::BundlePtr& bundle);
  void pass(base::Duration time);
  /// All of `seats` wait so long that they give their primary up, and hear nothing meanwhile.
  void give_up(const std::vector<std::size_t>& seats);
  void crash(std::size_t seat) { seats_[seat].crash(); }
  void start(std::size_t seat);
  /// It fetches the state that it was told to.
  void install(std::size_t seat);

  /// An honest instance did what none does; the first, empty if none has. Includes that two of
  /// `honest` executed different blocks, and evidence against one of them.
  std::string failure(const std::vector<std::size_t>& honest) const;
  std::uint64_t steps() const { return steps_; }

 private:
  struct Parcel {
    std::size_t from = 0, to = 0;
    hypermesh::consensus::MessagePtr message;
  };
  void post(std::size_t from, std::vector<pbft::Send>& sent);
  void deliver();

  const Cluster& cluster_;
  MonotonicTime now_{};
  std::vector<Seat> seats_;
  std::vector<Words> words_;
  std::vector<std::string> slips_;  // Of each seat's words.
  std::vector<unsigned> groups_;
  std::deque<Parcel> parcels_;
  std::uint64_t steps_ = 0;
};

}  // namespace sim
