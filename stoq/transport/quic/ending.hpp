#pragma once

#include <gnutls/gnutls.h>
#include <ngtcp2/ngtcp2.h>

#include <base/error.hpp>
#include <string>

namespace stoq::quic {

/// Why the peer ended the connection, as it says itself (RFC 9000, section 19.19).
base::Error ended_by_peer(const ngtcp2_connection_close_error& why);
/// Why our TLS refused the peer. `refusal` is what our verifier said; empty: something else.
base::Error refused_by_us(std::uint8_t alert, const std::string& refusal);

}  // namespace stoq::quic
