#include "transport/quic/curves.hpp"

#include <dlfcn.h>
#include <sodium.h>

#include <algorithm>

// GnuTLS calls nettle for X25519 and Ed25519, several times slower than libsodium, and has no hook
// for another implementation. A program's own symbol comes before a library's: these take nettle's
// names, with nettle's meaning, as another malloc would take malloc's.

extern "C" {

void nettle_curve25519_mul(std::uint8_t* q, const std::uint8_t* n, const std::uint8_t* p) {
  // A point that gives nothing gives zeros, which TLS refuses (RFC 8446, section 7.4.2).
  if (crypto_scalarmult_curve25519(q, n, p) != 0)
    std::fill_n(q, crypto_scalarmult_curve25519_BYTES, std::uint8_t{0});
}

void nettle_curve25519_mul_g(std::uint8_t* q, const std::uint8_t* n) {
  crypto_scalarmult_curve25519_base(q, n);
}

int nettle_ed25519_sha512_verify(const std::uint8_t* key, std::size_t bytes,
                                 const std::uint8_t* message, const std::uint8_t* signature) {
  return crypto_sign_ed25519_verify_detached(signature, message, bytes, key) == 0 ? 1 : 0;
}
}

namespace stoq::quic {

bool curves_by_sodium() {
  return dlsym(RTLD_DEFAULT, "nettle_curve25519_mul") ==
             reinterpret_cast<void*>(nettle_curve25519_mul) &&
         dlsym(RTLD_DEFAULT, "nettle_ed25519_sha512_verify") ==
             reinterpret_cast<void*>(nettle_ed25519_sha512_verify);
}

}  // namespace stoq::quic
