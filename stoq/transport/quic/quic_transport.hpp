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
  bool ipv4 = false;    ///< Reach IPv4 peers as v4-mapped addresses.
  bool offload = true;  ///< Many datagrams in one system call, where the kernel can.
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
  /// Datagrams that the kernel gave to a core that does not own their connection.
  std::uint64_t misdirected() const;

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
