#pragma once

// Primitives of a kept library (libsodium) behind value types. No algorithm of our own.

#include <array>
#include <base/bytes.hpp>
#include <base/random.hpp>
#include <cstdint>
#include <memory>
#include <string_view>

namespace base {

using Digest = std::array<std::uint8_t, 32>;     ///< SHA-256 (FIPS 180-4).
using Signature = std::array<std::uint8_t, 64>;  ///< Ed25519 (RFC 8032).
using PublicKey = std::array<std::uint8_t, 32>;

Digest sha256(BytesView bytes);
inline Digest sha256(std::string_view text) {
  return sha256(as_bytes(text));
}

/// SHA-256 of bytes that arrive in pieces.
class Sha256 {
 public:
  Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;
  ~Sha256();
  void update(BytesView bytes);
  /// Call once.
  Digest finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Equal, in a time that does not depend on where they differ.
bool constant_time_equal(BytesView a, BytesView b);
/// Overwrites memory in a way the compiler keeps.
void wipe(std::span<std::uint8_t> bytes);

/// Bytes that are wiped when they are let go. Moves, never copies.
class SecretBytes {
 public:
  SecretBytes() = default;
  explicit SecretBytes(Bytes bytes) : bytes_(std::move(bytes)) {}
  SecretBytes(SecretBytes&& other) noexcept : bytes_(std::move(other.bytes_)) {
    other.bytes_.clear();
  }
  SecretBytes& operator=(SecretBytes&& other) noexcept;
  SecretBytes(const SecretBytes&) = delete;
  SecretBytes& operator=(const SecretBytes&) = delete;
  ~SecretBytes() { wipe(bytes_); }
  BytesView view() const { return bytes_; }

 private:
  Bytes bytes_;
};

/// An Ed25519 key pair; the private half is wiped when it goes.
class SigningKey {
 public:
  static SigningKey generate(Rng& rng);
  /// From the 32-byte seed of RFC 8032. Errors: InvalidArgument (length).
  static Result<SigningKey> from_seed(BytesView seed);
  BytesView seed() const { return seed_.view(); }
  const PublicKey& public_key() const { return public_; }
  Signature sign(BytesView message) const;

 private:
  SigningKey() = default;
  SecretBytes seed_;
  SecretBytes secret_;
  PublicKey public_{};
};

bool verify(const PublicKey& key, BytesView message, const Signature& signature);

inline constexpr std::size_t kSealKeyBytes = 32;
/// XChaCha20-Poly1305 with a random nonce in front: safe for any number of messages under one key.
/// `context` is authenticated, not stored.
Bytes seal(BytesView key, BytesView plain, BytesView context, Rng& rng);
inline constexpr std::size_t kSealNonceBytes = 24;
/// The same behind what is in `out`, with a nonce of the caller's that no other message under this
/// key has or will have.
void seal_behind(Bytes& out, BytesView key, BytesView nonce, BytesView plain, BytesView context);
/// Errors: NotVerified (wrong key, wrong context or changed bytes).
Result<Bytes> open_sealed(BytesView key, BytesView sealed, BytesView context);

/// Argon2id (RFC 9106) of a passphrase; `salt` has 16 bytes. Interactive cost: 64 MiB, 2 passes.
/// Errors: ResourceExhausted (no memory), InvalidArgument (salt).
Result<SecretBytes> derive_key(std::string_view passphrase, BytesView salt, std::size_t key_bytes);

}  // namespace base
