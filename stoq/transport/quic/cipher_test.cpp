#include "transport/quic/cipher.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <base/random.hpp>

namespace stoq::quic {
namespace {

base::Bytes hex(std::string_view text) {
  return *base::from_hex(text);
}

std::vector<const CipherEngine*> engines() {
  std::vector<const CipherEngine*> found{&gnutls_engine()};
  if (const CipherEngine* fast = ipsec_mb_engine()) found.push_back(fast);
  return found;
}

std::string mask_hex(const HeaderKey& key, const base::Bytes& sample) {
  std::uint8_t mask[kMaskBytes];
  key.mask(mask, sample.data());
  return base::to_hex(mask);
}

// RFC 9001, appendix A.2: the protection of the client's first Initial packet.
TEST(Cipher, HidesTheHeaderOfAnInitialAsTheStandardShows) {
  for (const CipherEngine* engine : engines()) {
    const auto key = engine->header_key(Cipher::Aes128Gcm, hex("9f50449e04a0e810283a1e9933adedd2"));
    EXPECT_EQ(mask_hex(*key, hex("d1b1c98dd7689fb8ec11d242b123dc9b")), "437b9aec36")
        << engine->name();
  }
}

// RFC 9001, appendix A.3: the server's Initial.
TEST(Cipher, SealsAnInitialAsTheStandardShows) {
  const auto plain =
      hex("02000000000600405a020000560303eefce7f7b37ba1d1632e96677825ddf739"
          "88cfc79825df566dc5430b9a045a1200130100002e00330024001d00209d3c94"
          "0d89690b84d08a60993c144eca684d1081287c834d5311bcf32bb9da1a002b00"
          "020304");
  const auto header = hex("c1000000010008f067a5502a4262b50040750001");
  const auto sealed =
      hex("5a482cd0991cd25b0aac406a5816b6394100f37a1c69797554780bb38cc5a99f"
          "5ede4cf73c3ec2493a1839b3dbcba3f6ea46c5b7684df3548e7ddeb9c3bf9c73"
          "cc3f3bded74b562bfb19fb84022f8ef4cdd93795d77d06edbb7aaf2f58891850"
          "abbdca3d20398c276456cbc42158407dd074ee");
  auto nonce = hex("0ac1493ca1905853b0bba03e");
  nonce.back() ^= 1;  // Packet number 1.
  for (const CipherEngine* engine : engines()) {
    const auto key = engine->packet_key(Cipher::Aes128Gcm, hex("cf3a5331653c364c88f0f379b6067e37"));
    base::Bytes out(plain.size() + kTagBytes);
    key->seal(out.data(), plain, nonce.data(), header);
    EXPECT_EQ(base::to_hex(out), base::to_hex(sealed)) << engine->name();
    base::Bytes back(plain.size());
    EXPECT_TRUE(key->open(back.data(), sealed, nonce.data(), header)) << engine->name();
    EXPECT_EQ(back, plain);
  }
}

// RFC 9001, appendix A.5: a short packet under ChaCha20-Poly1305.
TEST(Cipher, ProtectsAShortPacketWithChaCha20AsTheStandardShows) {
  for (const CipherEngine* engine : engines()) {
    const auto key =
        engine->packet_key(Cipher::ChaCha20Poly1305,
                           hex("c6d98ff3441c3fe1b2182094f69caa2ed4b716b65488960a7a984979fb23e1c8"));
    base::Bytes out(1 + kTagBytes);
    const auto nonce = hex("e0459b3474bdd0e46d417eb0");
    key->seal(out.data(), hex("01"), nonce.data(), hex("4200bff4"));
    EXPECT_EQ(base::to_hex(out), "655e5cd55c41f69080575d7999c25a5bfb") << engine->name();
    const auto header =
        engine->header_key(Cipher::ChaCha20Poly1305,
                           hex("25a282b9e82f06f21f488917a4fc8f1b73573685608597d0efcb076b0ab7a7a4"));
    EXPECT_EQ(mask_hex(*header, hex("5e5cd55c41f69080575d7999c25a5bfb")), "aefefe7d03");
  }
}

class EveryCipher : public testing::TestWithParam<Cipher> {
 protected:
  base::SeededRng rng_{7};
  base::Bytes bytes(std::size_t count) {
    base::Bytes out(count);
    rng_.fill(out);
    return out;
  }
};

TEST_P(EveryCipher, TheEnginesAgreeOnEveryLength) {
  const CipherEngine* fast = ipsec_mb_engine();
  if (fast == nullptr) GTEST_SKIP() << "this CPU has no AES instructions";
  const auto secret = bytes(key_bytes(GetParam())), nonce = bytes(kNonceBytes);
  const auto a = fast->packet_key(GetParam(), secret),
             b = gnutls_engine().packet_key(GetParam(), secret);
  const auto mask_a = fast->header_key(GetParam(), secret),
             mask_b = gnutls_engine().header_key(GetParam(), secret);
  for (std::size_t size = 0; size < 1500; ++size) {
    const auto plain = bytes(size), header = bytes(1 + size % 40);
    base::Bytes one(size + kTagBytes), two(size + kTagBytes);
    a->seal(one.data(), plain, nonce.data(), header);
    b->seal(two.data(), plain, nonce.data(), header);
    ASSERT_EQ(one, two) << size;
    // In place, as the transport does it.
    ASSERT_TRUE(a->open(one.data(), two, nonce.data(), header)) << size;
    ASSERT_TRUE(b->open(two.data(), two, nonce.data(), header)) << size;
    one.resize(size);
    two.resize(size);
    ASSERT_EQ(one, plain);
    ASSERT_EQ(two, plain);
    const auto sample = bytes(kSampleBytes);
    ASSERT_EQ(mask_hex(*mask_a, sample), mask_hex(*mask_b, sample));
  }
}

TEST_P(EveryCipher, AChangedPacketIsRefused) {
  for (const CipherEngine* engine : engines()) {
    const auto key = engine->packet_key(GetParam(), bytes(key_bytes(GetParam())));
    for (int round = 0; round < 2000; ++round) {
      const auto plain = bytes(rng_.below(1400)), header = bytes(12);
      auto nonce = bytes(kNonceBytes);
      base::Bytes sealed(plain.size() + kTagBytes), out(plain.size() + kTagBytes);
      key->seal(sealed.data(), plain, nonce.data(), header);
      auto changed_header = header;
      switch (rng_.below(3)) {
        case 0:
          sealed[rng_.below(sealed.size())] ^= 1 << rng_.below(8);
          break;
        case 1:
          changed_header[rng_.below(header.size())] ^= 1 << rng_.below(8);
          break;
        default:
          nonce[rng_.below(nonce.size())] ^= 1 << rng_.below(8);
          break;
      }
      ASSERT_FALSE(key->open(out.data(), sealed, nonce.data(), changed_header)) << engine->name();
    }
    base::Bytes out(kTagBytes);
    for (std::size_t size = 0; size < kTagBytes; ++size)
      EXPECT_FALSE(key->open(out.data(), bytes(size), bytes(kNonceBytes).data(), {}));
  }
}

INSTANTIATE_TEST_SUITE_P(Cipher, EveryCipher,
                         testing::Values(Cipher::Aes128Gcm, Cipher::ChaCha20Poly1305));

}  // namespace
}  // namespace stoq::quic
