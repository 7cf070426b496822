#pragma once

#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>

#include "identity/leaf_certificate.hpp"
#include "process.hpp"
#include "transport/quic/quic_transport.hpp"

namespace bench {

/// A node on loopback with an identity of its own.
class QuicNode {
 public:
  QuicNode() : QuicNode(generated()) {}
  explicit QuicNode(stoq::Identity identity)
      : identity_(std::move(identity)), leaves_(identity_, rng_, std::chrono::hours(24)) {}

  const stoq::Identity& identity() const { return identity_; }
  const stoq::NodeId& id() const { return identity_.id; }
  /// Makes its certificate now, not at the first handshake.
  void prepare() { (void)must(leaves_.current(clock_.wall()), "make a certificate"); }
  stoq::QuicTransport& start(const base::Executor& executor,
                             stoq::QuicTransportOptions options = {}) {
    const auto seed = identity_.key.seed();
    transport_ = std::make_unique<stoq::QuicTransport>(
        executor,
        stoq::QuicTransport::Parts{identity_.id, &leaves_, &verifier_, &clock_,
                                   base::SecretBytes(base::Bytes(seed.begin(), seed.end()))},
        std::move(options));
    return *transport_;
  }

 private:
  static stoq::Identity generated() {
    base::SystemRng rng;
    return stoq::Identity::generate(rng);
  }

  base::SystemRng rng_;
  base::SystemClock clock_;
  stoq::Identity identity_;
  stoq::LeafRotation leaves_;
  stoq::IdentityVerifier verifier_;
  std::unique_ptr<stoq::QuicTransport> transport_;
};

inline stoq::Endpoint loopback(double port) {
  stoq::Endpoint made;
  made.address[15] = 1;
  made.port = static_cast<std::uint16_t>(port);
  return made;
}

/// One source opens everything here.
inline stoq::quic::Limits no_limits() {
  stoq::quic::Limits limits;
  limits.connections_max = limits.connections_per_source_max = 1'000'000;
  limits.handshakes_per_source_per_second = limits.handshakes_burst = 1e9;
  limits.handshakes_before_retry = 1'000'000;
  return limits;
}

/// Runs `task` and everything it starts.
inline void run(boost::asio::io_context& context, base::Task<> task) {
  boost::asio::co_spawn(context, std::move(task), [&context](const std::exception_ptr& thrown) {
    if (thrown) std::rethrow_exception(thrown);
    context.stop();
  });
  context.run();
}

}  // namespace bench
