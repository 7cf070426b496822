#include "node/transport_metrics.hpp"

namespace stoq {

namespace {

double seconds(base::Duration duration) {
  return std::chrono::duration<double>(duration).count();
}

}  // namespace

TransportMetrics::TransportMetrics(base::Metrics& metrics, const QuicTransport& transport,
                                   const base::Clock& clock)
    : transport_(transport),
      clock_(clock),
      shown_at_(clock.now()),
      throughput_(metrics.gauge("stoq_throughput_gbps",
                                "Sent and received since the last look, in 10^9 bits a second")),
      latency_(metrics.gauge("stoq_latency_p99",
                             "Seconds of a round trip that 99 % of those of the last minute or two "
                             "did not exceed, over all connections")),
      connections_(metrics.gauge("stoq_connections", "Connections that are open")),
      sent_(metrics.counter("stoq_sent_bytes_total", "UDP payload that was sent")),
      received_(metrics.counter("stoq_received_bytes_total", "UDP payload that was received")),
      resent_(metrics.counter("stoq_resent_bytes_total",
                              "UDP payload that was sent again because packets were lost")),
      congestion_events_(metrics.counter("stoq_congestion_events_total",
                                         "Losses that made a congestion window shrink")),
      misdirected_(metrics.counter("stoq_misdirected_datagrams_total",
                                   "Datagrams that were handed over to another core")) {
  for (std::size_t i = 0; i < handshakes_.size(); ++i) {
    handshakes_[i] = &metrics.counter("stoq_handshakes_total", "Handshakes by how they ended",
                                      {{"result", std::string(name_of(quic::Handshake(i)))}});
  }
  refresh_ = metrics.before_exposing([this] { refresh(); });
}

void TransportMetrics::refresh() {
  const TransportTotals totals = transport_.totals();
  const auto add = [](base::Counter& to, std::uint64_t now, std::uint64_t before) {
    to.add(static_cast<double>(now - before));
  };
  add(sent_, totals.bytes_sent, shown_.bytes_sent);
  add(received_, totals.bytes_received, shown_.bytes_received);
  add(resent_, totals.bytes_resent, shown_.bytes_resent);
  add(congestion_events_, totals.congestion_events, shown_.congestion_events);
  add(misdirected_, totals.misdirected, shown_.misdirected);
  for (std::size_t i = 0; i < handshakes_.size(); ++i)
    add(*handshakes_[i], totals.handshakes[i], shown_.handshakes[i]);
  const auto now = clock_.now();
  const std::uint64_t bytes =
      totals.bytes_sent - shown_.bytes_sent + totals.bytes_received - shown_.bytes_received;
  if (now > shown_at_)
    throughput_.set(static_cast<double>(bytes) * 8e-9 / seconds(now - shown_at_));
  latency_.set(seconds(totals.round_trip_p99));
  connections_.set(static_cast<double>(totals.connections));
  shown_ = totals;
  shown_at_ = now;
}

}  // namespace stoq
