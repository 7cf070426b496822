#pragma once

#include <thread>

#include "identity/identity_file.hpp"
#include "transport/quic/endpoint.hpp"

namespace stoq {

struct QuicTransportOptions {
  quic::SessionOptions session;
  quic::Limits limits;
  std::vector<quic::Cipher> ciphers{quic::Cipher::Aes128Gcm, quic::Cipher::ChaCha20Poly1305};
  base::Duration ticket_life = std::chrono::hours(24);
  /// Endpoints, each with a socket for every port. The first runs on the node's executor, the
  /// others on threads of their own; a connection stays on the core that it came to.
  unsigned cores = 1;
  std::string qlog_folder;  ///< Empty: no qlog.
  bool ipv4 = false;        ///< Reach IPv4 peers as v4-mapped addresses.
  bool offload = true;      ///< Many datagrams in one system call, where the kernel can.
};

/// What a transport did since it began, and does now.
struct TransportTotals {
  std::uint64_t bytes_sent = 0, bytes_received = 0, bytes_resent = 0;  ///< Of UDP payloads.
  std::uint64_t congestion_events = 0;
  std::uint64_t connections = 0;  ///< Open now.
  std::uint64_t misdirected = 0;  ///< Datagrams that came to another core than their connection's.
  std::array<std::uint64_t, quic::kHandshakeResults> handshakes{};  ///< By quic::Handshake.
  base::Duration round_trip_p99{};  ///< Of the last one to two minutes, of all connections.
};

/// Transport over QUIC version 1 (RFC 9000, 9001, 9002, 9221) and UDP over IPv6.
class QuicTransport final : public Transport {
 public:
  /// All of these outlive the transport.
  struct Parts {
    NodeId self;
    CertificateProvider* certificates;
    PeerVerifier* verifier;
    const base::Clock* clock;
    base::SecretBytes secret;  ///< 32 bytes; see quic::Shared.
  };
  QuicTransport(base::Executor executor, Parts parts, QuicTransportOptions options);
  ~QuicTransport() override;

  const NodeId& self() const override { return parts_.self; }
  base::Task<base::Result<std::shared_ptr<Connection>>> connect(Endpoint endpoint, NodeId peer,
                                                                ConnectOptions options) override;
  base::Result<std::unique_ptr<Listener>> listen(Endpoint endpoint, ListenOptions options) override;
  /// On any thread.
  TransportTotals totals() const;
  /// What the first core holds; of all cores, the sources that are known and those who shake hands.
  struct Usage {
    quic::QuicEndpoint::Usage core;
    std::size_t connections = 0, handshakes = 0, sources = 0, resumptions = 0, replays = 0;
  };
  Usage usage();

 private:
  struct Core;
  base::Result<std::shared_ptr<quic::UdpSocket>> client_socket();

  base::Executor executor_;
  Parts parts_;
  QuicTransportOptions options_;
  quic::ReplayStore replays_;
  quic::TlsContext tls_;
  quic::Shared shared_;
  std::vector<std::unique_ptr<Core>> cores_;
  std::shared_ptr<quic::UdpSocket> client_socket_;
};

}  // namespace stoq
