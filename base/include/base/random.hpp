#pragma once

// Randomness behind an interface: the system's for keys and ids, a seeded one for tests and
// simulation.

#include <cstdint>
#include <span>
#include <string>

namespace base {

class Rng {
 public:
  virtual ~Rng() = default;
  virtual void fill(std::span<std::uint8_t> bytes) = 0;

  std::uint64_t u64();
  /// Uniform in [0, bound). `bound` > 0.
  std::uint64_t below(std::uint64_t bound);
};

/// The kernel's generator (through libsodium).
class SystemRng final : public Rng {
 public:
  void fill(std::span<std::uint8_t> bytes) override;
};

/// The same seed gives the same bytes on every machine (xoshiro256**, Blackman and Vigna 2018). Not
/// for keys.
class SeededRng final : public Rng {
 public:
  explicit SeededRng(std::uint64_t seed);
  void fill(std::span<std::uint8_t> bytes) override;

 private:
  std::uint64_t next();
  std::uint64_t state_[4];
};

/// A random RFC 4122 version 4 UUID in text form.
std::string make_uuid(Rng& rng);
/// `length` characters of the alphabet that Kubernetes uses for generated names (no vowels, no 0 1
/// 3).
std::string make_name_suffix(Rng& rng, std::size_t length = 5);

}  // namespace base
