#pragma once

#include <base/async/task.hpp>
#include <base/crypto.hpp>
#include <base/log.hpp>
#include <base/metrics.hpp>
#include <memory>
#include <stoq/certificates.hpp>
#include <stoq/peers.hpp>
#include <stoq/rpc_server.hpp>
#include <stoq/transport.hpp>

#include "node/node_config.hpp"

namespace stoq {

/// One machine's part of the layer: who it is, where it listens, and how it reaches others.
/// Everything runs on the executor that its builder was given.
class Node {
 public:
  ~Node();

  const NodeId& id() const;
  const base::SigningKey& key() const;
  Transport& transport();
  /// Calls to other nodes.
  rpc::Peers& peers();
  /// Where it listens, with the port that was taken.
  Endpoint listening() const;
  /// Other layers add their methods before start(). Handlers run on their connection's executor.
  rpc::Server& server();
  /// From now on calls are answered.
  void start();
  /// Calls in flight, in both directions, get a moment to end. Await before the node goes, also if
  /// it was not started.
  base::Task<> stop();

 private:
  friend class NodeBuilder;
  struct Parts;
  explicit Node(std::unique_ptr<Parts> parts);

  std::unique_ptr<Parts> parts_;
};

/// Assembles a STOQ node; the one place that names concrete classes.
class NodeBuilder {
 public:
  /// `metrics` outlives the node.
  NodeBuilder(base::Executor executor, NodeConfig config, base::Metrics& metrics, base::Log log)
      : executor_(std::move(executor)),
        config_(std::move(config)),
        metrics_(metrics),
        log_(std::move(log)) {}

  /// Nodes that are no longer believed, besides what certificates say; outlives the node.
  NodeBuilder& with_revocations(RevocationCheck& revocations) {
    revocations_ = &revocations;
    return *this;
  }
  /// Call once. Errors: those of open_identity and of FileCertificates::open; FailedPrecondition
  /// (the address is in use).
  base::Result<std::unique_ptr<Node>> build();

 private:
  base::Executor executor_;
  NodeConfig config_;
  base::Metrics& metrics_;
  base::Log log_;
  RevocationCheck* revocations_ = nullptr;
};

}  // namespace stoq
