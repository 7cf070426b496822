#pragma once

#include <sodium.h>

#include <cstring>

#include "transport/quic/cipher.hpp"

namespace stoq::quic {

/// Header protection of ChaCha20 (RFC 9001, section 5.4.4): the sample is the block counter and the
/// nonce. libsodium, for both engines: it is the one that lets a caller choose the counter.
class ChaCha20HeaderKey final : public HeaderKey {
 public:
  explicit ChaCha20HeaderKey(base::BytesView key) { std::memcpy(key_, key.data(), sizeof key_); }
  ~ChaCha20HeaderKey() override { sodium_memzero(key_, sizeof key_); }

  void mask(std::uint8_t* mask, const std::uint8_t* sample) const override {
    static constexpr std::uint8_t kZeros[kMaskBytes]{};
    const std::uint32_t counter = std::uint32_t{sample[0]} | std::uint32_t{sample[1]} << 8 |
                                  std::uint32_t{sample[2]} << 16 | std::uint32_t{sample[3]} << 24;
    crypto_stream_chacha20_ietf_xor_ic(mask, kZeros, kMaskBytes, sample + 4, counter, key_);
  }

 private:
  std::uint8_t key_[crypto_stream_chacha20_ietf_KEYBYTES];
};

}  // namespace stoq::quic
