#pragma once

// A whole cluster of replicas in one thread, from one seed: their network, disks, clocks, clients,
// crashes and liars, and the checks that hold them to what consensus promises. The replicas, their
// messages' and records' formats are those of production.

#include <base/random.hpp>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "consensus/pbft/replica.hpp"
#include "sim/ledger.hpp"
#include "sim/timeline.hpp"

namespace sim {

namespace pbft = hypermesh::consensus::pbft;
using hypermesh::consensus::Slot;
using hypermesh::consensus::View;

/// What a seed draws: probabilities in thousandths, times in microseconds.
struct Plan {
  std::size_t replicas = 4;
  unsigned loss = 0, duplication = 0;
  unsigned delay_min = 50, delay_max = 2000, slow_share = 0, slow_delay = 50'000;
  unsigned sync_min = 100, sync_max = 2000, slow_sync_share = 0;
  unsigned crashes = 0, partitions = 0, blackouts = 0;
  unsigned crash_after_send =
      0;                  ///< In a hundred thousand sends: what was said may not be on disk.
  unsigned skew_max = 0;  ///< Of the clocks.
  std::vector<std::string> liars;             ///< What each of the first replicas does instead.
  unsigned clients = 3, pause_max = 200'000;  ///< Between a client's bundles.
  Slot checkpoint_interval = 50;
  Duration faults_until = std::chrono::seconds(20);

  std::string describe() const;
};
Plan draw_plan(std::uint64_t seed);

class World {
 public:
  World(std::uint64_t seed, Plan plan, bool trace = false);
  ~World();
  /// Runs to the end. Empty: every check held; else what failed.
  std::string run();

  std::uint64_t steps() const { return timeline_.steps(); }
  Duration elapsed() const { return timeline_.now() - MonotonicTime(); }
  /// Of everything that happened: equal for equal seeds.
  base::Digest trace_digest();

 private:
  struct Node;
  struct Client;
  class IdealSigner;

  void fail(std::string what);
  void note(const std::string& what);
  void start(Node& node);
  void crash(Node& node);
  void crash_for(Node& node, Duration down);
  void step(Node& node, const pbft::Input& input);
  void carry_out(Node& node, pbft::Outputs outputs);
  void flush_sends(Node& node);
  void sync(Node& node);
  void transmit(Node& from, std::size_t to, const base::Bytes& bytes);
  void deliver(std::size_t from, std::size_t to, std::shared_ptr<const base::Bytes> bytes);
  void apply(Node& node, const pbft::Apply& apply);
  void fetch_state(Node& node, const hypermesh::consensus::StableCheckpoint& checkpoint);
  std::vector<std::pair<std::size_t, base::Bytes>> mutate(Node& node, const pbft::Send& send);
  std::vector<hypermesh::consensus::Message> inventions(Node& node,
                                                        const hypermesh::consensus::Status& status);
  void check_own_votes(Node& node, const hypermesh::consensus::Message& message);
  void make_bundle(Client& client);
  void submit(const Client& client, std::uint64_t sequence);
  void resubmit(Client& client);
  void schedule_faults();
  bool good(const pbft::Check::Item& item) const;
  base::Signature sign_as(std::size_t replica, base::BytesView bytes) const;
  std::uint64_t wall(const Node& node) const;
  bool honest_and_up(const Node& node) const;

  Timeline timeline_;
  base::SeededRng rng_;
  const Plan plan_;
  const bool trace_;
  std::string failure_;
  hypermesh::consensus::ClusterId cluster_{};
  hypermesh::consensus::EpochBegun genesis_;
  std::map<base::PublicKey, base::Digest> secrets_;
  std::vector<std::unique_ptr<Node>> nodes_;
  std::vector<std::unique_ptr<Client>> clients_;
  std::set<std::pair<std::size_t, std::size_t>> cut_;  // One way each.
  bool healed_ = false;

  std::map<Slot, base::Digest> order_;  // What honest replicas executed.
  std::map<Slot, base::Digest> roots_;
  std::map<Slot, Ledger> checkpoints_;  // To be fetched.
  std::set<std::size_t> proven_;        // Liars.
  base::Sha256 history_;
};

}  // namespace sim
