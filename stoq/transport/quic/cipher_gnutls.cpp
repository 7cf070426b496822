#include <gnutls/crypto.h>

#include <base/crypto.hpp>

#include "transport/quic/cipher.hpp"
#include "transport/quic/header_chacha20.hpp"

namespace stoq::quic {
namespace {

gnutls_datum_t datum(base::BytesView bytes) {
  // GnuTLS reads it only.
  return {const_cast<std::uint8_t*>(bytes.data()), static_cast<unsigned>(bytes.size())};
}

class AeadKey final : public PacketKey {
 public:
  AeadKey(Cipher cipher, base::BytesView key) {
    const auto key_datum = datum(key);
    const int made = gnutls_aead_cipher_init(
        &handle_,
        cipher == Cipher::Aes128Gcm ? GNUTLS_CIPHER_AES_128_GCM : GNUTLS_CIPHER_CHACHA20_POLY1305,
        &key_datum);
    BASE_ASSERT(made == 0, "GnuTLS has the cipher");
  }
  ~AeadKey() override { gnutls_aead_cipher_deinit(handle_); }
  AeadKey(const AeadKey&) = delete;

  void seal(std::uint8_t* out, base::BytesView plain, const std::uint8_t* nonce,
            base::BytesView header) const override {
    std::size_t written = plain.size() + kTagBytes;
    const int sealed =
        gnutls_aead_cipher_encrypt(handle_, nonce, kNonceBytes, header.data(), header.size(),
                                   kTagBytes, plain.data(), plain.size(), out, &written);
    BASE_ASSERT(sealed == 0, "sealing cannot fail");
  }

  bool open(std::uint8_t* out, base::BytesView sealed, const std::uint8_t* nonce,
            base::BytesView header) const override {
    if (sealed.size() < kTagBytes) return false;
    std::size_t written = sealed.size();
    return gnutls_aead_cipher_decrypt(handle_, nonce, kNonceBytes, header.data(), header.size(),
                                      kTagBytes, sealed.data(), sealed.size(), out, &written) == 0;
  }

 private:
  gnutls_aead_cipher_hd_t handle_ = nullptr;
};

class AesHeaderKey final : public HeaderKey {
 public:
  explicit AesHeaderKey(base::BytesView key) {
    const auto key_datum = datum(key);
    const auto iv = datum(kZeros);
    const int made = gnutls_cipher_init(&handle_, GNUTLS_CIPHER_AES_128_CBC, &key_datum, &iv);
    BASE_ASSERT(made == 0, "GnuTLS has the cipher");
  }
  ~AesHeaderKey() override { gnutls_cipher_deinit(handle_); }
  AesHeaderKey(const AesHeaderKey&) = delete;

  // One block of CBC with a vector of zeros is the cipher's output for the sample.
  void mask(std::uint8_t* mask, const std::uint8_t* sample) const override {
    std::uint8_t block[kSampleBytes];
    gnutls_cipher_set_iv(handle_, const_cast<std::uint8_t*>(kZeros), sizeof kZeros);
    const int made = gnutls_cipher_encrypt2(handle_, sample, kSampleBytes, block, sizeof block);
    BASE_ASSERT(made == 0, "GnuTLS has the cipher");
    std::memcpy(mask, block, kMaskBytes);
  }

 private:
  static constexpr std::uint8_t kZeros[kSampleBytes]{};
  gnutls_cipher_hd_t handle_ = nullptr;
};

class GnuTls final : public CipherEngine {
 public:
  std::string_view name() const override { return "gnutls"; }
  std::unique_ptr<PacketKey> packet_key(Cipher cipher, base::BytesView key) const override {
    BASE_ASSERT(key.size() == key_bytes(cipher), "a key has the length of its cipher");
    return std::make_unique<AeadKey>(cipher, key);
  }
  std::unique_ptr<HeaderKey> header_key(Cipher cipher, base::BytesView key) const override {
    BASE_ASSERT(key.size() == key_bytes(cipher), "a key has the length of its cipher");
    if (cipher == Cipher::Aes128Gcm) return std::make_unique<AesHeaderKey>(key);
    return std::make_unique<ChaCha20HeaderKey>(key);
  }
};

}  // namespace

const CipherEngine& gnutls_engine() {
  static const GnuTls engine;
  return engine;
}

const CipherEngine& fastest_engine() {
  const CipherEngine* fast = ipsec_mb_engine();
  return fast != nullptr ? *fast : gnutls_engine();
}

}  // namespace stoq::quic
