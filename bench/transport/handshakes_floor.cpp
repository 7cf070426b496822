// handshakes_floor COUNT: what a full handshake costs a server in public-key operations alone: two
// of X25519 (its key pair and the shared secret), one Ed25519 signature, two verifications (the
// client's and its certificate's), by OpenSSL. Prints how many a core second does.

#include <openssl/evp.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "process.hpp"

namespace {

using namespace bench;

constexpr std::uint8_t kMessage[130]{};  // As long as what CertificateVerify signs.

void exchange(EVP_PKEY* peer) {
  EVP_PKEY* own = EVP_PKEY_Q_keygen(nullptr, nullptr, "X25519");
  EVP_PKEY_CTX* context = EVP_PKEY_CTX_new(own, nullptr);
  std::uint8_t secret[32];
  std::size_t size = sizeof secret;
  must(EVP_PKEY_derive_init(context) == 1 && EVP_PKEY_derive_set_peer(context, peer) == 1 &&
           EVP_PKEY_derive(context, secret, &size) == 1,
       "X25519");
  EVP_PKEY_CTX_free(context);
  EVP_PKEY_free(own);
}

void sign(EVP_MD_CTX* context, EVP_PKEY* key, std::uint8_t (&signature)[64]) {
  std::size_t size = sizeof signature;
  EVP_MD_CTX_reset(context);
  must(EVP_DigestSignInit(context, nullptr, nullptr, nullptr, key) == 1 &&
           EVP_DigestSign(context, signature, &size, kMessage, sizeof kMessage) == 1,
       "sign");
}

void verify(EVP_MD_CTX* context, EVP_PKEY* key, const std::uint8_t (&signature)[64]) {
  EVP_MD_CTX_reset(context);
  must(EVP_DigestVerifyInit(context, nullptr, nullptr, nullptr, key) == 1 &&
           EVP_DigestVerify(context, signature, sizeof signature, kMessage, sizeof kMessage) == 1,
       "verify");
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) die("usage: handshakes_floor COUNT");
  const int count = std::atoi(argv[1]);
  pin(1);
  EVP_PKEY* const peer = EVP_PKEY_Q_keygen(nullptr, nullptr, "X25519");
  EVP_PKEY* const key = EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519");
  EVP_MD_CTX* const context = EVP_MD_CTX_new();
  std::uint8_t signature[64];
  const double start = cpu_seconds();
  for (int i = 0; i < count; ++i) {
    exchange(peer);
    sign(context, key, signature);
    for (int n = 0; n < 2; ++n) verify(context, key, signature);
  }
  std::printf("%.1f\n", count / (cpu_seconds() - start));
  EVP_MD_CTX_free(context);
  EVP_PKEY_free(key);
  EVP_PKEY_free(peer);
  return 0;
}
