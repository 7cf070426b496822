#pragma once

// Packet and header protection (RFC 9001, section 5) behind one interface, so that a transport can
// use the fastest library that the CPU serves.

#include <base/bytes.hpp>
#include <cstdint>
#include <memory>
#include <string_view>

namespace stoq::quic {

/// The AEADs of TLS 1.3 that we speak (RFC 8446, B.4), with SHA-256 each.
enum class Cipher : std::uint8_t { Aes128Gcm, ChaCha20Poly1305 };

constexpr std::size_t key_bytes(Cipher cipher) {
  return cipher == Cipher::Aes128Gcm ? 16 : 32;
}
inline constexpr std::size_t kTagBytes = 16;
inline constexpr std::size_t kNonceBytes = 12;
inline constexpr std::size_t kSampleBytes = 16;
inline constexpr std::size_t kMaskBytes = 5;

/// Seals and opens the packets of one direction and one encryption level. Used
/// from one thread at a time. The key is wiped when it goes.
class PacketKey {
 public:
  virtual ~PacketKey() = default;
  /// Writes plain.size() + kTagBytes bytes to `out`, which may be plain.data(). `nonce` has
  /// kNonceBytes.
  virtual void seal(std::uint8_t* out, base::BytesView plain, const std::uint8_t* nonce,
                    base::BytesView header) const = 0;
  /// Writes sealed.size() - kTagBytes bytes to `out`, which may be sealed.data(). False when the
  /// packet was not sealed with this key, nonce and header: what was written is then worthless.
  [[nodiscard]] virtual bool open(std::uint8_t* out, base::BytesView sealed,
                                  const std::uint8_t* nonce, base::BytesView header) const = 0;
};

/// Hides packet numbers (RFC 9001, section 5.4).
class HeaderKey {
 public:
  virtual ~HeaderKey() = default;
  /// `mask` has kMaskBytes, `sample` kSampleBytes.
  virtual void mask(std::uint8_t* mask, const std::uint8_t* sample) const = 0;
};

/// A library that does the above. Engines live as long as the process.
class CipherEngine {
 public:
  virtual ~CipherEngine() = default;
  virtual std::string_view name() const = 0;
  /// `key` has key_bytes(cipher).
  virtual std::unique_ptr<PacketKey> packet_key(Cipher cipher, base::BytesView key) const = 0;
  virtual std::unique_ptr<HeaderKey> header_key(Cipher cipher, base::BytesView key) const = 0;
};

/// intel-ipsec-mb: AES-128-GCM in 147 ns for 1424 bytes, ChaCha20-Poly1305 in 604. Null where the
/// CPU has no AES and carry-less multiplication.
const CipherEngine* ipsec_mb_engine();
/// GnuTLS: 371 ns and 3.1 us, on any CPU.
const CipherEngine& gnutls_engine();
/// The first of the two that this CPU has.
const CipherEngine& fastest_engine();

}  // namespace stoq::quic
