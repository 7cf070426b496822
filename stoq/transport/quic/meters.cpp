#include "transport/quic/meters.hpp"

namespace stoq::quic {

std::string_view name_of(Handshake result) {
  constexpr std::string_view kNames[] = {"full",         "resumed",   "retried", "refused",
                                         "not_verified", "timed_out", "failed"};
  static_assert(std::size(kNames) == kHandshakeResults);
  return kNames[static_cast<std::size_t>(result)];
}

void Meters::add(const SessionCounts& now, const SessionCounts& before) {
  add(bytes_sent, now.sent - before.sent);
  add(bytes_received, now.received - before.received);
  add(bytes_resent, now.resent - before.resent);
  add(congestion_events, now.congestion_events - before.congestion_events);
}

}  // namespace stoq::quic
