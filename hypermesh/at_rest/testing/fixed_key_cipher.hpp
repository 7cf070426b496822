#pragma once

#include <array>
#include <atomic>
#include <base/crypto.hpp>
#include <base/random.hpp>
#include <cstdint>

#include "at_rest/record_cipher.hpp"

namespace hypermesh::at_rest {

/// One key and nonces that follow from `seed`: the same calls give the same bytes. For tests and
/// simulation; two ciphers of different seeds do not open each other's records.
class FixedKeyCipher final : public RecordCipher {
 public:
  explicit FixedKeyCipher(std::uint64_t seed = 1) : seed_(seed) {
    base::SeededRng rng(seed);
    rng.fill(key_);
  }

  base::Bytes seal(base::BytesView plain, base::BytesView context) override {
    base::SeededRng nonce(seed_ + sealed_.fetch_add(1) + 1);
    return base::seal(key_, plain, context, nonce);
  }
  base::Result<base::Bytes> open(base::BytesView sealed, base::BytesView context) const override {
    return base::open_sealed(key_, sealed, context);
  }

 private:
  std::array<std::uint8_t, base::kSealKeyBytes> key_{};
  std::uint64_t seed_;
  std::atomic<std::uint64_t> sealed_ = 0;
};

}  // namespace hypermesh::at_rest
