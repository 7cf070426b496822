#include "transport/quic/quic_transport.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <cstring>

#include "transport/quic/qlog_file.hpp"
#include "transport/quic/quic_connection.hpp"
#include "transport/quic/steering.hpp"

namespace stoq {

namespace asio = boost::asio;
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

using Incoming = base::Channel<std::shared_ptr<Connection>>;

// A socket of one core, and that core.
struct Place {
  std::shared_ptr<quic::QuicEndpoint> endpoint;
  std::shared_ptr<quic::UdpSocket> socket;
};

class QuicListener final : public Listener {
 public:
  QuicListener(const base::Executor& executor, std::vector<Place> places, ListenOptions options)
      : places_(std::move(places)), incoming_(std::make_shared<Incoming>(executor, kPendingMax)) {
    auto acceptor = std::make_shared<quic::Acceptor>();
    acceptor->options = std::move(options);
    acceptor->accepted = [executor,
                          incoming = incoming_](std::shared_ptr<quic::ConnectionState> state) {
      // Later: this is called from inside a session, which nothing may close there.
      asio::post(executor, [incoming, state = std::move(state)] {
        // With nobody to take it, the connection ends as it goes.
        (void)incoming->try_send(std::make_shared<quic::QuicConnection>(state));
      });
    };
    for (const Place& place : places_) {
      asio::dispatch(place.endpoint->executor(),
                     [place, acceptor] { place.endpoint->add_socket(place.socket, acceptor); });
    }
  }
  ~QuicListener() override {
    incoming_->close();
    for (const Place& place : places_) {
      asio::dispatch(place.endpoint->executor(),
                     [place] { place.endpoint->remove_socket(*place.socket); });
    }
  }

  base::Task<Result<std::shared_ptr<Connection>>> accept() override {
    const auto incoming = incoming_;
    auto connection = co_await incoming->receive();
    if (!connection) co_return base::fail(Errc::Unavailable, "the listener was closed");
    co_return *std::move(connection);
  }
  Endpoint endpoint() const override { return endpoint_of(places_.front().socket->local()); }

 private:
  std::vector<Place> places_;
  std::shared_ptr<Incoming> incoming_;
};

quic::SessionOptions session_options(const QuicTransportOptions& options) {
  quic::SessionOptions made = options.session;
  if (!options.qlog_folder.empty()) made.qlog = quic::qlog_files(options.qlog_folder);
  return made;
}

base::Task<Result<std::shared_ptr<Connection>>> until_established(
    std::shared_ptr<Connection> connection, std::shared_ptr<quic::ConnectionState> state) {
  while (!state->established && !state->ended) co_await state->changed.wait();
  if (state->ended) co_return std::unexpected(*state->ended);
  co_return connection;
}

}  // namespace

// One endpoint and, but for the first, its thread.
struct QuicTransport::Core {
  std::unique_ptr<asio::io_context> context;
  std::shared_ptr<quic::QuicEndpoint> endpoint;
  std::thread thread;
};

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
      shared_(tls_, *parts_.clock, parts_.secret.view(), session_options(options_),
              options_.limits) {
  for (unsigned i = 0; i < std::max(options_.cores, 1u); ++i) {
    auto core = std::make_unique<Core>();
    if (i > 0) core->context = std::make_unique<asio::io_context>(1);
    core->endpoint = std::make_shared<quic::QuicEndpoint>(
        core->context ? base::Executor(core->context->get_executor()) : executor_, shared_, i);
    shared_.endpoints.push_back(core->endpoint);
    cores_.push_back(std::move(core));
  }
  for (const auto& core : cores_) {
    if (!core->context) continue;
    core->thread = std::thread([context = core->context.get()] {
      const auto work = asio::make_work_guard(*context);
      context->run();
    });
  }
}

QuicTransport::~QuicTransport() {
  for (const auto& core : cores_) {
    if (!core->context) {
      core->endpoint->shut_down();
      continue;
    }
    asio::post(*core->context, [&core] {
      core->endpoint->shut_down();
      core->context->stop();
    });
    core->thread.join();
  }
}

TransportTotals QuicTransport::totals() const {
  TransportTotals made;
  for (const auto& core : cores_) {
    const quic::Meters& meters = core->endpoint->meters();
    made.bytes_sent += meters.bytes_sent;
    made.bytes_received += meters.bytes_received;
    made.bytes_resent += meters.bytes_resent;
    made.congestion_events += meters.congestion_events;
    made.connections += meters.connections;
    made.misdirected += core->endpoint->misdirected();
    for (std::size_t i = 0; i < made.handshakes.size(); ++i)
      made.handshakes[i] += meters.handshakes[i];
    made.round_trip_p99 =
        std::max(made.round_trip_p99, meters.round_trips.quantile(0.99, parts_.clock->now()));
  }
  return made;
}

QuicTransport::Usage QuicTransport::usage() {
  Usage made{.core = cores_.front()->endpoint->usage(), .replays = replays_.size()};
  const std::lock_guard lock(shared_.mutex);
  made.connections = shared_.limits.connections();
  made.handshakes = shared_.limits.handshakes();
  made.sources = shared_.limits.sources();
  made.resumptions = shared_.resumptions.size();
  return made;
}

Result<std::shared_ptr<quic::UdpSocket>> QuicTransport::client_socket() {
  if (!client_socket_) {
    sockaddr_in6 any{};
    any.sin6_family = AF_INET6;
    TRY(client_socket_,
        quic::UdpSocket::open(any, {.only_v6 = !options_.ipv4, .offload = options_.offload}));
    cores_.front()->endpoint->add_socket(client_socket_, nullptr);
  }
  return client_socket_;
}

base::Task<Result<std::shared_ptr<Connection>>> QuicTransport::connect(Endpoint endpoint,
                                                                       NodeId peer,
                                                                       ConnectOptions options) {
  CO_TRY(const auto socket, client_socket());
  quic::SessionOptions session = shared_.session;
  session.alpn = {options.alpn};
  session.handshake_timeout = options.timeout;
  std::optional<NodeId> expected;
  std::optional<quic::Resumption> resumption;
  if (!options.any_peer) {
    expected = peer;
    resumption = shared_.take_resumption(peer, options.alpn);
  }
  CO_TRY(const auto state,
         cores_.front()->endpoint->connect(socket, address_of(endpoint), expected, session,
                                           resumption ? &*resumption : nullptr));
  state->peer = expected;
  auto connection = std::make_shared<quic::QuicConnection>(state);
  if (options.early && state->session != nullptr && state->session->early()) co_return connection;
  co_return co_await until_established(std::move(connection), state);
}

Result<std::unique_ptr<Listener>> QuicTransport::listen(Endpoint endpoint, ListenOptions options) {
  sockaddr_in6 address = address_of(endpoint);
  std::vector<Place> places;
  for (const auto& core : cores_) {
    TRY(std::shared_ptr<quic::UdpSocket> socket,
        quic::UdpSocket::open(address, {.reuse_port = cores_.size() > 1,
                                        .only_v6 = !options_.ipv4,
                                        .offload = options_.offload}));
    address = socket->local();
    places.push_back({core->endpoint, std::move(socket)});
  }
  if (places.size() > 1) {
    // Where the kernel cannot, datagrams are handed over between the threads.
    (void)quic::steer_by_connection_id(places.front().socket->fd(),
                                       static_cast<unsigned>(places.size()));
  }
  return std::make_unique<QuicListener>(executor_, std::move(places), std::move(options));
}

}  // namespace stoq
