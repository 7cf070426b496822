#pragma once

// Which keys protect which packets (RFC 9001, section 5): derives them from TLS secrets and gives
// them to ngtcp2, whose packets CipherEngine then seals and opens at every level.

#include <gnutls/gnutls.h>
#include <ngtcp2/ngtcp2.h>

#include "transport/quic/cipher.hpp"

namespace stoq::quic {

/// What the callbacks expect as ngtcp2's user data: a pointer to this part of a connection.
struct Protected {
  const CipherEngine* engine = nullptr;
};

/// Sets every callback that concerns keys and protection.
void set_protection_callbacks(ngtcp2_callbacks& callbacks);

/// Installs what TLS derived for one level: `read` opens the peer's packets, `write` seals ours;
/// either may be null. False when a key cannot be used, which ends the handshake.
bool install_secrets(ngtcp2_conn* conn, const CipherEngine& engine, gnutls_session_t session,
                     gnutls_record_encryption_level_t level, const void* read, const void* write,
                     std::size_t secret_bytes);

}  // namespace stoq::quic
