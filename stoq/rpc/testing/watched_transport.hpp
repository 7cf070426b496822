#pragma once

#include <stoq/transport.hpp>

namespace stoq::testing {

/// Keeps the connections that are made through it.
class Watched final : public Transport {
 public:
  explicit Watched(Transport& inner) : inner_(inner) {}
  const NodeId& self() const override { return inner_.self(); }
  base::Task<base::Result<std::shared_ptr<Connection>>> connect(Endpoint endpoint, NodeId peer,
                                                                ConnectOptions options) override {
    auto connection = co_await inner_.connect(endpoint, peer, options);
    if (connection) {
      made.push_back(*connection);
      early.push_back((*connection)->stats().handshake == base::Duration::zero());
    }
    co_return connection;
  }
  base::Result<std::unique_ptr<Listener>> listen(Endpoint endpoint,
                                                 ListenOptions options) override {
    return inner_.listen(endpoint, std::move(options));
  }

  std::vector<std::shared_ptr<Connection>> made;
  std::vector<bool> early;  ///< Given before its handshake was over.

 private:
  Transport& inner_;
};

}  // namespace stoq::testing
