#include <fmt/format.h>
#include <sodium.h>

#include <base/error.hpp>
#include <base/random.hpp>
#include <bit>
#include <cstring>

namespace base {

std::uint64_t Rng::u64() {
  std::uint8_t bytes[8];
  fill(bytes);
  std::uint64_t value = 0;
  for (std::uint8_t byte : bytes) value = value << 8 | byte;
  return value;
}

std::uint64_t Rng::below(std::uint64_t bound) {
  BASE_ASSERT(bound > 0, "no number is below 0");
  // Values past the last whole multiple of `bound` would favour small results.
  const std::uint64_t biased = (0 - bound) % bound;
  std::uint64_t value = u64();
  while (value < biased) value = u64();
  return value % bound;
}

void SystemRng::fill(std::span<std::uint8_t> bytes) {
  static const int ready = sodium_init();
  BASE_ASSERT(ready >= 0, "libsodium cannot start");
  randombytes_buf(bytes.data(), bytes.size());
}

SeededRng::SeededRng(std::uint64_t seed) {
  // splitmix64 spreads one word over the state, as xoshiro's authors advise.
  for (auto& word : state_) {
    seed += 0x9e3779b97f4a7c15;
    std::uint64_t z = seed;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    word = z ^ (z >> 31);
  }
}

std::uint64_t SeededRng::next() {
  const std::uint64_t result = std::rotl(state_[1] * 5, 7) * 9;
  const std::uint64_t t = state_[1] << 17;
  state_[2] ^= state_[0];
  state_[3] ^= state_[1];
  state_[1] ^= state_[2];
  state_[0] ^= state_[3];
  state_[2] ^= t;
  state_[3] = std::rotl(state_[3], 45);
  return result;
}

void SeededRng::fill(std::span<std::uint8_t> bytes) {
  for (std::size_t i = 0; i < bytes.size();) {
    std::uint64_t word = next();
    for (int k = 0; k < 8 && i < bytes.size(); ++k, word >>= 8)
      bytes[i++] = static_cast<std::uint8_t>(word);
  }
}

std::string make_uuid(Rng& rng) {
  std::uint8_t b[16];
  rng.fill(b);
  b[6] = static_cast<std::uint8_t>((b[6] & 0x0f) | 0x40);
  b[8] = static_cast<std::uint8_t>((b[8] & 0x3f) | 0x80);
  return fmt::format(
      "{:02x}{:02x}{:02x}{:02x}-{:02x}{:02x}-{:02x}{:02x}-{:02x}{:02x}-{:02x}{:02x}{:02x}{:02x}{:"
      "02x}{:02x}",
      b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14],
      b[15]);
}

std::string make_name_suffix(Rng& rng, std::size_t length) {
  constexpr std::string_view kAlphabet = "bcdfghjklmnpqrstvwxz2456789";
  std::string text;
  for (std::size_t i = 0; i < length; ++i) text += kAlphabet[rng.below(kAlphabet.size())];
  return text;
}

}  // namespace base
