#include <algorithm>
#include <base/bytes.hpp>

#include "ed25519/known_key.hpp"

// Any key, signature and message: the verdict is that of libsodium.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  base::PublicKey key;
  base::Signature signature;
  if (size < key.size() + signature.size()) return 0;
  std::copy_n(data, key.size(), key.begin());
  std::copy_n(data + key.size(), signature.size(), signature.begin());
  const base::BytesView message(data + key.size() + signature.size(),
                                size - key.size() - signature.size());
  const auto known = base::ed25519::KnownKey::make(key);
  if ((known && known->verify(message, signature)) != base::verify(key, message, signature))
    __builtin_trap();
  return 0;
}
