#include "transport/quic/reset_token.hpp"

#include <sodium.h>

namespace stoq::quic {

void reset_token(std::uint8_t* token, const base::Digest& secret, base::BytesView id) {
  static_assert(kResetTokenBytes >= crypto_generichash_BYTES_MIN);
  const int made = crypto_generichash(token, kResetTokenBytes, id.data(), id.size(), secret.data(),
                                      secret.size());
  BASE_ASSERT(made == 0, "the sizes are allowed");
}

}  // namespace stoq::quic
