#include "node/node.hpp"

#include "identity/identity_file.hpp"
#include "node/credentials.hpp"
#include "node/transport_metrics.hpp"
#include "rpc/diagnostics.hpp"
#include "transport/quic/quic_transport.hpp"

namespace stoq {

namespace {

// Peers of before a restart are told at once that their connections are forgotten, and need not
// prove their addresses again: for that the secret must be the same, and nobody else's.
base::SecretBytes transport_secret(const Identity& identity) {
  base::Sha256 hash;
  hash.update(base::as_bytes("stoq transport secret"));
  hash.update(identity.key.seed());
  const base::Digest digest = hash.finish();
  return base::SecretBytes(base::Bytes(digest.begin(), digest.end()));
}

QuicTransportOptions transport_options(const NodeConfig& config) {
  QuicTransportOptions options;
  options.session.congestion = config.bbr ? quic::Congestion::Bbr : quic::Congestion::Cubic;
  options.session.idle_timeout = config.idle_timeout;
  options.session.key_life = config.key_life;
  options.limits.connections_max = config.connections_max;
  options.ticket_life = config.key_life;
  options.cores = config.cores;
  options.qlog_folder = config.qlog_path;
  options.ipv4 = config.ipv4_peers;
  return options;
}

constexpr std::uint64_t kBenchBytesMax = 64ull << 30;
constexpr auto kStopGrace = std::chrono::seconds(2);

}  // namespace

struct Node::Parts {
  explicit Parts(Identity identity) : identity(std::move(identity)) {}

  base::SystemClock clock;
  base::SystemRng rng;
  Identity identity;
  std::unique_ptr<Credentials> credentials;
  std::optional<QuicTransport> transport;
  std::unique_ptr<Listener> listener;
  Endpoint listening;
  std::optional<rpc::Server> server;
  std::optional<rpc::Peers> peers;
  std::optional<TransportMetrics> metrics;
};

Node::Node(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
Node::~Node() = default;

const NodeId& Node::id() const {
  return parts_->identity.id;
}
const base::SigningKey& Node::key() const {
  return parts_->identity.key;
}
Transport& Node::transport() {
  return *parts_->transport;
}
Endpoint Node::listening() const {
  return parts_->listening;
}
rpc::Peers& Node::peers() {
  return *parts_->peers;
}
rpc::Server& Node::server() {
  return *parts_->server;
}

void Node::start() {
  parts_->server->serve(std::move(parts_->listener),
                        [peers = &*parts_->peers](const auto& made) { peers->adopt(made); });
}

base::Task<> Node::stop() {
  // Handlers may call others while they end, and calls of both directions share connections.
  co_await parts_->server->drain(kStopGrace);
  co_await parts_->peers->stop(kStopGrace);
  co_await parts_->server->stop(base::Duration::zero());
}

base::Result<std::unique_ptr<Node>> NodeBuilder::build() {
  base::SystemRng rng;
  TRY(Identity identity, open_identity(config_.identity_path, rng));
  auto parts = std::make_unique<Node::Parts>(std::move(identity));
  TRY(parts->credentials, make_credentials(parts->identity, config_, revocations_, parts->rng,
                                           parts->clock.wall(), log_));
  parts->transport.emplace(executor_,
                           QuicTransport::Parts{.self = parts->identity.id,
                                                .certificates = &parts->credentials->certificates(),
                                                .verifier = &parts->credentials->verifier(),
                                                .clock = &parts->clock,
                                                .secret = transport_secret(parts->identity)},
                           transport_options(config_));
  ListenOptions options;
  options.alpn = {std::string(rpc::alpn_of(rpc::Lane::Control)),
                  std::string(rpc::alpn_of(rpc::Lane::Bulk))};
  TRY(parts->listener, parts->transport->listen(config_.listen, std::move(options)));
  parts->listening = parts->listener->endpoint();
  parts->server.emplace(rpc::Server::Parts{executor_, &parts->clock, &metrics_, log_});
  parts->peers.emplace(rpc::Peers::Parts{executor_, &*parts->transport, &parts->clock, &parts->rng,
                                         &metrics_, &*parts->server});
  handle_diagnostics(*parts->server,
                     {.self = parts->identity.id,
                      .version = HYPERMESH_VERSION,
                      .clock = &parts->clock,
                      .transfer_bytes_max = config_.allow_bench ? kBenchBytesMax : 0});
  parts->metrics.emplace(metrics_, *parts->transport, parts->clock);
  log_.info("listening",
            {{"address", parts->listening.text() + "/quic"}, {"node", parts->identity.id.text()}});
  return std::unique_ptr<Node>(new Node(std::move(parts)));
}

}  // namespace stoq
