#include "ed25519/known_key.hpp"

#include <gtest/gtest.h>
#include <sodium.h>

#include <base/random.hpp>

#include "ed25519/point.hpp"

namespace base::ed25519 {
namespace {

std::array<std::uint8_t, 32> compress(const Point& point) {
  const Field over_z = invert(point.z);
  auto bytes = encode(mul(point.y, over_z));
  if (is_odd(mul(point.x, over_z))) bytes[31] |= 0x80;
  return bytes;
}

PublicKey key_of(const std::array<std::uint8_t, 32>& bytes) {
  PublicKey key;
  std::ranges::copy(bytes, key.begin());
  return key;
}

// What both say, which must be the same.
bool verdict(const PublicKey& key, BytesView message, const Signature& signature) {
  const auto known = KnownKey::make(key);
  const bool ours = known && known->verify(message, signature);
  EXPECT_EQ(ours, verify(key, message, signature))
      << to_hex(key) << " " << to_hex(message) << " " << to_hex(signature);
  return ours;
}

// Of order 8: the base point's multiples have none, other points have a part of it.
Point point_of_order_8() {
  for (std::uint8_t seed = 2;; ++seed) {
    std::array<std::uint8_t, 32> bytes{seed};
    const auto point = decompress(bytes);
    if (!point) continue;
    // The order of the base point, as bits: what is left of a multiple by it divides 8.
    Point left = Point::identity();
    constexpr std::array<std::uint64_t, 4> kOrder{0x5812631a5cf5d3ed, 0x14def9dea2f79cd6, 0,
                                                  0x1000000000000000};
    for (int bit = 252; bit >= 0; --bit) {
      left = twice(left);
      if ((kOrder[static_cast<std::size_t>(bit / 64)] >> (bit % 64) & 1) != 0)
        left = add(left, *point);
    }
    if (!is_identity(twice(twice(left)))) return left;
  }
}

TEST(KnownKey, AcceptsWhatTheKeySignedAndNothingElse) {
  SeededRng rng(1);
  for (int i = 0; i < 40; ++i) {
    const SigningKey key = SigningKey::generate(rng);
    Bytes message(rng.below(300));
    rng.fill(message);
    Signature signature = key.sign(message);
    EXPECT_TRUE(verdict(key.public_key(), message, signature));
    message.push_back(1);
    EXPECT_FALSE(verdict(key.public_key(), message, signature));
    message.pop_back();
    EXPECT_FALSE(verdict(SigningKey::generate(rng).public_key(), message, signature));
    const std::size_t bit = rng.below(512);
    signature[bit / 8] ^= static_cast<std::uint8_t>(1U << (bit % 8));
    EXPECT_FALSE(verdict(key.public_key(), message, signature));
  }
}

TEST(KnownKey, RefusesASecondFormOfASignature) {
  SeededRng rng(2);
  const SigningKey key = SigningKey::generate(rng);
  const Bytes message{1, 2, 3};
  Signature signature = key.sign(message);
  // S and the order of the base point.
  constexpr std::array<std::uint8_t, 16> kOrderLow{0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58,
                                                   0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14};
  unsigned carry = 0;
  for (std::size_t i = 0; i < 32; ++i) {
    const unsigned sum =
        signature[32 + i] + (i < 16 ? kOrderLow[i] : 0U) + (i == 31 ? 0x10U : 0U) + carry;
    signature[32 + i] = static_cast<std::uint8_t>(sum);
    carry = sum >> 8;
  }
  EXPECT_FALSE(verdict(key.public_key(), message, signature));
}

// Keys and R of small order, and encodings of numbers that are not below p.
TEST(KnownKey, AgreesAboutPointsThatNobodyShouldUse) {
  std::vector<std::array<std::uint8_t, 32>> odd_ones;
  Point multiple = Point::identity();
  const Point eighth = point_of_order_8();
  for (int i = 0; i < 8; ++i) {
    odd_ones.push_back(compress(multiple));
    odd_ones.push_back(odd_ones.back());
    odd_ones.back()[31] ^= 0x80;
    multiple = add(multiple, eighth);
  }
  EXPECT_TRUE(is_identity(multiple));
  for (std::uint8_t low = 0xec; low != 0; ++low) {  // From p - 1 on.
    std::array<std::uint8_t, 32> bytes;
    bytes.fill(0xff);
    bytes[0] = low;
    odd_ones.push_back(bytes);
    bytes[31] = 0x7f;
    odd_ones.push_back(bytes);
  }
  SeededRng rng(3);
  const SigningKey key = SigningKey::generate(rng);
  const Bytes message{7};
  for (const auto& odd : odd_ones) {
    Signature signature = key.sign(message);
    (void)verdict(key_of(odd), message, signature);
    std::ranges::copy(odd, signature.begin());
    (void)verdict(key.public_key(), message, signature);
    for (const auto& other : odd_ones) (void)verdict(key_of(other), message, signature);
    std::fill(signature.begin() + 32, signature.end(), 0);
    (void)verdict(key_of(odd), message, signature);
    (void)verdict(key.public_key(), message, signature);
  }
}

// A key with a part of small order: some of its signatures are good, and both know which.
TEST(KnownKey, AgreesAboutKeysOutsideTheMainSubgroup) {
  SeededRng rng(4);
  const Point eighth = point_of_order_8();
  std::array<std::uint8_t, 32> secret{}, image{};
  rng.fill(secret);
  crypto_core_ed25519_scalar_reduce(secret.data(), Bytes(64, secret[0]).data());
  ASSERT_EQ(crypto_scalarmult_ed25519_base_noclamp(image.data(), secret.data()), 0);
  const PublicKey key = key_of(compress(add(*decompress(image), eighth)));
  int good = 0;
  for (std::uint8_t attempt = 0; attempt < 64; ++attempt) {
    std::array<std::uint8_t, 32> nonce{}, r{}, h{}, s{};
    nonce[0] = attempt;
    nonce[1] = 1;
    ASSERT_EQ(crypto_scalarmult_ed25519_base_noclamp(r.data(), nonce.data()), 0);
    Bytes hashed(r.begin(), r.end());
    hashed.insert(hashed.end(), key.begin(), key.end());
    std::array<std::uint8_t, 64> hash{};
    crypto_hash_sha512(hash.data(), hashed.data(), hashed.size());
    crypto_core_ed25519_scalar_reduce(h.data(), hash.data());
    crypto_core_ed25519_scalar_mul(s.data(), h.data(), secret.data());
    crypto_core_ed25519_scalar_add(s.data(), s.data(), nonce.data());
    Signature signature;
    std::ranges::copy(r, signature.begin());
    std::ranges::copy(s, signature.begin() + 32);
    good += verdict(key, {}, signature) ? 1 : 0;
  }
  EXPECT_GT(good, 0);
  EXPECT_LT(good, 64);
}

TEST(Field, InvertsAndKeepsOneEncoding) {
  SeededRng rng(5);
  for (int i = 0; i < 200; ++i) {
    std::array<std::uint8_t, 32> bytes{};
    rng.fill(bytes);
    bytes[31] &= 0x7f;
    const auto number = decode(bytes);
    ASSERT_TRUE(number);
    EXPECT_EQ(encode(*number), bytes);
    EXPECT_TRUE(equal(mul(*number, invert(*number)), Field::of(1)));
    EXPECT_TRUE(equal(square(*number), mul(*number, *number)));
    EXPECT_TRUE(is_zero(sub(*number, *number)));
  }
  EXPECT_TRUE(is_zero(invert(Field{})));
}

}  // namespace
}  // namespace base::ed25519
