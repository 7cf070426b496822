#include "ed25519/field.hpp"

#include <algorithm>

namespace base::ed25519 {

namespace {

constexpr std::uint64_t kMask = (std::uint64_t{1} << 51) - 1;

Field square_times(Field a, int times) {
  while (times-- > 0) a = square(a);
  return a;
}

struct Powers {
  Field of_11, of_2_250_minus_1;
};

// By an addition chain: from 2^k - 1 to 2^(k + m) - 1 with m squarings and one product.
Powers powers(const Field& a) {
  const auto join = [](const Field& high, int shift, const Field& low) {
    return mul(square_times(high, shift), low);
  };
  const Field two = square(a);
  const Field nine = mul(square_times(two, 2), a);
  const Field eleven = mul(nine, two);
  const Field k5 = mul(square(eleven), nine);
  const Field k10 = join(k5, 5, k5);
  const Field k20 = join(k10, 10, k10);
  const Field k40 = join(k20, 20, k20);
  const Field k50 = join(k40, 10, k10);
  const Field k100 = join(k50, 50, k50);
  const Field k200 = join(k100, 100, k100);
  return {eleven, join(k200, 50, k50)};
}

}  // namespace

Field invert(const Field& a) {
  // p - 2 = 2^255 - 21 = (2^250 - 1) * 2^5 + 11.
  const Powers known = powers(a);
  return mul(square_times(known.of_2_250_minus_1, 5), known.of_11);
}

Field power_for_root(const Field& a) {
  // (p - 5) / 8 = 2^252 - 3 = (2^250 - 1) * 2^2 + 1.
  return mul(square_times(powers(a).of_2_250_minus_1, 2), a);
}

std::array<std::uint8_t, 32> encode(const Field& a) {
  auto limb = a.limb;
  const auto carry = [&limb] {
    for (std::size_t i = 0; i < 4; ++i) {
      limb[i + 1] += limb[i] >> 51;
      limb[i] &= kMask;
    }
    limb[0] += 19 * (limb[4] >> 51);
    limb[4] &= kMask;
  };
  carry();
  carry();
  // Below 2^255 now. At least p if and only if adding 19 reaches 2^255; then that bit goes.
  limb[0] += 19;
  carry();
  constexpr std::uint64_t kTop = std::uint64_t{1} << 51;
  limb[0] += kTop - 19;
  for (std::size_t i = 1; i < 5; ++i) limb[i] += kTop - 1;
  for (std::size_t i = 0; i < 4; ++i) {
    limb[i + 1] += limb[i] >> 51;
    limb[i] &= kMask;
  }
  limb[4] &= kMask;
  std::array<std::uint8_t, 32> out{};
  for (std::size_t bit = 0; bit < 255; bit += 8) {
    const std::size_t at = bit / 51, shift = bit % 51;
    std::uint64_t byte = limb[at] >> shift;
    if (shift > 43 && at < 4) byte |= limb[at + 1] << (51 - shift);
    out[bit / 8] = static_cast<std::uint8_t>(byte);
  }
  return out;
}

std::optional<Field> decode(BytesView bytes) {
  Field out;
  for (std::size_t i = 0; i < 32; ++i) {
    const std::uint64_t byte = i == 31 ? bytes[i] & 0x7f : bytes[i];
    const std::size_t at = i * 8 / 51, shift = i * 8 % 51;
    out.limb[at] |= byte << shift & kMask;
    if (shift > 43 && at < 4) out.limb[at + 1] |= byte >> (51 - shift);
  }
  const auto again = encode(out);
  const bool below = std::ranges::equal(bytes.first(31), BytesView(again).first(31)) &&
                     (bytes[31] & 0x7f) == again[31];
  return below ? std::optional(out) : std::nullopt;
}

bool equal(const Field& a, const Field& b) {
  return encode(a) == encode(b);
}

bool is_zero(const Field& a) {
  return encode(a) == std::array<std::uint8_t, 32>{};
}

bool is_odd(const Field& a) {
  return (encode(a)[0] & 1) != 0;
}

}  // namespace base::ed25519
