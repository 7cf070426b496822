#pragma once

// A whole cluster of replicas in one thread, from one plan: their network, disks, clocks, clients,
// crashes and liars, and the checks that hold them to what consensus promises. The replicas, their
// messages' and records' formats are those of production.

#include <base/random.hpp>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "sim/keys.hpp"
#include "sim/ledger.hpp"
#include "sim/plan.hpp"
#include "sim/timeline.hpp"

namespace sim {

namespace pbft = hypermesh::consensus::pbft;
using hypermesh::consensus::Slot;
using hypermesh::consensus::View;

/// A message on its way, encoded and decoded once for all who get it.
struct Packet {
  hypermesh::consensus::MessagePtr message;
  Mark mark = 0;  ///< Of its bytes.
};
using PacketPtr = std::shared_ptr<const Packet>;

class World {
 public:
  World(Plan plan, bool trace = false);
  ~World();
  /// Runs to the end. Empty: every check held; else what failed.
  std::string run();

  std::uint64_t steps() const { return timeline_.steps(); }
  Duration elapsed() const { return timeline_.now() - MonotonicTime(); }
  /// Of everything that happened: equal for equal plans.
  Mark mark() const { return mark_; }

 private:
  struct Node;
  struct Client;
  class NodeSigner;

  // --- world.cpp ---
  void fail(std::string what);
  void note(const std::string& what);
  std::uint64_t wall(const Node& node) const;
  std::string check_ends();

  // --- node_life.cpp ---
  void start(Node& node);
  void crash(Node& node);
  void crash_for(Node& node, Duration down);
  void new_life(Node& node);
  void step(Node& node, const pbft::Input& input);
  void carry_out(Node& node, pbft::Outputs outputs);
  void wake(Node& node, MonotonicTime at);
  void flush_sends(Node& node);
  void sync(Node& node);
  void apply(Node& node, const pbft::Apply& apply);
  void fetch_state(Node& node, const hypermesh::consensus::StableCheckpoint& checkpoint);
  void check_own_votes(Node& node, const hypermesh::consensus::Message& message);
  void on_evidence(const Node& node, const hypermesh::consensus::Evidence& evidence);

  // --- network.cpp ---
  PacketPtr pack(base::BytesView bytes) const;
  PacketPtr pack(const hypermesh::consensus::Message& message) const;
  void transmit(Node& from, const pbft::Send& send);
  void transmit(Node& from, std::size_t to, PacketPtr packet);
  void deliver(std::size_t from, std::size_t to, const Packet& packet);

  // --- liars.cpp ---
  PacketPtr changed(Node& node, const hypermesh::consensus::Message& message, std::size_t to);
  std::vector<hypermesh::consensus::Message> inventions(Node& node,
                                                        const hypermesh::consensus::Status& status);
  hypermesh::consensus::Vote signed_vote(const Node& node,
                                         const hypermesh::consensus::Statement& statement) const;
  hypermesh::consensus::Message propose_other(Node& node,
                                              const hypermesh::consensus::Proposal& proposal,
                                              hypermesh::consensus::Block block);
  std::optional<hypermesh::consensus::Message> changed_message(
      Node& node, const hypermesh::consensus::Message& message, bool other_half);
  std::optional<hypermesh::consensus::Message> changed_proposal(
      Node& node, const hypermesh::consensus::Proposal& proposal, bool other_half);
  std::optional<hypermesh::consensus::Message> inflated(Node& node,
                                                        const hypermesh::consensus::NewView& begun);

  // --- clients.cpp ---
  void make_bundle(Client& client);
  void submit(Client& client, std::uint64_t sequence);
  void resubmit(Client& client);
  bool all_answered();

  // --- faults.cpp ---
  void schedule_faults();
  void begin_fault(const Fault& fault);
  void end_fault(const Fault& fault);
  void heal();

  Timeline timeline_;
  const Plan plan_;
  const bool trace_;
  Keys keys_;
  std::string failure_;
  Mark mark_ = 0;
  hypermesh::consensus::ClusterId cluster_{};
  hypermesh::consensus::EpochBegun genesis_;
  std::vector<std::unique_ptr<Node>> nodes_;
  std::vector<std::unique_ptr<Client>> clients_;
  std::vector<std::vector<unsigned>> cuts_;  // How many there are, from whom to whom.
  bool healed_ = false;

  std::map<Slot, base::Digest> order_;  // What honest replicas executed.
  std::map<Slot, base::Digest> roots_;
  std::map<Slot, Ledger> checkpoints_;  // To be fetched.
  std::set<std::size_t> proven_;        // Liars.
};

}  // namespace sim
