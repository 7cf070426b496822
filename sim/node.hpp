#pragma once

#include <algorithm>
#include <deque>

#include "sim/world.hpp"

namespace sim {

using hypermesh::consensus::pbft::Lsn;

std::string describe(const hypermesh::consensus::Message& message);

class World::IdealSigner final : public pbft::Signer {
 public:
  IdealSigner(const World& world, std::size_t replica) : world_(world), replica_(replica) {}
  base::Signature sign(base::BytesView bytes) override { return world_.sign_as(replica_, bytes); }

 private:
  const World& world_;
  std::size_t replica_;
};

struct World::Node {
  Node(const World& world, std::size_t i) : index(i), signer(world, i) {}

  const std::size_t index;
  IdealSigner signer;
  std::string lie;        ///< Empty: honest.
  std::int64_t skew = 0;  ///< Of its clock, microseconds.

  std::unique_ptr<pbft::Replica> replica;  ///< Null while it is down.
  std::uint64_t incarnation = 0, wake = 0;
  std::vector<pbft::Send> held;  ///< Until their records are durable.
  Ledger ledger;
  MonotonicTime apply_at{};
  std::uint64_t block_time = 0;  ///< Of the last block it executed.

  // Its disk.
  std::deque<std::pair<Lsn, base::Bytes>> log;
  Lsn durable = 0;
  bool syncing = false;
  std::optional<pbft::Release> release;
  Ledger flushed;
  base::Digest flushed_digest{};

  using Place = std::tuple<hypermesh::consensus::Epoch, View, Slot, hypermesh::consensus::Phase>;
  std::map<Place, base::Digest> said;
  View wanted = 0;
  std::pair<View, Slot> highest_commit{};
  std::map<std::pair<View, Slot>, base::Digest> other_blocks;  ///< What a liar told some.
  std::map<View, Slot> first_of_view;                          ///< That a liar proposed.
  std::map<View, hypermesh::consensus::LinkPtr> invented_bases;
};

struct World::Client {
  struct Open {
    hypermesh::consensus::BundlePtr bundle;
    MonotonicTime begun{};
  };
  struct Finished {
    std::uint64_t place = 0;
    MonotonicTime begun{}, ended{};
  };
  struct Execution {
    Ledger::Done done;
    std::set<std::size_t> by;
    MonotonicTime when{};
  };

  void executed(std::uint64_t sequence, const Ledger::Done& done, std::size_t by,
                MonotonicTime now) {
    Execution& execution = executions[sequence];
    if (!execution.by.empty() &&
        (execution.done.place != done.place || execution.done.result != done.result))
      failure = "a bundle was executed twice, or with different results";
    execution.done = done;
    execution.by.insert(by);
    execution.when = now;
  }
  // Takes note of answers that f + 1 replicas agree on.
  void settle(std::size_t witnesses) {
    std::erase_if(open, [&](const auto& each) {
      const auto found = executions.find(each.first);
      if (found == executions.end() || found->second.by.size() < witnesses) return false;
      finished.push_back({found->second.done.place, each.second.begun, found->second.when});
      return true;
    });
  }
  bool known_to_all(const std::vector<std::unique_ptr<Node>>& nodes) const {
    Slot last = 0;
    for (const auto& [sequence, execution] : executions) last = std::max(last, execution.done.slot);
    return std::ranges::all_of(nodes, [&](const auto& node) {
      return !node->lie.empty() || node->ledger.applied() >= last;
    });
  }

  base::PublicKey key{};
  std::size_t index = 0;
  std::uint64_t next = 1;
  std::map<std::uint64_t, Open> open;
  std::map<std::uint64_t, Execution> executions;
  std::vector<Finished> finished;
  std::string failure;
};

}  // namespace sim
