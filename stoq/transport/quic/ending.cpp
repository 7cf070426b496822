#include "transport/quic/ending.hpp"

#include <fmt/format.h>

namespace stoq::quic {

using base::Errc;
using base::make_error;

namespace {

// TLS alerts (RFC 8446, section 6) are QUIC errors from here on (RFC 9001, section 4.8).
constexpr std::uint64_t kAlerts = 0x100, kAlertsEnd = 0x200;

Errc code_of(std::uint64_t alert) {
  const bool certificates =
      (alert >= 41 && alert <= 46) || alert == 48 || alert == 49 || alert == 51 || alert == 116;
  if (certificates) return Errc::NotVerified;
  return alert == GNUTLS_A_NO_APPLICATION_PROTOCOL ? Errc::InvalidArgument : Errc::Unavailable;
}

// A peer may send numbers that have no name.
std::string name_of(std::uint64_t alert) {
  const char* name = gnutls_alert_get_name(static_cast<gnutls_alert_description_t>(alert));
  return name != nullptr ? name : fmt::format("alert {}", alert);
}

}  // namespace

base::Error ended_by_peer(const ngtcp2_connection_close_error& why) {
  const std::string said(reinterpret_cast<const char*>(why.reason), why.reasonlen);
  const auto said_or = [&](std::string otherwise) { return said.empty() ? otherwise : said; };
  if (why.type == NGTCP2_CONNECTION_CLOSE_ERROR_CODE_TYPE_APPLICATION)
    return make_error(Errc::Unavailable, said_or("the peer closed the connection"));
  if (why.error_code == NGTCP2_CONNECTION_REFUSED) {
    return make_error(Errc::Unavailable,
                      "the peer takes no more connections: " + said_or("its limit is reached"));
  }
  if (why.error_code >= kAlerts && why.error_code < kAlertsEnd) {
    const std::uint64_t alert = why.error_code - kAlerts;
    if (alert == GNUTLS_A_NO_APPLICATION_PROTOCOL)
      return make_error(code_of(alert), "the peer speaks none of our application protocols");
    return make_error(code_of(alert), "the peer refused us: " + said_or(name_of(alert)));
  }
  return make_error(Errc::Unavailable,
                    fmt::format("the peer ended the connection with error {}: {}", why.error_code,
                                said_or("no reason")));
}

base::Error refused_by_us(std::uint8_t alert, const std::string& refusal) {
  if (!refusal.empty()) return make_error(Errc::NotVerified, refusal);
  if (alert == GNUTLS_A_NO_APPLICATION_PROTOCOL)
    return make_error(code_of(alert), "no common application protocol");
  return make_error(code_of(alert), "the handshake failed: " + name_of(alert));
}

}  // namespace stoq::quic
