#include "node/node.hpp"

#include "transport/memory_transport.hpp"

namespace stoq {
namespace {

// A transport with the network it runs on.
class LonelyTransport final : public Transport {
 public:
  LonelyTransport(base::Executor executor, NodeId self)
      : transport_(std::move(executor), network_, self) {}
  const NodeId& self() const override { return transport_.self(); }
  base::Task<base::Result<std::shared_ptr<Connection>>> connect(Endpoint endpoint, NodeId peer,
                                                                ConnectOptions options) override {
    return transport_.connect(endpoint, peer, std::move(options));
  }
  base::Result<std::unique_ptr<Listener>> listen(Endpoint endpoint,
                                                 ListenOptions options) override {
    return transport_.listen(endpoint, std::move(options));
  }

 private:
  MemoryNetwork network_;
  MemoryTransport transport_;
};

}  // namespace

base::Result<std::unique_ptr<Node>> NodeBuilder::build() {
  base::SystemRng rng;
  TRY(Identity identity, open_identity(config_.identity_path, rng));
  if (!transport_) transport_ = std::make_unique<LonelyTransport>(executor_, identity.id);
  return std::make_unique<Node>(std::move(identity), std::move(transport_));
}

}  // namespace stoq
