#pragma once

// Kubernetes' quantities: "100m", "1Gi", "1e3". Exact to 10^-9, as Kubernetes is.

#include <base/error.hpp>
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

namespace nexus::manifest {

/// An amount of something, with the family of suffixes it was written in.
///
/// Exact: held as a whole number of billionths. Magnitude is at most 2^63-1 (Kubernetes' own
/// limit).
class Quantity {
 public:
  enum class Format : std::uint8_t {
    Decimal,   ///< n u m (none) k M G T P E
    Binary,    ///< Ki Mi Gi Ti Pi Ei
    Exponent,  ///< e3, E-3
  };

  constexpr Quantity() = default;
  static constexpr Quantity whole(std::int64_t value, Format format = Format::Decimal) {
    return Quantity(static_cast<__int128>(value) * kNano, format);
  }
  static constexpr Quantity of_millis(std::int64_t millis) {
    return Quantity(static_cast<__int128>(millis) * (kNano / 1000), Format::Decimal);
  }
  /// More digits than billionths are rounded away from zero, as Kubernetes does.
  /// Errors: InvalidArgument (with the likely meaning: "1gb" wants "1G" or "1Gi").
  static base::Result<Quantity> parse(std::string_view text);

  /// Rounded up to a whole number.
  std::int64_t value() const;
  /// Thousandths, rounded up; the ends of the range when it does not fit.
  std::int64_t millis() const;
  bool is_zero() const { return nanos_ == 0; }
  bool is_negative() const { return nanos_ < 0; }
  bool is_whole() const { return nanos_ % kNano == 0; }
  Format format() const { return format_; }

  /// Kubernetes' canonical form: "1500m", "1Gi", "1536Mi", "0".
  std::string text() const;

  /// Amounts compare by what they are worth: 1000m == 1, 1Ki == 1024.
  friend constexpr std::strong_ordering operator<=>(const Quantity& a, const Quantity& b) {
    return a.nanos_ <=> b.nanos_;
  }
  friend constexpr bool operator==(const Quantity& a, const Quantity& b) {
    return a.nanos_ == b.nanos_;
  }
  /// Keeps the left side's format. Ends at the limits of the range.
  Quantity& operator+=(const Quantity& other);
  Quantity& operator-=(const Quantity& other);
  friend Quantity operator+(Quantity a, const Quantity& b) { return a += b; }
  friend Quantity operator-(Quantity a, const Quantity& b) { return a -= b; }

 private:
  static constexpr std::int64_t kNano = 1'000'000'000;
  constexpr Quantity(__int128 nanos, Format format) : nanos_(nanos), format_(format) {}

  __int128 nanos_ = 0;
  Format format_ = Format::Decimal;
};

}  // namespace nexus::manifest
