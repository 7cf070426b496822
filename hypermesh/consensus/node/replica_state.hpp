#pragma once

// What a ReplicaNode is made of. Its functions are in replica_begin.cpp (from disk to engine),
// replica_steps.cpp (the engine's inputs and outputs), replica_clients.cpp (operations and reads)
// and replica_fetch.cpp (the state of others).

#include <base/async/event.hpp>
#include <boost/asio/steady_timer.hpp>

#include "consensus/log/log.hpp"
#include "consensus/node/block_applier.hpp"
#include "consensus/node/log_writer.hpp"
#include "consensus/node/measured.hpp"
#include "consensus/node/mesh.hpp"
#include "consensus/node/relay.hpp"
#include "consensus/node/replica_node.hpp"
#include "consensus/node/round_trips.hpp"
#include "consensus/node/signature_checker.hpp"
#include "consensus/node/state_fetch.hpp"
#include "consensus/pbft/key_signer.hpp"

namespace hypermesh::consensus {

/// What went wrong with the stored state, and what to do.
base::Error of_the_state(base::Error error);

struct ReplicaNode::State {
  State(Parts parts, const ReplicaOptions& options, std::unique_ptr<Executor> blocks);

  base::Result<> begin();
  void step(pbft::Input input);
  void take(const pbft::Input& input);
  void write_soon();
  void carry_out(pbft::Outputs outputs);
  void carry_out(pbft::Send&& send);
  void carry_out(pbft::Persist&& persist);
  void carry_out(pbft::Check&& check);
  void carry_out(pbft::Apply&& apply) { applier->apply(std::move(apply.link), certified); }
  void carry_out(pbft::NeedState&& need);
  void carry_out(pbft::StateDamaged&& damaged);
  void carry_out(pbft::Outdated&& outdated);
  void carry_out(pbft::Release&& release);
  void carry_out(Evidence&& evidence);
  void carry_out(pbft::Readable&& readable);
  void carry_out(pbft::Overdue&& overdue);
  void read_behind_barrier(base::MonotonicTime now, base::MonotonicTime deadline, Read read);
  base::Task<> fetch_state();
  base::Task<> on_fetched(const StableCheckpoint& checkpoint);
  base::Task<> look_up(std::vector<BundlePtr> bundles);
  base::Task<base::Result<Frame>> serve_state(stoq::rpc::Call& call, const Frame& request);
  void observe_votes(pbft::PeerId from, const Message& message) const;
  void transmit(const pbft::Send& send);
  void release_what_may_go();
  void on_message(const stoq::NodeId& from, base::BytesView bytes);
  void on_durable(base::Result<Lsn> written);
  void on_batch(const BlockApplier::Batch& batch);
  void update_members();
  void poll_gateway();
  void await_lease_end(std::optional<std::uint64_t> end);
  void poll_gateway_soon();
  void set_timer(base::MonotonicTime at);
  void on_timer();
  void submit(base::Bytes command, base::Duration limit, Gateway::Done done);
  void send_bundle(const BundlePtr& bundle, bool first);
  void tell_executed(const BundleResult& result, const base::Digest& bundle);
  void answer_all(const base::Error& error);
  std::size_t voters_reached() const;
  void add_read(Read read);
  base::Task<> run_reads();
  void on_state_failed(base::Error error);
  void fail(base::Error error);
  base::Error not_running() const;

  Parts parts;
  const ReplicaOptions options;
  const ClusterId cluster;
  pbft::KeySigner signer;
  std::unique_ptr<Executor> blocks;  // The applier's.
  Configuration configuration;       // Of the last slot that was heard of here.
  std::unique_ptr<pbft::Replica> engine;
  Gateway gateway;
  Relay relay;
  bool damaged = false;

  std::unique_ptr<Mesh> mesh;
  std::unique_ptr<LogWriter> log_writer;
  std::unique_ptr<RoundTrips> round_trips;
  Measured measured;
  Signatures signatures;
  std::unique_ptr<SignatureChecker> checker;
  std::unique_ptr<BlockApplier> applier;
  std::unique_ptr<StateFetch> fetch;
  std::optional<StableCheckpoint> needed;  // Whose state is being fetched.
  enum class Stored : std::uint8_t {
    State,    // That the engine counts on.
    Damaged,  // Another one than a quorum's.
    Nothing,  // It was dropped.
  };
  Stored stored = Stored::State;
  std::map<stoq::NodeId, stoq::Endpoint> members;  // The other nodes that can be reached.
  base::TaskScope scope;
  boost::asio::steady_timer timer;
  base::MonotonicTime engine_wake{}, timer_at = base::MonotonicTime::max();
  base::MonotonicTime lease_due = base::MonotonicTime::max();
  bool running = false, poll_due = false;

  std::deque<pbft::Input> inputs;
  bool stepping = false, write_due = false;
  std::deque<pbft::Send> held;  // Until their records are durable; by `after`.
  Lsn durable = 0;
  std::optional<pbft::Release> release;
  Slot on_disk = 0, release_stable = 0;
  Slot certified = 0;  // The last checkpoint of which the log will say that a quorum signed it.
  std::map<stoq::NodeId, pbft::PeerId> peer_ids;
  std::map<pbft::PeerId, stoq::NodeId> node_ids;
  std::set<stoq::NodeId> member_ids;

  struct Asking {
    base::MonotonicTime deadline{};
    Read read;
  };
  std::map<pbft::Ticket, Asking> asking;  // Reads that wait for the engine.
  pbft::Ticket last_read = 0;
  bool ask_due = false;
  std::vector<Read> reads;  // That wait for a worker.
  bool reading = false;

  Slot applied = 0, observed = 0;
  state::Revision revision = 0;
  std::uint64_t time = 0, operations = 0, unreadable = 0;
  base::Event progressed;
  std::optional<base::Error> failure;
  base::Event failed;
  std::vector<OnExecuted> on_executed;
  std::vector<OnVote> on_vote;
};

}  // namespace hypermesh::consensus
