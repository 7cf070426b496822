#pragma once

// Numbers modulo p = 2^255 - 19, in five limbs of 51 bits. Not in constant time: for public values.
//
// Limbs of a product, and of what was read, are below 2^51 + 2^15 ("reduced"). add() and sub() of
// such do not carry; what goes into mul() may be as large as 2^55.

#include <array>
#include <base/bytes.hpp>
#include <cstdint>
#include <optional>

namespace base::ed25519 {

struct Field {
  std::array<std::uint64_t, 5> limb{};

  static constexpr Field of(std::uint64_t small) { return {{small, 0, 0, 0, 0}}; }
};

inline Field add(const Field& a, const Field& b) {
  Field sum;
  for (std::size_t i = 0; i < 5; ++i) sum.limb[i] = a.limb[i] + b.limb[i];
  return sum;
}

/// `b` is reduced, or the sum of two reduced: 4p is added so that no limb falls below zero.
inline Field sub(const Field& a, const Field& b) {
  constexpr std::uint64_t kFirst = (std::uint64_t{1} << 53) - 76,
                          kOther = (std::uint64_t{1} << 53) - 4;
  Field difference;
  difference.limb[0] = a.limb[0] + kFirst - b.limb[0];
  for (std::size_t i = 1; i < 5; ++i) difference.limb[i] = a.limb[i] + kOther - b.limb[i];
  return difference;
}

namespace detail {
__extension__ using Wide = unsigned __int128;

inline Field carry(Wide r0, Wide r1, Wide r2, Wide r3, Wide r4) {
  constexpr std::uint64_t kMask = (std::uint64_t{1} << 51) - 1;
  Field out;
  r1 += static_cast<std::uint64_t>(r0 >> 51);
  r2 += static_cast<std::uint64_t>(r1 >> 51);
  r3 += static_cast<std::uint64_t>(r2 >> 51);
  r4 += static_cast<std::uint64_t>(r3 >> 51);
  // 2^255 is 19.
  const Wide low = static_cast<std::uint64_t>(r0) & kMask;
  const Wide folded = low + Wide{19} * static_cast<std::uint64_t>(r4 >> 51);
  out.limb[0] = static_cast<std::uint64_t>(folded) & kMask;
  out.limb[1] = (static_cast<std::uint64_t>(r1) & kMask) + static_cast<std::uint64_t>(folded >> 51);
  out.limb[2] = static_cast<std::uint64_t>(r2) & kMask;
  out.limb[3] = static_cast<std::uint64_t>(r3) & kMask;
  out.limb[4] = static_cast<std::uint64_t>(r4) & kMask;
  return out;
}
}  // namespace detail

inline Field mul(const Field& a, const Field& b) {
  using detail::Wide;
  const auto& [a0, a1, a2, a3, a4] = a.limb;
  const auto& [b0, b1, b2, b3, b4] = b.limb;
  const std::uint64_t c1 = 19 * b1, c2 = 19 * b2, c3 = 19 * b3, c4 = 19 * b4;
  return detail::carry(
      Wide{a0} * b0 + Wide{a1} * c4 + Wide{a2} * c3 + Wide{a3} * c2 + Wide{a4} * c1,
      Wide{a0} * b1 + Wide{a1} * b0 + Wide{a2} * c4 + Wide{a3} * c3 + Wide{a4} * c2,
      Wide{a0} * b2 + Wide{a1} * b1 + Wide{a2} * b0 + Wide{a3} * c4 + Wide{a4} * c3,
      Wide{a0} * b3 + Wide{a1} * b2 + Wide{a2} * b1 + Wide{a3} * b0 + Wide{a4} * c4,
      Wide{a0} * b4 + Wide{a1} * b3 + Wide{a2} * b2 + Wide{a3} * b1 + Wide{a4} * b0);
}

inline Field square(const Field& a) {
  using detail::Wide;
  const auto& [a0, a1, a2, a3, a4] = a.limb;
  const std::uint64_t d0 = 2 * a0, d1 = 2 * a1, c3 = 19 * a3, c4 = 19 * a4;
  return detail::carry(Wide{a0} * a0 + Wide{d1} * c4 + Wide{2 * a2} * c3,
                       Wide{d0} * a1 + Wide{2 * a2} * c4 + Wide{a3} * c3,
                       Wide{d0} * a2 + Wide{a1} * a1 + Wide{2 * a3} * c4,
                       Wide{d0} * a3 + Wide{d1} * a2 + Wide{a4} * c4,
                       Wide{d0} * a4 + Wide{d1} * a3 + Wide{a2} * a2);
}

/// The inverse; 0 of 0.
Field invert(const Field& a);
/// a to the power of (p - 5) / 8, with which roots are taken (RFC 8032, section 5.1.3).
Field power_for_root(const Field& a);

/// Little endian, below p: the one encoding of the number.
std::array<std::uint8_t, 32> encode(const Field& a);
/// Of 32 bytes without their highest bit; none if that is not below p.
std::optional<Field> decode(BytesView bytes);
bool equal(const Field& a, const Field& b);
bool is_zero(const Field& a);
/// Whether the number below p is odd: the "sign" of RFC 8032.
bool is_odd(const Field& a);

}  // namespace base::ed25519
