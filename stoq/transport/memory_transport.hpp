#pragma once

#include <map>
#include <memory>
#include <stoq/transport.hpp>

namespace stoq {

namespace memory {
class Listening;
}

/// The nodes of one process and the addresses they listen on. Outlives its transports.
class MemoryNetwork {
 public:
  MemoryNetwork() = default;
  MemoryNetwork(const MemoryNetwork&) = delete;

 private:
  friend class MemoryTransport;
  friend class memory::Listening;
  std::map<Endpoint, memory::Listening*> listening_;
};

/// Transport between nodes of one process, with the promises of the real one: order, back-pressure,
/// identity, reasons of closing. Everything runs on one executor.
class MemoryTransport final : public Transport {
 public:
  /// Bytes a stream holds before its writer waits.
  static constexpr std::size_t kStreamWindowBytes = 256 * 1024;
  static constexpr std::size_t kDatagramBytesMax = 1200;
  static constexpr std::size_t kDatagramsMax = 1024;  ///< Held for a slow reader; more are dropped.
  static constexpr std::size_t kPendingMax = 128;  ///< Connections and streams nobody accepted yet.

  MemoryTransport(base::Executor executor, MemoryNetwork& network, NodeId self);

  const NodeId& self() const override { return self_; }
  base::Task<base::Result<std::shared_ptr<Connection>>> connect(Endpoint endpoint, NodeId peer,
                                                                ConnectOptions options) override;
  base::Result<std::unique_ptr<Listener>> listen(Endpoint endpoint, ListenOptions options) override;

 private:
  base::Executor executor_;
  MemoryNetwork& network_;
  NodeId self_;
};

}  // namespace stoq
