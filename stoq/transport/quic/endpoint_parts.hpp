#pragma once

// What an endpoint consists of. Private to its sources.

#include <cstring>

#include "transport/quic/endpoint.hpp"
#include "transport/quic/reset_token.hpp"

namespace stoq::quic {

inline std::array<std::uint8_t, 18> key_of(const sockaddr_in6& address) {
  std::array<std::uint8_t, 18> key;
  std::memcpy(key.data(), &address.sin6_addr, 16);
  std::memcpy(key.data() + 16, &address.sin6_port, 2);
  return key;
}

/// A socket, who listens on it, and what it could not send yet.
struct QuicEndpoint::Port {
  Port(const base::Executor& executor, std::shared_ptr<UdpSocket> socket,
       std::shared_ptr<Acceptor> acceptor)
      : socket(std::move(socket)),
        acceptor(std::move(acceptor)),
        descriptor(executor, dup(this->socket->fd())) {}
  std::shared_ptr<UdpSocket> socket;
  std::shared_ptr<Acceptor> acceptor;
  boost::asio::posix::stream_descriptor descriptor;
  bool blocked = false;
  base::Bytes waiting;  // A burst that the socket did not take.
  Burst waiting_burst;
  std::vector<Live*> held;  // Those that cannot write before that.
};

/// One connection: what its session tells, and its place among the others and among the timers.
struct QuicEndpoint::Live final : SessionHost, TimerWheel::Node {
  Live(QuicEndpoint& endpoint, std::shared_ptr<Port> port);

  const ngtcp2_mem* memory() override { return &endpoint.memory_; }
  void issue(Session& session, ConnectionId& id, std::uint8_t* reset_token,
             std::size_t id_bytes) override;
  void retire(Session& session, const ConnectionId& id) override;
  void wants_write(Session&) override { wants_write(); }
  void established(Session& session) override;
  bool stream_opened(Session& session, std::shared_ptr<StreamState> stream) override;
  void stream_closed(Session& session) override;
  void streams_available(Session& session) override;
  void datagram_received(Session& session, base::BytesView bytes) override;
  void resumption_ready(Session& session) override;
  base::Bytes address_token(const Path& path) override;
  void path_changed(Session&, const Path&) override {}

  void wants_write();
  /// Gives a new connection to whoever listens: once it is established, or once an early request of
  /// a peer that is known has come.
  void offer();

  QuicEndpoint& endpoint;
  std::unique_ptr<Session> session;
  std::shared_ptr<ConnectionState> state;
  std::shared_ptr<Port> port;
  std::list<Live>::iterator place;
  std::optional<Dialled::iterator> dialled;
  std::vector<ConnectionId> ids;
  SourceLimits::Account* account = nullptr;
  std::size_t streams = 0;            ///< That the peer opened, and that count for its source.
  std::size_t unread = 0;             ///< As it was counted last.
  base::MonotonicTime quiet_since{};  ///< The last time a stream came or went.
  SessionCounts measured;
  base::MonotonicTime round_trip_due{};
  base::MonotonicTime way_sought{};
  bool no_way = false;  ///< From our address to the peer's.
  bool dirty = false, offered = false, told = false, counted_established = false;
};

}  // namespace stoq::quic
