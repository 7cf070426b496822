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

/// The connections to other nodes: for each node one for control and one for bulk. All its calls
/// are made on its executor.
///
/// Callers share one attempt to connect, and its error. After a failure nobody tries for a while:
/// a call waits for the next attempt if its time allows, and otherwise gets the last error at once.
/// A call that found its connection dead before anything was sent, or that is replay-safe and got
/// no answer, is made once more over a new one.
///
/// Calls go over connections that were made here only, never back over one that the peer made:
/// whoever opens the streams of a connection also decides when it is idle, so that nobody closes it
/// under a call that is on its way; and those of the peer may live on other cores.
class Peers {
 public:
  /// All of these outlive the peers.
  struct Parts {
    base::Executor executor;
    Transport* transport;
    const base::Clock* clock;
    base::Rng* rng;
    base::Metrics* metrics = nullptr;  ///< Null: none.
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

  /// No new calls; those in flight have `grace` to end, then their connections are closed. Resumes
  /// when no task is left.
  base::Task<> stop(base::Duration grace);

  std::size_t connections() const;

 private:
  class State;
  std::shared_ptr<State> state_;
};

}  // namespace stoq::rpc
