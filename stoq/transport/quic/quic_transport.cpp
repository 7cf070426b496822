#include "transport/quic/quic_transport.hpp"

#include <fmt/format.h>

#include <base/async/timeout.hpp>
#include <cstring>

#include "transport/quic/quic_connection.hpp"

namespace stoq {

using base::Errc;
using base::Result;

namespace {

constexpr std::size_t kPendingMax = 1024;  // Connections that nobody has accepted yet.

sockaddr_in6 address_of(const Endpoint& endpoint) {
  sockaddr_in6 made{};
  made.sin6_family = AF_INET6;
  std::memcpy(&made.sin6_addr, endpoint.address.data(), endpoint.address.size());
  made.sin6_port = htons(endpoint.port);
  return made;
}

Endpoint endpoint_of(const sockaddr_in6& address) {
  Endpoint made;
  std::memcpy(made.address.data(), &address.sin6_addr, made.address.size());
  made.port = ntohs(address.sin6_port);
  return made;
}

class QuicListener final : public Listener {
 public:
  QuicListener(std::shared_ptr<quic::QuicEndpoint> endpoint,
               std::shared_ptr<quic::UdpSocket> socket, ListenOptions options)
      : endpoint_(std::move(endpoint)),
        socket_(std::move(socket)),
        incoming_(std::make_shared<Incoming>(endpoint_->executor(), kPendingMax)) {
    auto acceptor = std::make_shared<quic::Acceptor>();
    acceptor->options = std::move(options);
    acceptor->accepted = [incoming = incoming_](std::shared_ptr<quic::ConnectionState> state) {
      // With nobody to take it, the connection ends as it goes.
      (void)incoming->try_send(std::make_shared<quic::QuicConnection>(std::move(state)));
    };
    endpoint_->add_socket(socket_, std::move(acceptor));
  }
  ~QuicListener() override {
    incoming_->close();
    endpoint_->remove_socket(*socket_);
  }

  base::Task<Result<std::shared_ptr<Connection>>> accept() override {
    const auto incoming = incoming_;
    auto connection = co_await incoming->receive();
    if (!connection) co_return base::fail(Errc::Unavailable, "the listener was closed");
    co_return *std::move(connection);
  }
  Endpoint endpoint() const override { return endpoint_of(socket_->local()); }

 private:
  using Incoming = base::Channel<std::shared_ptr<Connection>>;
  std::shared_ptr<quic::QuicEndpoint> endpoint_;
  std::shared_ptr<quic::UdpSocket> socket_;
  std::shared_ptr<Incoming> incoming_;
};

base::Task<Result<std::shared_ptr<Connection>>> until_established(
    std::shared_ptr<Connection> connection, std::shared_ptr<quic::ConnectionState> state) {
  while (!state->established && !state->ended) co_await state->changed.wait();
  if (state->ended) co_return std::unexpected(*state->ended);
  co_return connection;
}

}  // namespace

QuicTransport::QuicTransport(base::Executor executor, Parts parts, QuicTransportOptions options)
    : executor_(std::move(executor)),
      parts_(std::move(parts)),
      options_(std::move(options)),
      tls_({.certificates = parts_.certificates,
            .verifier = parts_.verifier,
            .replays = &replays_,
            .clock = parts_.clock,
            .ciphers = options_.ciphers,
            .ticket_life = options_.ticket_life}),
      shared_(tls_, *parts_.clock, parts_.secret.view(), options_.session, options_.limits),
      endpoint_(std::make_shared<quic::QuicEndpoint>(executor_, shared_, 0)) {}

QuicTransport::~QuicTransport() {
  endpoint_->shut_down();
}

Result<std::shared_ptr<quic::UdpSocket>> QuicTransport::client_socket() {
  if (!client_socket_) {
    sockaddr_in6 any{};
    any.sin6_family = AF_INET6;
    TRY(client_socket_,
        quic::UdpSocket::open(any, {.only_v6 = !options_.ipv4, .offload = options_.offload}));
    endpoint_->add_socket(client_socket_, nullptr);
  }
  return client_socket_;
}

base::Task<Result<std::shared_ptr<Connection>>> QuicTransport::connect(Endpoint endpoint,
                                                                       NodeId peer,
                                                                       ConnectOptions options) {
  CO_TRY(const auto socket, client_socket());
  quic::SessionOptions session = options_.session;
  session.alpn = options.alpn;
  session.handshake_timeout = options.timeout;
  const auto resumption = shared_.take_resumption(peer, options.alpn);
  CO_TRY(const auto state, endpoint_->connect(socket, address_of(endpoint), peer, session,
                                              resumption ? &*resumption : nullptr));
  state->peer = peer;
  auto connection = std::make_shared<quic::QuicConnection>(state);
  if (options.early && state->session != nullptr && state->session->early()) co_return connection;
  co_return co_await until_established(std::move(connection), state);
}

Result<std::unique_ptr<Listener>> QuicTransport::listen(Endpoint endpoint, ListenOptions options) {
  TRY(auto socket, quic::UdpSocket::open(address_of(endpoint),
                                         {.only_v6 = !options_.ipv4, .offload = options_.offload}));
  return std::make_unique<QuicListener>(endpoint_, std::move(socket), std::move(options));
}

}  // namespace stoq
