#pragma once

#include <array>
#include <base/bytes.hpp>
#include <base/crypto.hpp>
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

namespace stoq {

/// A machine's identity: SHA-256 of its Ed25519 public key, shown in base32.
struct NodeId {
  std::array<std::uint8_t, 32> bytes{};
  auto operator<=>(const NodeId&) const = default;

  static NodeId of(const base::PublicKey& key) { return {base::sha256(base::BytesView(key))}; }
  std::string text() const { return base::to_base32(bytes); }
  /// Errors: InvalidArgument (not base32, or not of 32 bytes).
  static base::Result<NodeId> parse(std::string_view text);
};

/// SHA-256 of a chunk's bytes.
struct ChunkId {
  base::Digest digest{};
  auto operator<=>(const ChunkId&) const = default;
};

/// Where a node listens: an IPv6 address (v4-mapped for IPv4) and a UDP port.
struct Endpoint {
  std::array<std::uint8_t, 16> address{};
  std::uint16_t port = 0;
  auto operator<=>(const Endpoint&) const = default;

  /// From an IPv6 or IPv4 literal without brackets. Errors: InvalidArgument (a name, not an
  /// address).
  static base::Result<Endpoint> of(std::string_view address, std::uint16_t port);
  /// "[2001:db8::1]:9292"; a v4-mapped address as "192.0.2.1:9292".
  std::string text() const;
};

/// What leaves first when not everything can.
enum class Priority : std::uint8_t { Control, Interactive, Normal, Bulk };

/// WGS 84, degrees.
struct GeoLocation {
  double latitude = 0, longitude = 0;
};

}  // namespace stoq
