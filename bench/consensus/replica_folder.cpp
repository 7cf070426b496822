#include "replica_folder.hpp"

#include <base/config/units.hpp>

namespace bench {

base::Result<stoq::Endpoint> parse_endpoint(const std::string& text) {
  TRY(const auto parsed, base::config::parse_endpoint(text));
  return stoq::Endpoint::of(parsed.address, parsed.port);
}

LoopbackTransport::LoopbackTransport(const base::Executor& executor, stoq::Identity identity)
    : identity_(std::move(identity)), leaves_(identity_, rng_, std::chrono::hours(24)) {
  const auto seed = identity_.key.seed();
  stoq::QuicTransportOptions options;
  options.limits.connections_max = options.limits.connections_per_source_max = 10'000;
  options.limits.handshakes_per_source_per_second = options.limits.handshakes_burst = 1e6;
  options.limits.handshakes_before_retry = 10'000;
  transport_ = std::make_unique<stoq::QuicTransport>(
      executor,
      stoq::QuicTransport::Parts{identity_.id, &leaves_, &verifier_, &clock_,
                                 base::SecretBytes(base::Bytes(seed.begin(), seed.end()))},
      std::move(options));
}

}  // namespace bench
