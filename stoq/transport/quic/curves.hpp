#pragma once

#include <cstddef>
#include <cstdint>

namespace stoq::quic {

/// Whether GnuTLS computes X25519 and verifies Ed25519 with libsodium, which halves what a
/// handshake costs. False only where the program was linked in a way that hides its symbols from
/// libraries: then it is slower, nothing else.
bool curves_by_sodium();

}  // namespace stoq::quic
