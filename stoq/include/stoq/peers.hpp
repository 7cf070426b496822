#pragma once

// Calls to any node, over connections that are made when they are needed:
//
//   auto pong = co_await peers.call(node, endpoint, kPing, request);

#include <base/random.hpp>
#include <stoq/rpc.hpp>

namespace stoq::rpc {

struct PeersOptions {
  std::size_t peers_max = 4096;  ///< Connections and memories of failures, each lane for itself.
  base::Duration connect_timeout = std::chrono::seconds(5);
  /// A connection without a call is closed after this; the next call comes back with its first
  /// packet, if the method is replay-safe.
  base::Duration idle_max = std::chrono::seconds(20);
  /// Between attempts: doubled each time, less a random half.
  base::Duration backoff_min = std::chrono::milliseconds(100);
  base::Duration backoff_max = std::chrono::seconds(30);
  /// Until a node that did not prove who it is is asked again.
  base::Duration distrust = std::chrono::seconds(30);
};

class Server;

/// The connections to other nodes: for each node one for control and one for bulk, whoever of the
/// two has dialled it. All its calls are made on its executor.
///
/// Callers share one attempt to connect, and its error. After a failure nobody tries for a while:
/// a call waits for the next attempt if its time allows, and otherwise gets the last error at once.
/// A call that found its connection dead before anything was sent, or that is replay-safe and got
/// no answer, is made once more over a new one; so is any call with one request and one reply that
/// the peer has not begun.
///
/// When both nodes have dialled at once, both go on with the connection of the smaller NodeId; the
/// other one serves the calls that began on it, and is closed when it is idle. Only who dialled a
/// connection closes it for idleness, when no call of either side is open, and says so: a call of
/// the other side that was on its way then was not begun (docs/wire/rpc.md). A connection that is
/// idle here is closed although the peer calls now and then: the peer then dials its own.
class Peers {
 public:
  /// All of these outlive the peers. A server is drained before stop() and stopped after it.
  struct Parts {
    base::Executor executor;
    Transport* transport;
    const base::Clock* clock;
    base::Rng* rng;
    base::Metrics* metrics = nullptr;  ///< Null: none.
    /// Answers what the peers call over connections that were dialled here. Null: it is refused.
    Server* server = nullptr;
  };
  explicit Peers(Parts parts, PeersOptions options = {});
  /// Call stop() before.
  ~Peers();

  template <Message Request, Message Reply>
  base::Task<base::Result<Reply>> call(NodeId node, Endpoint endpoint,
                                       const Unary<Request, Reply>& method, const Request& request,
                                       CallOptions options = {}) {
    const auto caller = to(node, endpoint);
    co_return co_await caller->call(method, request, options);
  }
  /// For several calls, and those with streams. `endpoint` is where the node listens, should a
  /// connection have to be made.
  std::unique_ptr<Caller> to(NodeId node, Endpoint endpoint);

  /// Calls to its peer go over `connection`, which the peer has dialled and a server serves. It is
  /// left alone if it is of a stranger, of a lane that has a better one, or lives on another
  /// executor.
  void adopt(const std::shared_ptr<Connection>& connection);

  /// No new calls; those in flight have `grace` to end, then their connections are closed. Resumes
  /// when no task is left.
  base::Task<> stop(base::Duration grace);

  std::size_t connections() const;

 private:
  class State;
  std::shared_ptr<State> state_;
};

}  // namespace stoq::rpc
