#pragma once

#include <base/async/task_scope.hpp>
#include <functional>
#include <map>
#include <set>
#include <stoq/peers.hpp>
#include <stoq/rpc_server.hpp>

namespace hypermesh::consensus {

/// Asks other nodes for an echo twice a second, on the connection of the votes, and says how long
/// each took: with what they and we had to do before, as it is for a heartbeat. Who does not answer
/// gives no sample. All calls are made on one executor.
class RoundTrips {
 public:
  using OnEcho = std::function<void(const stoq::NodeId& peer, base::Duration took)>;
  using OnRound = std::function<void()>;  ///< After every round, whoever has answered.

  /// All are borrowed and outlive stop(). The handler is added to `server` here.
  RoundTrips(const base::Executor& executor, stoq::rpc::Peers& peers, stoq::rpc::Server& server,
             const base::Clock& clock, OnEcho on_echo, OnRound on_round);

  void set_peers(std::map<stoq::NodeId, stoq::Endpoint> peers) { asked_ = std::move(peers); }
  base::Task<> stop();

 private:
  base::Task<> run();
  base::Task<> ask(stoq::NodeId peer, stoq::Endpoint endpoint);

  stoq::rpc::Peers& peers_;
  const base::Clock& clock_;
  OnEcho on_echo_;
  OnRound on_round_;
  std::map<stoq::NodeId, stoq::Endpoint> asked_;
  std::set<stoq::NodeId> open_;  // Whose answer is waited for.
  base::TaskScope scope_;
};

}  // namespace hypermesh::consensus
