#include "transport/quic/meters.hpp"

namespace stoq::quic {

std::string_view name_of(Handshake result) {
  constexpr std::string_view kNames[] = {"full",         "resumed",   "retried", "refused",
                                         "not_verified", "timed_out", "failed"};
  static_assert(std::size(kNames) == kHandshakeResults);
  return kNames[static_cast<std::size_t>(result)];
}

void Meters::add(const ConnectionStats& now, const ConnectionStats& before) {
  add(bytes_sent, now.bytes_sent - before.bytes_sent);
  add(bytes_received, now.bytes_received - before.bytes_received);
  add(bytes_resent, now.bytes_resent - before.bytes_resent);
  add(congestion_events, now.congestion_events - before.congestion_events);
}

}  // namespace stoq::quic
