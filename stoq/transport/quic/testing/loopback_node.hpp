#pragma once

#include <arpa/inet.h>

#include "identity/leaf_certificate.hpp"
#include "transport/quic/quic_transport.hpp"

namespace stoq::testing {

/// A node on loopback, which can be restarted.
struct LoopbackNode {
  LoopbackNode(base::Rng& rng, const base::Clock& clock)
      : identity(Identity::generate(rng)),
        leaves(identity, rng, std::chrono::hours(24)),
        clock(clock) {}

  QuicTransport& start(const base::Executor& executor, QuicTransportOptions options = {}) {
    const auto seed = identity.key.seed();
    options.session.initial_rtt = std::chrono::milliseconds(1);
    transport = std::make_unique<QuicTransport>(
        executor,
        QuicTransport::Parts{identity.id, &leaves, &verifier, &clock,
                             base::SecretBytes(base::Bytes(seed.begin(), seed.end()))},
        options);
    return *transport;
  }

  Identity identity;
  LeafRotation leaves;
  IdentityVerifier verifier;
  const base::Clock& clock;
  std::unique_ptr<QuicTransport> transport;
};

inline Endpoint loopback(std::uint16_t port) {
  Endpoint made;
  made.address[15] = 1;
  made.port = port;
  return made;
}

/// Two of them, for suites that run over any transport.
class QuicFixture {
 public:
  Transport& make(const base::Executor& executor, int index) {
    return nodes_[index].start(executor);
  }
  // A port that nobody has now: the kernel gives it, and nobody else asks for it by number.
  Endpoint endpoint(int index) {
    std::uint16_t& port = ports_[index];
    if (port == 0) {
      const auto socket = *quic::UdpSocket::open(any(), {});
      port = ntohs(socket->local().sin6_port);
    }
    return loopback(port);
  }
  void stop() {
    for (LoopbackNode& node : nodes_) node.transport.reset();
  }

 private:
  static sockaddr_in6 any() {
    sockaddr_in6 made{};
    made.sin6_family = AF_INET6;
    return made;
  }
  base::SystemRng rng_;
  base::SystemClock clock_;
  std::uint16_t ports_[2]{};
  LoopbackNode nodes_[2]{{rng_, clock_}, {rng_, clock_}};
};

}  // namespace stoq::testing
