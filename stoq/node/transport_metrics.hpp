#pragma once

#include <base/metrics.hpp>

#include "transport/quic/quic_transport.hpp"

namespace stoq {

/// Shows what a transport does as metrics, brought up to date when they are read.
class TransportMetrics {
 public:
  /// All of them outlive it.
  TransportMetrics(base::Metrics& metrics, const QuicTransport& transport,
                   const base::Clock& clock);

 private:
  void refresh();

  const QuicTransport& transport_;
  const base::Clock& clock_;
  TransportTotals shown_;
  base::MonotonicTime shown_at_;
  base::Gauge &throughput_, &latency_, &connections_;
  base::Counter &sent_, &received_, &resent_, &congestion_events_, &misdirected_;
  std::array<base::Counter*, quic::kHandshakeResults> handshakes_;
  std::unique_ptr<base::Metrics::Refresh> refresh_;
};

}  // namespace stoq
