#pragma once

#include <base/async/task_scope.hpp>
#include <base/log.hpp>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <stoq/peers.hpp>
#include <stoq/rpc_server.hpp>

#include "consensus/node/frame.hpp"

namespace hypermesh::consensus {

/// The streams between replicas. What is small travels with the votes, the rest on the connection
/// for bulk. A message may be lost with a connection, or when a peer takes nothing for too long;
/// the replicas expect that. All calls are made on one executor.
class Mesh {
 public:
  /// Called for every message that arrives whole; it is not checked.
  using OnMessage = std::function<void(const stoq::NodeId& from, base::BytesView message)>;

  /// All are borrowed and outlive stop(). The handlers are added to `server` here.
  Mesh(const base::Executor& executor, stoq::rpc::Peers& peers, stoq::rpc::Server& server,
       OnMessage on_message, base::Log log);
  ~Mesh();

  /// Who may speak to us, and whom we speak to; streams to others end.
  void set_members(const std::map<stoq::NodeId, stoq::Endpoint>& members);
  void send(const stoq::NodeId& to, std::shared_ptr<const base::Bytes> message);

  /// Peers to whom a stream is open.
  std::size_t connected() const;
  bool connected_to(const stoq::NodeId& peer) const;
  /// Frames that no messages were in; each has ended its stream.
  std::uint64_t malformed() const { return malformed_; }

  base::Task<> stop();

 private:
  struct Link;
  struct Peer;
  base::Task<> run(std::shared_ptr<Peer> peer, std::shared_ptr<Link> link);
  base::Task<base::Result<Frame>> receive(stoq::rpc::Call& call, stoq::rpc::Reader<Frame>& frames);

  stoq::rpc::Peers& peers_;
  OnMessage on_message_;
  base::Log log_;
  base::TaskScope scope_;
  std::map<stoq::NodeId, std::shared_ptr<Peer>> members_;
  std::uint64_t malformed_ = 0;
};

}  // namespace hypermesh::consensus
