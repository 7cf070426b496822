#pragma once

// A replica at work: the engine, its log and state on disk, and the other replicas. Decides
// nothing; carries out what pbft::Replica says.

#include <base/async/blocking_pool.hpp>
#include <base/log.hpp>
#include <base/random.hpp>
#include <optional>
#include <stoq/peers.hpp>
#include <stoq/rpc_server.hpp>

#include "consensus/execution/executor.hpp"
#include "consensus/node/awaited.hpp"
#include "consensus/node/gateway.hpp"
#include "consensus/pbft/replica.hpp"

namespace hypermesh::consensus {

class Log;

/// Where a node listens. Errors: InvalidArgument (its endpoint is none).
base::Result<stoq::Endpoint> endpoint_of(const Member& member);

struct ReplicaOptions {
  pbft::Options engine;  ///< Its cluster, window and interval are the genesis'.
  GatewayOptions gateway;
  state::MachineOptions machine;
  /// Nodes to ask that the genesis does not name: who begins long after it finds nobody else.
  std::vector<Member> contacts;
};

struct ReplicaStatus {
  Epoch epoch = 0;
  View view = 0;
  bool changing = false;  ///< Between views.
  bool votes = false;
  Slot committed = 0, applied = 0, stable = 0;
  state::Revision revision = 0;
  std::uint64_t time = 0;  ///< Ordered, of the slot that was applied last.
  std::size_t voters = 0, faulty_max = 0, quorum = 0, connected = 0;
  base::PublicKey leader{};
  ReplicaId leader_id = 0;
  std::uint64_t operations = 0;  ///< Ordered up to the slot that was applied last.
  std::uint64_t unreadable = 0;  ///< Messages and frames of other nodes that are none.
  std::uint64_t forged = 0;      ///< Signatures that did not hold.
  Version version = 0;           ///< That the cluster goes by.
};

/// All its calls are made on one executor. Call stop() before it goes.
class ReplicaNode {
 public:
  /// All but the log are borrowed and outlive stop(); `storage` and the log are this node's alone.
  struct Parts {
    base::Executor executor;
    base::BlockingPool* pool;
    stoq::rpc::Peers* peers;
    stoq::rpc::Server* server;  ///< Serves nobody before start() has returned.
    const base::Clock* clock;
    const base::SigningKey* key;  ///< Of the node's identity.
    Genesis genesis;
    state::Storage* storage;
    std::unique_ptr<Log> log;
    base::Log lines;
  };
  /// Reads what is on disk. Blocks. The log was begun when the key was made: begin_log(). With an
  /// empty or damaged one the node follows, and does not vote.
  /// Errors: InvalidArgument (the log takes no block of kBlockBytesMax), DataLoss (names what is
  /// damaged), Unsupported (a newer version), of the system.
  static base::Result<std::unique_ptr<ReplicaNode>> open(Parts parts, ReplicaOptions options);
  ~ReplicaNode();

  /// Begins to take part.
  void start();
  base::Task<> stop();
  /// Resumes with the error that ends the replica: its disk refuses. Whoever composed it stops it,
  /// and opens it anew when the disk is well.
  base::Task<base::Error> failed();

  /// Orders a command (execution/command.hpp) and answers with its number when it is executed here.
  /// Errors: those of the command; NoQuorum (not ordered within `limit`, and it will not take
  /// effect), TimedOut (likewise, but it may), Unavailable. With the command's own deadline from
  /// deadline_within() most of those that come too late are known to have no effect; and nothing is
  /// sent while fewer than a quorum of voters are connected.
  void order(base::Bytes command, base::Duration limit, Gateway::Done done);
  base::Task<base::Result<std::uint64_t>> order(base::Bytes command, base::Duration limit);
  /// In ordered time, a little before `limit` has passed: what is ordered after it was seen to be.
  std::uint64_t deadline_within(base::Duration limit) const;
  /// Orders what a client signed itself, and answers when it is executed here. The signature is
  /// checked before anything else of it is used. Errors: TimedOut, Unavailable.
  void relay(BundlePtr bundle, base::Duration limit,
             std::function<void(base::Result<BundleResult>)> done);

  enum class Consistency : std::uint8_t {
    Linearizable,  ///< Shows all that was acknowledged anywhere before the call.
    Local,         ///< What was executed here last; status() tells its time.
  };
  /// `read` is called on a worker thread, reads nothing but the view, and gives what is called on
  /// the executor afterwards. Errors are passed to it instead of a view: as order(), and those of
  /// the storage.
  using Read = std::function<std::function<void()>(base::Result<const state::View*>)>;
  void read(Consistency consistency, base::Duration limit, Read read);
  template <class F>
  auto read(Consistency consistency, base::Duration limit, F read)
      -> base::Task<decltype(read(std::declval<const state::View&>()))>;

  /// Resumes when a slot was applied after `seen`, or after `limit`.
  base::Task<> applied_after(Slot seen, base::Duration limit);
  /// This node's word that it holds the newest checkpoint, with which it can become a voter.
  /// Errors: FailedPrecondition (there is none yet), those of the storage.
  base::Task<base::Result<Copy>> copy();
  /// Runs until it ends, or until stop().
  void spawn(base::Task<> task);
  /// Whether this is a member's identity, of whatever role.
  bool is_member(const stoq::NodeId& id) const;

  ReplicaStatus status() const;
  const Genesis& genesis() const;
  const ClusterId& cluster() const;
  const Voters& voters() const;  ///< Of the epoch under way.
  /// The newest that a quorum signed, and the last ones of the epochs from `epoch` on. This node
  /// may not hold its state.
  const std::optional<StableCheckpoint>& stable_checkpoint() const;
  std::vector<StableCheckpoint> ends_from(Epoch epoch) const;
  const base::PublicKey& own_key() const;
  const base::Clock& clock() const;
  const base::Executor& executor() const;

  /// Called for every block that is executed here from now on, in order.
  using OnExecuted = std::function<void(const Link&, const Executed&)>;
  void on_executed(OnExecuted observe);
  /// Called for every vote that arrives or leaves.
  using OnVote = std::function<void(const Vote&)>;
  void on_vote(OnVote observe);

 private:
  struct State;
  explicit ReplicaNode(std::unique_ptr<State> state);

  std::unique_ptr<State> state_;
};

template <class F>
auto ReplicaNode::read(Consistency consistency, base::Duration limit, F read)
    -> base::Task<decltype(read(std::declval<const state::View&>()))> {
  using Answer = decltype(read(std::declval<const state::View&>()));
  return awaited<Answer>(
      executor(), [this, consistency, limit, read = std::move(read)](auto done) mutable {
        this->read(consistency, limit,
                   Read([done = std::move(done),
                         read = std::move(read)](base::Result<const state::View*> view) {
                     auto answer = view ? read(**view) : Answer(std::unexpected(view.error()));
                     return std::function<void()>(
                         [done, answer = std::make_shared<Answer>(std::move(answer))] {
                           done(std::move(*answer));
                         });
                   }));
      });
}

}  // namespace hypermesh::consensus
