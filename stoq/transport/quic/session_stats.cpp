#include "transport/quic/native.hpp"

// What a session tells of itself.

namespace stoq::quic {

namespace {

base::Duration span(ngtcp2_duration duration) {
  return base::Duration(static_cast<std::int64_t>(duration));
}

}  // namespace

ConnectionStats Session::stats() const {
  ConnectionStats made;
  made.bytes_sent = counted_.sent;
  made.bytes_received = counted_.received;
  made.bytes_resent = counted_.resent;
  made.congestion_events = counted_.congestion_events;
  made.keys_renewed = counted_.keys_renewed;
  made.handshake = handshake_;
  made.resumed = resumed();
  made.early_accepted = early_accepted();
  made.cipher = tls_->cipher();
  if (conn_ == nullptr) return made;
  ngtcp2_conn_stat path;
  ngtcp2_conn_get_conn_stat(conn_, &path);
  made.rtt = span(path.smoothed_rtt);
  made.rtt_min = path.min_rtt == UINT64_MAX ? base::Duration() : span(path.min_rtt);
  made.rtt_variation = span(path.rttvar);
  made.congestion_window = path.cwnd;
  made.bytes_in_flight = path.bytes_in_flight;
  made.streams = streams_.size();
  made.packet_bytes = ngtcp2_conn_get_path_max_tx_udp_payload_size(conn_);
  return made;
}

// Once a burst: the library tells of losses by what the congestion controller made of them.
void Session::count_sent(const Burst& burst) {
  counted_.sent += burst.bytes;
  if (conn_ == nullptr) return;
  ngtcp2_conn_stat path;
  ngtcp2_conn_get_conn_stat(conn_, &path);
  if (path.congestion_recovery_start_ts == recovery_ ||
      path.congestion_recovery_start_ts == UINT64_MAX)
    return;
  recovery_ = path.congestion_recovery_start_ts;
  ++counted_.congestion_events;
}

// A packet that is nearly full although we gave it little carries stream data once more.
void Session::count_resent(std::size_t packet_bytes, std::uint64_t given_bytes) {
  constexpr std::uint64_t kAround = 200;   // Headers, the tag, acknowledgements.
  const bool first = counted_.given == 0;  // Before it, what is large is the handshake's.
  counted_.given += given_bytes;
  if (first || packet_bytes <= given_bytes + kAround) return;
  const bool probes_mtu = packet_bytes > ngtcp2_conn_get_path_max_tx_udp_payload_size(conn_);
  if (!probes_mtu) counted_.resent += packet_bytes - given_bytes;
}

}  // namespace stoq::quic
