#pragma once

// IPv4 and IPv6 addresses and prefixes as plain values.

#include <array>
#include <base/bytes.hpp>
#include <base/error.hpp>
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

namespace hypermesh::datapath {

/// The values are those that the wire formats of this folder use.
enum class Family : std::uint8_t { Ipv4 = 4, Ipv6 = 6 };

/// One address, network byte order inside. Ordered by family, then numerically.
class IpAddress {
 public:
  /// "::"
  IpAddress() = default;
  static IpAddress v4(std::uint8_t a, std::uint8_t b, std::uint8_t c, std::uint8_t d);
  /// 4 or 16 bytes. Errors: InvalidArgument (any other length).
  static base::Result<IpAddress> from_bytes(base::BytesView bytes);
  /// Dotted quad or RFC 4291 text, without brackets, zone or prefix length. Errors:
  /// InvalidArgument.
  static base::Result<IpAddress> parse(std::string_view text);

  Family family() const { return family_; }
  bool is_v6() const { return family_ == Family::Ipv6; }
  base::BytesView bytes() const { return {bytes_.data(), is_v6() ? 16u : 4u}; }
  /// 32 or 128.
  int bits() const { return is_v6() ? 128 : 32; }
  /// RFC 5952 or dotted quad.
  std::string to_string() const;
  /// "[addr]" for IPv6, bare for IPv4: what stands before ":port".
  std::string to_host() const;
  /// This address plus `offset`. The sum must stay in the family's range.
  IpAddress plus(std::uint64_t offset) const;
  /// The first `length` bits, zeros after them.
  IpAddress masked(int length) const;

  auto operator<=>(const IpAddress&) const = default;

 private:
  Family family_ = Family::Ipv6;
  std::array<std::uint8_t, 16> bytes_{};  // IPv4 uses the first four; the rest stays zero
};

/// A range of addresses that share their first `length` bits; the bits after them are zero.
struct IpPrefix {
  IpAddress address;
  int length = 0;

  static IpPrefix of(const IpAddress& address, int length) {
    return {address.masked(length), length};
  }
  /// One address: /32 or /128.
  static IpPrefix host(const IpAddress& address) { return {address, address.bits()}; }
  /// "10.7.0.0/16". Errors: InvalidArgument (also when bits are set after the prefix).
  static base::Result<IpPrefix> parse(std::string_view text);
  std::string to_string() const;
  bool contains(const IpAddress& other) const;
  bool overlaps(const IpPrefix& other) const;
  auto operator<=>(const IpPrefix&) const = default;
};

}  // namespace hypermesh::datapath
