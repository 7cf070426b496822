#pragma once

// A whole cluster of replicas in one thread, from one plan: their network, disks, clocks, clients,
// crashes and liars, and the checks that hold them to what consensus promises. Replicas, state
// machine, log, formats of messages and records are those of production.

#include <base/random.hpp>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "consensus/execution/executor.hpp"
#include "consensus/pbft/replica.hpp"
#include "sim/keys.hpp"
#include "sim/plan.hpp"
#include "sim/timeline.hpp"

namespace sim {

namespace pbft = hypermesh::consensus::pbft;
namespace state = hypermesh::state;
using hypermesh::consensus::Slot;
using hypermesh::consensus::View;

inline constexpr std::size_t kNodesMax = 64;
inline constexpr hypermesh::consensus::Version kNewestVersion = 2;  ///< Of programs.

/// A message on its way, encoded and decoded once for all who get it.
struct Packet {
  hypermesh::consensus::MessagePtr message;
  Mark mark = 0;                              ///< Of its bytes.
  hypermesh::consensus::Version version = 0;  ///< That they say.
};
using PacketPtr = std::shared_ptr<const Packet>;
struct OpenBundle;

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
  hypermesh::consensus::Version ordered_version() const;
  std::size_t left_behind() const { return left_behind_; }  ///< Nodes with too old programs.

 private:
  struct Node;
  struct Client;
  struct Goal;
  class NodeSigner;

  // --- world.cpp ---
  bool has_fault(FaultKind kind) const;
  void fail(std::string what);
  void note(const std::string& what);
  std::uint64_t wall(std::int64_t skew = 0) const;
  bool quiet();
  std::string check_ends();

  // --- node_life.cpp ---
  void start(Node& node);
  void stop(Node& node);
  void crash(Node& node);
  void crash_for(Node& node, Duration down);
  void start_after(Node& node, Duration down);
  void broken(Node& node, const base::Error& error);
  void step(Node& node, const pbft::Input& input);
  void carry_out(Node& node, pbft::Outputs outputs);
  void wake(Node& node, MonotonicTime at);
  void flush_sends(Node& node);
  void update_members(Node& node);

  // --- node_disk.cpp ---
  void begin_log(Node& node);
  void lose_disk(Node& node, Duration down);
  bool open_disk(Node& node, std::vector<pbft::Persist>& records);
  void lose_power(Node& node);
  void sync(Node& node);
  void on_synced(Node& node);
  void release_what_may_go(Node& node);

  // --- node_state.cpp ---
  void apply(Node& node, const pbft::Apply& apply);
  bool has_certified_state(const Node& node) const;
  void look_up(Node& node, const std::vector<hypermesh::consensus::BundlePtr>& bundles);
  void lose_state(Node& node, const Fault& fault);
  void flush_state(Node& node);
  void on_executed(Node& node, const hypermesh::consensus::LinkPtr& ordered,
                   const hypermesh::consensus::Executed& executed);

  // --- transfer.cpp ---
  void begin_fetch(Node& node);
  void ask_more(Node& node);
  void on_transfer_answer(Node& node, std::pair<std::uint64_t, std::uint64_t> of,
                          const std::optional<base::Bytes>& answer);
  std::optional<base::Bytes> answer_transfer(Node& source, base::BytesView request);
  void end_fetch(Node& node);
  void fetch_again(Node& node, Duration after);

  // --- checks.cpp ---
  void check_own_votes(Node& node, const hypermesh::consensus::Message& message);
  void on_evidence(Node& node, const hypermesh::consensus::Evidence& evidence);
  void hear_liar(Node& node, std::size_t from, const hypermesh::consensus::Message& message);
  void check_lies_are_proven(Slot slot);
  std::string check_proofs(const Node& node) const;
  std::string check_replay() const;
  std::string check_certificate(const hypermesh::consensus::StableCheckpoint& checkpoint) const;
  std::string check_watch(const state::View& view, const state::Head& from,
                          const state::Head& to) const;

  // --- network.cpp ---
  PacketPtr pack(base::BytesView bytes) const;
  PacketPtr pack(const hypermesh::consensus::Message& message,
                 hypermesh::consensus::Version version = 1) const;
  void transmit(Node& from, const pbft::Send& send);
  void transmit(Node& from, std::size_t to, PacketPtr packet);
  void deliver(std::size_t from, std::size_t to, const Packet& packet);
  std::vector<Duration> journeys(Node& from);

  // --- versions.cpp ---
  void install_program(Node& node, hypermesh::consensus::Version newest, Duration down);
  void left_behind(Node& node, const std::string& why);
  void ask_unknown();
  void change_version();

  // --- operator.cpp ---
  using Outcome = state::Outcome;
  void begin_change(const Fault& fault);
  void work();
  void work_again();
  void let_learn();
  void change_voters();
  void let_go();
  void end_goal();
  void go(Node& node);
  void try_unsafe();
  void order_change(base::Bytes command, std::function<void(const Outcome&)> then);
  bool votes_in(Slot slot, const base::PublicKey& key) const;
  bool may_vote_together(const std::vector<base::PublicKey>& keys) const;
  const hypermesh::consensus::Configuration& configuration() const;
  std::optional<hypermesh::consensus::Copy> copy_of(const Node& node) const;

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
  base::Digest digest_before(Slot slot) const;

  // --- clients.cpp ---
  void act(Client& client);
  void send_bundle(Client& client, base::Bytes command, OpenBundle open);
  bool ignores(const Node& node, const hypermesh::consensus::Message& message) const;
  void submit(Client& client, const PacketPtr& packet);
  void submit_to(Node& node, Client& client, const PacketPtr& packet);
  void resubmit(Client& client);
  void settle(Node& node);
  void on_answer(Client& client, std::uint64_t sequence, const Node& node);
  void read(Client& client, const std::string& key, MonotonicTime begun, const Node& node);
  void ask(Client& client, const std::string& key);
  void on_readable(Node& node, const pbft::Readable& readable);
  std::string check_clients() const;

  // --- faults.cpp ---
  void schedule_faults();
  void begin_fault(const Fault& fault);
  void end_fault(const Fault& fault);
  void set_full(Node& node, std::optional<std::uint64_t> bytes_left);
  void rot(Node& node, const Fault& fault);
  void heal();

  Timeline timeline_;
  const Plan plan_;
  const bool trace_;
  Keys keys_;
  std::string failure_;
  Mark mark_ = 0;
  hypermesh::consensus::Genesis genesis_;
  hypermesh::consensus::ClusterId cluster_{};
  std::vector<std::unique_ptr<Node>> nodes_;
  std::map<base::PublicKey, std::size_t> node_of_;
  std::vector<std::unique_ptr<Client>> clients_;
  Nodes spoilt_ = 0;                          // Who will not vote as it should, at some time.
  std::vector<std::unique_ptr<Goal>> goals_;  // Of the operator; the first of them is under way.
  std::map<const Fault*, std::size_t> newcomers_;  // Who joins.
  std::vector<std::vector<unsigned>> cuts_;        // How many there are, from whom to whom.
  bool healed_ = false;
  std::size_t left_behind_ = 0;

  // What was executed in a slot, by whoever came first.
  struct Done {
    base::Digest digest{};
    std::optional<base::Digest> root;  ///< Of a checkpoint.
    Mark results = 0;
    hypermesh::consensus::LinkPtr link;
  };
  std::map<Slot, Done> done_;
  std::map<Slot, hypermesh::consensus::Configuration> configured_;  // By the slot that made it so.
  std::set<std::pair<base::PublicKey, std::uint64_t>> executed_;    // Bundles.
  std::map<hypermesh::consensus::Epoch, hypermesh::consensus::Voters> epochs_;
  std::set<std::size_t> proven_;                                          // Liars.
  std::map<std::pair<std::string, std::uint64_t>, std::string> written_;  // By key and revision.
};

}  // namespace sim
