// The digest interface of OpenSSL 3 looks its algorithm up by name with every hash; what it
// deprecates does not.
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/sha.h>
#include <sodium.h>

#include <algorithm>
#include <base/crypto.hpp>

namespace base {
namespace {

void ensure_sodium() {
  static const int ready = sodium_init();
  BASE_ASSERT(ready >= 0, "libsodium cannot start");
}

}  // namespace

// OpenSSL hashes with the CPU's SHA instructions, about four times as fast as libsodium's portable
// code.
struct Sha256::State {
  SHA256_CTX context;
  State() { BASE_ASSERT(SHA256_Init(&context) == 1, "SHA-256 cannot start"); }
};

Sha256::Sha256() : state_(std::make_unique<State>()) {}
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;
Sha256::~Sha256() = default;

void Sha256::update(BytesView bytes) {
  BASE_ASSERT(SHA256_Update(&state_->context, bytes.data(), bytes.size()) == 1, "SHA-256 failed");
}

Digest Sha256::finish() {
  Digest digest;
  BASE_ASSERT(SHA256_Final(digest.data(), &state_->context) == 1, "SHA-256 failed");
  return digest;
}

Digest sha256(BytesView bytes) {
  Digest digest;
  SHA256_CTX context;
  BASE_ASSERT(SHA256_Init(&context) == 1 &&
                  SHA256_Update(&context, bytes.data(), bytes.size()) == 1 &&
                  SHA256_Final(digest.data(), &context) == 1,
              "SHA-256 failed");
  return digest;
}

bool constant_time_equal(BytesView a, BytesView b) {
  return a.size() == b.size() && sodium_memcmp(a.data(), b.data(), a.size()) == 0;
}

void wipe(std::span<std::uint8_t> bytes) {
  if (!bytes.empty()) sodium_memzero(bytes.data(), bytes.size());
}

SecretBytes& SecretBytes::operator=(SecretBytes&& other) noexcept {
  if (this != &other) {
    wipe(bytes_);
    bytes_ = std::move(other.bytes_);
    other.bytes_.clear();
  }
  return *this;
}

SigningKey SigningKey::generate(Rng& rng) {
  Bytes seed(crypto_sign_SEEDBYTES);
  rng.fill(seed);
  auto key = from_seed(seed);
  wipe(seed);
  BASE_ASSERT(key.has_value(), "a seed of the right length makes a key");
  return std::move(*key);
}

Result<SigningKey> SigningKey::from_seed(BytesView seed) {
  ensure_sodium();
  if (seed.size() != crypto_sign_SEEDBYTES) {
    return fail(Errc::InvalidArgument,
                "an Ed25519 seed has 32 bytes, this one has " + std::to_string(seed.size()));
  }
  SigningKey key;
  Bytes secret(crypto_sign_SECRETKEYBYTES);
  crypto_sign_seed_keypair(key.public_.data(), secret.data(), seed.data());
  key.seed_ = SecretBytes(Bytes(seed.begin(), seed.end()));
  key.secret_ = SecretBytes(std::move(secret));
  return key;
}

Signature SigningKey::sign(BytesView message) const {
  Signature signature;
  crypto_sign_detached(signature.data(), nullptr, message.data(), message.size(),
                       secret_.view().data());
  return signature;
}

bool verify(const PublicKey& key, BytesView message, const Signature& signature) {
  ensure_sodium();
  return crypto_sign_verify_detached(signature.data(), message.data(), message.size(),
                                     key.data()) == 0;
}

void seal_behind(Bytes& out, BytesView key, BytesView nonce, BytesView plain, BytesView context) {
  ensure_sodium();
  static_assert(kSealNonceBytes == crypto_aead_xchacha20poly1305_ietf_NPUBBYTES);
  BASE_ASSERT(key.size() == kSealKeyBytes, "a sealing key has 32 bytes");
  BASE_ASSERT(nonce.size() == kSealNonceBytes, "a nonce has 24 bytes");
  out.insert(out.end(), nonce.begin(), nonce.end());
  const std::size_t begin = out.size();
  out.resize(begin + plain.size() + crypto_aead_xchacha20poly1305_ietf_ABYTES);
  crypto_aead_xchacha20poly1305_ietf_encrypt(out.data() + begin, nullptr, plain.data(),
                                             plain.size(), context.data(), context.size(), nullptr,
                                             nonce.data(), key.data());
}

Bytes seal(BytesView key, BytesView plain, BytesView context, Rng& rng) {
  std::array<std::uint8_t, kSealNonceBytes> nonce;
  rng.fill(nonce);
  Bytes sealed;
  sealed.reserve(nonce.size() + plain.size() + crypto_aead_xchacha20poly1305_ietf_ABYTES);
  seal_behind(sealed, key, nonce, plain, context);
  return sealed;
}

Result<Bytes> open_sealed(BytesView key, BytesView sealed, BytesView context) {
  ensure_sodium();
  BASE_ASSERT(key.size() == kSealKeyBytes, "a sealing key has 32 bytes");
  constexpr std::size_t kNonce = crypto_aead_xchacha20poly1305_ietf_NPUBBYTES;
  constexpr std::size_t kTag = crypto_aead_xchacha20poly1305_ietf_ABYTES;
  if (sealed.size() < kNonce + kTag) {
    return fail(Errc::NotVerified, "sealed bytes are too short to hold a nonce and a tag");
  }
  Bytes plain(sealed.size() - kNonce - kTag);
  if (crypto_aead_xchacha20poly1305_ietf_decrypt(
          plain.data(), nullptr, nullptr, sealed.data() + kNonce, sealed.size() - kNonce,
          context.data(), context.size(), sealed.data(), key.data()) != 0) {
    return fail(Errc::NotVerified, "sealed bytes do not open: wrong key, wrong place or changed");
  }
  return plain;
}

Result<SecretBytes> derive_key(std::string_view passphrase, BytesView salt, std::size_t key_bytes) {
  ensure_sodium();
  if (salt.size() != crypto_pwhash_SALTBYTES) {
    return fail(Errc::InvalidArgument,
                "an Argon2id salt has 16 bytes, this one has " + std::to_string(salt.size()));
  }
  Bytes key(key_bytes);
  if (crypto_pwhash(key.data(), key.size(), passphrase.data(), passphrase.size(), salt.data(),
                    crypto_pwhash_OPSLIMIT_INTERACTIVE, crypto_pwhash_MEMLIMIT_INTERACTIVE,
                    crypto_pwhash_ALG_ARGON2ID13) != 0) {
    return fail(Errc::ResourceExhausted, "no memory for the key derivation (64 MiB)");
  }
  return SecretBytes(std::move(key));
}

}  // namespace base
