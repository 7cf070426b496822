#define NO_COMPAT_IMB_API_053
#include <intel-ipsec-mb.h>
#include <sodium.h>

#include <base/crypto.hpp>
#include <cstring>

#include "transport/quic/cipher.hpp"
#include "transport/quic/header_chacha20.hpp"

namespace stoq::quic {
namespace {

constexpr std::uint64_t kCpuNeeds = IMB_FEATURE_AESNI | IMB_FEATURE_PCLMULQDQ | IMB_FEATURE_SSE4_2;

// Only its table of functions is used, which do not touch it: one serves every thread.
IMB_MGR* manager() {
  static IMB_MGR* const made = [] {
    IMB_MGR* mgr = alloc_mb_mgr(0);
    if (mgr != nullptr) init_mb_mgr_auto(mgr, nullptr);
    return mgr;
  }();
  return made;
}

// In a time that does not depend on where they differ.
bool equal(const std::uint8_t* tag, const std::uint8_t* other) {
  std::uint64_t a[2], b[2];
  static_assert(sizeof a == kTagBytes);
  std::memcpy(a, tag, sizeof a);
  std::memcpy(b, other, sizeof b);
  return ((a[0] ^ b[0]) | (a[1] ^ b[1])) == 0;
}

class GcmKey final : public PacketKey {
 public:
  explicit GcmKey(base::BytesView key) { IMB_AES128_GCM_PRE(manager(), key.data(), &key_); }
  ~GcmKey() override { sodium_memzero(&key_, sizeof key_); }

  void seal(std::uint8_t* out, base::BytesView plain, const std::uint8_t* nonce,
            base::BytesView header) const override {
    gcm_context_data context;
    IMB_AES128_GCM_ENC(manager(), &key_, &context, out, plain.data(), plain.size(), nonce,
                       header.data(), header.size(), out + plain.size(), kTagBytes);
  }

  bool open(std::uint8_t* out, base::BytesView sealed, const std::uint8_t* nonce,
            base::BytesView header) const override {
    if (sealed.size() < kTagBytes) return false;
    const std::size_t size = sealed.size() - kTagBytes;
    // Decrypting in place leaves the tag, which lies behind, as it came.
    std::uint8_t tag[kTagBytes];
    gcm_context_data context;
    IMB_AES128_GCM_DEC(manager(), &key_, &context, out, sealed.data(), size, nonce, header.data(),
                       header.size(), tag, kTagBytes);
    return equal(tag, sealed.data() + size);
  }

 private:
  alignas(64) gcm_key_data key_;
};

class ChaChaKey final : public PacketKey {
 public:
  explicit ChaChaKey(base::BytesView key) { std::memcpy(key_, key.data(), sizeof key_); }
  ~ChaChaKey() override { sodium_memzero(key_, sizeof key_); }

  void seal(std::uint8_t* out, base::BytesView plain, const std::uint8_t* nonce,
            base::BytesView header) const override {
    chacha20_poly1305_context_data context;
    IMB_CHACHA20_POLY1305_INIT(manager(), key_, &context, nonce, header.data(), header.size());
    IMB_CHACHA20_POLY1305_ENC_UPDATE(manager(), key_, &context, out, plain.data(), plain.size());
    IMB_CHACHA20_POLY1305_ENC_FINALIZE(manager(), &context, out + plain.size(), kTagBytes);
    sodium_memzero(&context, sizeof context);
  }

  bool open(std::uint8_t* out, base::BytesView sealed, const std::uint8_t* nonce,
            base::BytesView header) const override {
    if (sealed.size() < kTagBytes) return false;
    const std::size_t size = sealed.size() - kTagBytes;
    std::uint8_t tag[kTagBytes];
    chacha20_poly1305_context_data context;
    IMB_CHACHA20_POLY1305_INIT(manager(), key_, &context, nonce, header.data(), header.size());
    IMB_CHACHA20_POLY1305_DEC_UPDATE(manager(), key_, &context, out, sealed.data(), size);
    IMB_CHACHA20_POLY1305_DEC_FINALIZE(manager(), &context, tag, kTagBytes);
    sodium_memzero(&context, sizeof context);
    return equal(tag, sealed.data() + size);
  }

 private:
  std::uint8_t key_[32];
};

class AesHeaderKey final : public HeaderKey {
 public:
  explicit AesHeaderKey(base::BytesView key) {
    alignas(16) std::uint8_t unused[16 * 11];
    IMB_AES_KEYEXP_128(manager(), key.data(), round_keys_, unused);
    sodium_memzero(unused, sizeof unused);
  }
  ~AesHeaderKey() override { sodium_memzero(round_keys_, sizeof round_keys_); }

  // One block of CFB over zeros is the cipher's output for the sample.
  void mask(std::uint8_t* mask, const std::uint8_t* sample) const override {
    static constexpr std::uint8_t kZeros[kMaskBytes]{};
    IMB_AES128_CFB_ONE(manager(), mask, kZeros, sample, round_keys_, kMaskBytes);
  }

 private:
  alignas(16) std::uint8_t round_keys_[16 * 11];
};

class IpsecMb final : public CipherEngine {
 public:
  std::string_view name() const override { return "ipsec-mb"; }
  std::unique_ptr<PacketKey> packet_key(Cipher cipher, base::BytesView key) const override {
    BASE_ASSERT(key.size() == key_bytes(cipher), "a key has the length of its cipher");
    if (cipher == Cipher::Aes128Gcm) return std::make_unique<GcmKey>(key);
    return std::make_unique<ChaChaKey>(key);
  }
  std::unique_ptr<HeaderKey> header_key(Cipher cipher, base::BytesView key) const override {
    BASE_ASSERT(key.size() == key_bytes(cipher), "a key has the length of its cipher");
    if (cipher == Cipher::Aes128Gcm) return std::make_unique<AesHeaderKey>(key);
    return std::make_unique<ChaCha20HeaderKey>(key);
  }
};

}  // namespace

const CipherEngine* ipsec_mb_engine() {
  static const IpsecMb engine;
  static const bool served = manager() != nullptr && (manager()->features & kCpuNeeds) == kCpuNeeds;
  return served ? &engine : nullptr;
}

}  // namespace stoq::quic
