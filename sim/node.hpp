#pragma once

#include <algorithm>
#include <deque>
#include <unordered_map>

#include "sim/world.hpp"

namespace sim {

using hypermesh::consensus::pbft::Lsn;

std::string describe(const hypermesh::consensus::Message& message);

inline Duration micros(std::uint64_t count) {
  return std::chrono::microseconds(count);
}

class World::NodeSigner final : public pbft::Signer {
 public:
  NodeSigner(const Keys& keys, const base::PublicKey& key) : keys_(keys), key_(key) {}
  base::Signature sign(base::BytesView bytes) override { return keys_.sign(key_, bytes); }

 private:
  const Keys& keys_;
  const base::PublicKey key_;
};

struct World::Node {
  Node(std::size_t i, const Keys& keys, const base::PublicKey& public_key, std::uint64_t seed)
      : index(i),
        key(public_key),
        signer(keys, public_key),
        work(mixed(seed, 4 * i)),
        network(mixed(seed, 4 * i + 1)),
        disk(mixed(seed, 4 * i + 2)),
        lies(mixed(seed, 4 * i + 3)) {}

  const std::size_t index;
  const base::PublicKey key;
  NodeSigner signer;
  // Of its own, so that a fault that is left out changes little elsewhere.
  base::SeededRng work, network, disk, lies;
  std::string lie;        ///< Empty: honest.
  std::int64_t skew = 0;  ///< Of its clock, microseconds.
  std::uint64_t bit() const { return std::uint64_t{1} << index; }

  std::unique_ptr<pbft::Replica> replica;  ///< Null while it is down.
  std::uint64_t incarnation = 0;
  std::uint64_t execution = 0;                   ///< Of the state that slots are applied to.
  MonotonicTime wake_at = MonotonicTime::max();  ///< What the replica asked for,
  MonotonicTime armed = MonotonicTime::max();    ///< and for when there is an event.
  std::vector<pbft::Send> held;                  ///< Until their records are durable.
  std::uint64_t sends = 0;
  std::vector<std::pair<std::uint64_t, Duration>> crashes_at_send;
  Ledger ledger;
  MonotonicTime apply_at{};
  std::uint64_t block_time = 0;  ///< Of the last block it executed.

  // What is wrong with its links and its disk, in thousandths.
  std::uint64_t loss = 0, duplication = 0, slow_links = 0, slow_disk = 0;

  // Its disk.
  std::deque<std::pair<Lsn, base::Bytes>> log;
  Lsn durable = 0;
  bool syncing = false;
  std::optional<pbft::Release> release;
  Ledger flushed;
  base::Digest flushed_digest{};

  struct Place {
    hypermesh::consensus::Epoch epoch = 0;
    View view = 0;
    Slot slot = 0;
    hypermesh::consensus::Phase phase{};
    friend bool operator==(const Place&, const Place&) = default;
  };
  struct PlaceHash {
    std::size_t operator()(const Place& place) const {
      return mixed(mixed(mixed(place.epoch, place.view), place.slot),
                   static_cast<std::uint64_t>(place.phase));
    }
  };
  std::unordered_map<Place, base::Digest, PlaceHash> said;
  View wanted = 0;
  std::pair<View, Slot> highest_commit{};
  std::map<std::pair<View, Slot>, base::Digest> other_blocks;  ///< What a liar told some.
  std::map<View, Slot> first_of_view;                          ///< That a liar proposed.
  std::map<View, hypermesh::consensus::LinkPtr> invented_bases;
};

struct World::Client {
  struct Open {
    PacketPtr packet;
    MonotonicTime begun{};
  };
  struct Finished {
    std::uint64_t place = 0;
    MonotonicTime begun{}, ended{};
  };
  struct Execution {
    Ledger::Done done;
    std::size_t by = 0;  ///< How many replicas,
    Nodes who = 0;       ///< and which.
    MonotonicTime when{};
  };

  Client(std::size_t i, const base::PublicKey& public_key, std::uint64_t seed)
      : key(public_key), index(i), rng(mixed(seed, 1000 + i)) {}

  void executed(std::uint64_t sequence, const Ledger::Done& done, const Node& by,
                MonotonicTime now) {
    Execution& execution = executions[sequence];
    if (execution.by > 0 &&
        (execution.done.place != done.place || execution.done.result != done.result))
      failure = "a bundle was executed twice, or with different results";
    execution.done = done;
    if ((execution.who & by.bit()) == 0) ++execution.by;
    execution.who |= by.bit();
    execution.when = now;
    last_slot = std::max(last_slot, done.slot);
  }
  // Takes note of answers that f + 1 replicas agree on.
  void settle(std::size_t witnesses) {
    std::erase_if(open, [&](const auto& each) {
      const auto found = executions.find(each.first);
      if (found == executions.end() || found->second.by < witnesses) return false;
      finished.push_back({found->second.done.place, each.second.begun, found->second.when});
      return true;
    });
  }
  bool known_to_all(const std::vector<std::unique_ptr<Node>>& nodes) const {
    return std::ranges::all_of(nodes, [&](const auto& node) {
      return !node->lie.empty() || node->ledger.applied() >= last_slot;
    });
  }

  const base::PublicKey key;
  const std::size_t index;
  base::SeededRng rng;
  std::uint64_t next = 1;
  Slot last_slot = 0;  ///< That executed something of it.
  std::map<std::uint64_t, Open> open;
  std::map<std::uint64_t, Execution> executions;
  std::vector<Finished> finished;
  std::string failure;
};

}  // namespace sim
