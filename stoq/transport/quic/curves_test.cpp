#include "transport/quic/curves.hpp"

#include <gtest/gtest.h>

#include <base/crypto.hpp>

extern "C" {
void nettle_curve25519_mul(std::uint8_t* q, const std::uint8_t* n, const std::uint8_t* p);
void nettle_curve25519_mul_g(std::uint8_t* q, const std::uint8_t* n);
int nettle_ed25519_sha512_verify(const std::uint8_t* key, std::size_t bytes,
                                 const std::uint8_t* message, const std::uint8_t* signature);
}

namespace stoq::quic {
namespace {

std::string product(const char* scalar, const char* point) {
  const auto n = *base::from_hex(scalar), p = *base::from_hex(point);
  base::Bytes q(32, 0xff);
  nettle_curve25519_mul(q.data(), n.data(), p.data());
  return base::to_hex(q);
}

TEST(Curves, AreThoseThatGnuTlsCalls) {
  EXPECT_TRUE(curves_by_sodium());
}

// RFC 7748, section 5.2.
TEST(Curves, X25519GivesThePublishedValues) {
  EXPECT_EQ(product("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
                    "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c"),
            "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552");
  const auto n =
      *base::from_hex("77076d0a7318a57d3c16c17251b26645df4c0c6ab2fc3a0b9b6f6c9b0f9ac2a0");
  base::Bytes own(32), base_point(32);
  base_point[0] = 9;
  nettle_curve25519_mul_g(own.data(), n.data());
  EXPECT_EQ(base::to_hex(own), product(base::to_hex(n).c_str(), base::to_hex(base_point).c_str()));
}

TEST(Curves, APointThatGivesNothingGivesZeros) {
  const std::string zeros(64, '0');
  const std::string n = "a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4";
  EXPECT_EQ(product(n.c_str(), zeros.c_str()), zeros);
  EXPECT_EQ(product(n.c_str(), ("01" + zeros.substr(2)).c_str()), zeros);
}

TEST(Curves, Ed25519TellsAGoodSignature) {
  base::SeededRng rng(1);
  const auto key = base::SigningKey::generate(rng);
  base::Bytes message(50, 'm');
  const auto signature = key.sign(message);
  const auto verify = [&] {
    return nettle_ed25519_sha512_verify(key.public_key().data(), message.size(), message.data(),
                                        signature.data());
  };
  EXPECT_EQ(verify(), 1);
  message[7] ^= 1;
  EXPECT_EQ(verify(), 0);
}

}  // namespace
}  // namespace stoq::quic
