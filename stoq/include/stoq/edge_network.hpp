#pragma once

#include <base/async/task.hpp>
#include <base/bytes.hpp>
#include <stoq/types.hpp>
#include <string>
#include <vector>

namespace stoq {

struct EdgeNode {
  NodeId id;
  Endpoint endpoint;
  GeoLocation location;
  std::uint64_t cache_bytes_max = 0;
};

/// Nodes that keep content near those who ask for it.
///
/// Calls are made on one executor and do not block it. Doubles: MemoryEdgeNetwork.
class EdgeNetwork {
 public:
  virtual ~EdgeNetwork() = default;
  /// Registering again replaces what was said before.
  virtual base::Task<base::Result<>> register_edge(EdgeNode node) = 0;
  /// Errors: NotFound (no edge node is registered).
  virtual base::Task<base::Result<EdgeNode>> find_nearest(GeoLocation location) = 0;
  /// Keeps `content` under its name. Errors: ResourceExhausted (larger than the cache).
  virtual base::Task<base::Result<>> publish(std::string name, base::Bytes content) = 0;
  /// Never wrong bytes. Errors: NotFound.
  virtual base::Task<base::Result<base::Bytes>> fetch(std::string name) = 0;
  /// Errors: NotFound.
  virtual base::Task<base::Result<>> remove(std::string name) = 0;
};

}  // namespace stoq
