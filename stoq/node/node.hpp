#pragma once

#include <base/async/task.hpp>
#include <base/log.hpp>
#include <memory>
#include <stoq/transport.hpp>
#include <string>

#include "identity/identity_file.hpp"

namespace stoq {

struct NodeConfig {
  std::string identity_path;  ///< Made on first start.
  Endpoint listen;
};

/// One machine's part of the layer: who it is, and how it reaches others.
class Node {
 public:
  Node(Identity identity, std::unique_ptr<Transport> transport)
      : identity_(std::move(identity)), transport_(std::move(transport)) {}
  const NodeId& id() const { return identity_.id; }
  const base::SigningKey& key() const { return identity_.key; }
  Transport& transport() { return *transport_; }

 private:
  Identity identity_;
  std::unique_ptr<Transport> transport_;
};

/// Assembles a STOQ node; the one place that names concrete classes.
class NodeBuilder {
 public:
  NodeBuilder(base::Executor executor, NodeConfig config)
      : executor_(std::move(executor)), config_(std::move(config)) {}

  /// Default: MemoryTransport on a network of its own, which reaches nobody.
  NodeBuilder& with_transport(std::unique_ptr<Transport> transport) {
    transport_ = std::move(transport);
    return *this;
  }
  /// Call once. Errors: those of open_identity.
  base::Result<std::unique_ptr<Node>> build();

 private:
  base::Executor executor_;
  NodeConfig config_;
  std::unique_ptr<Transport> transport_;
};

}  // namespace stoq
