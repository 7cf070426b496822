#pragma once

#include "transport/memory_transport.hpp"

namespace stoq::testing {

/// Nodes of one process, for suites that run over any transport.
class MemoryFixture {
 public:
  Transport& make(base::Executor executor, std::uint8_t index) {
    NodeId id;
    id.bytes[0] = index;
    return *transports_.emplace_back(std::make_unique<MemoryTransport>(executor, network_, id));
  }
  void stop() { transports_.clear(); }
  Endpoint endpoint(std::uint8_t index) const {
    return {{}, static_cast<std::uint16_t>(9292 + index)};
  }

 private:
  MemoryNetwork network_;
  std::vector<std::unique_ptr<Transport>> transports_;
};

}  // namespace stoq::testing
