#include "transport/quic/packet_protection.hpp"

#include <ngtcp2/ngtcp2_crypto.h>
#include <ngtcp2/ngtcp2_crypto_gnutls.h>
#include <sodium.h>

#include <array>
#include <bit>
#include <string_view>

namespace stoq::quic {
namespace {

constexpr std::size_t kSecretBytes = 32;  // SHA-256 under both ciphers.
using Secret = std::array<std::uint8_t, kSecretBytes>;
using Nonce = std::array<std::uint8_t, kNonceBytes>;

// ngtcp2 hands these back with every packet; their addresses say which cipher a context has.
constexpr Cipher kCiphers[] = {Cipher::Aes128Gcm, Cipher::ChaCha20Poly1305};

void* handle_of(Cipher cipher) {
  return const_cast<Cipher*>(&kCiphers[static_cast<std::size_t>(cipher)]);
}
Cipher cipher_of(const ngtcp2_crypto_ctx& context) {
  return *static_cast<const Cipher*>(context.aead.native_handle);
}

ngtcp2_crypto_md sha256() {
  ngtcp2_crypto_md md;
  ngtcp2_crypto_md_init(&md, std::bit_cast<void*>(std::uintptr_t{GNUTLS_DIG_SHA256}));
  return md;
}

ngtcp2_crypto_aead aead_of(Cipher cipher) {
  return {handle_of(cipher), kTagBytes};
}

// Packets one key may seal, and forgeries it may see, before it must be replaced (RFC 9001,
// section 6.6).
ngtcp2_crypto_ctx context_of(Cipher cipher) {
  ngtcp2_crypto_ctx context{};
  context.aead = aead_of(cipher);
  context.md = sha256();
  context.hp.native_handle = handle_of(cipher);
  const bool aes = cipher == Cipher::Aes128Gcm;
  context.max_encryption = aes ? std::uint64_t{1} << 23 : std::uint64_t{1} << 62;
  context.max_decryption_failure = aes ? std::uint64_t{1} << 52 : std::uint64_t{1} << 36;
  return context;
}

void expand(std::span<std::uint8_t> out, const std::uint8_t* secret, std::string_view label) {
  const auto md = sha256();
  const int made = ngtcp2_crypto_hkdf_expand_label(
      out.data(), out.size(), &md, secret, kSecretBytes,
      reinterpret_cast<const std::uint8_t*>(label.data()), label.size());
  BASE_ASSERT(made == 0, "HKDF with SHA-256 cannot fail");
}

// The keys of one direction. Contexts own their keys until ngtcp2 takes them.
struct Keys {
  ngtcp2_crypto_aead_ctx packet{};
  ngtcp2_crypto_cipher_ctx header{};
  Nonce iv{};
};

PacketKey* key_of(const ngtcp2_crypto_aead_ctx* context) {
  return static_cast<PacketKey*>(context->native_handle);
}
HeaderKey* key_of(const ngtcp2_crypto_cipher_ctx* context) {
  return static_cast<HeaderKey*>(context->native_handle);
}

void* packet_key(const CipherEngine& engine, Cipher cipher, const std::uint8_t* secret) {
  std::uint8_t key[32];
  const auto used = std::span(key).first(key_bytes(cipher));
  expand(used, secret, "quic key");
  PacketKey* made = engine.packet_key(cipher, used).release();
  sodium_memzero(key, sizeof key);
  return made;
}

void* header_key(const CipherEngine& engine, Cipher cipher, const std::uint8_t* secret) {
  std::uint8_t key[32];
  const auto used = std::span(key).first(key_bytes(cipher));
  expand(used, secret, "quic hp");
  HeaderKey* made = engine.header_key(cipher, used).release();
  sodium_memzero(key, sizeof key);
  return made;
}

Keys derive(const CipherEngine& engine, Cipher cipher, const std::uint8_t* secret) {
  Keys keys;
  keys.packet.native_handle = packet_key(engine, cipher, secret);
  keys.header.native_handle = header_key(engine, cipher, secret);
  expand(keys.iv, secret, "quic iv");
  return keys;
}

// What ngtcp2 refused stays ours.
bool taken(int result, const Keys& keys) {
  if (result == 0) return true;
  delete key_of(&keys.packet);
  delete key_of(&keys.header);
  return false;
}

// RFC 9001, section 5.2: both directions' Initial keys, from the connection id the client chose.
int install_initial(ngtcp2_conn* conn, const CipherEngine& engine, const ngtcp2_cid& client_dcid) {
  static constexpr std::uint8_t kSalt[] = {0x38, 0x76, 0x2c, 0xf7, 0xf5, 0x59, 0x34,
                                           0xb3, 0x4d, 0x17, 0x9a, 0xe6, 0xa4, 0xc8,
                                           0x0c, 0xad, 0xcc, 0xbb, 0x7f, 0x0a};
  const auto context = [] {
    ngtcp2_crypto_ctx initial = context_of(Cipher::Aes128Gcm);
    initial.max_encryption = initial.max_decryption_failure = 0;  // Initial keys have no limit.
    return initial;
  }();
  Secret initial, client, server;
  const int made = ngtcp2_crypto_hkdf_extract(initial.data(), &context.md, client_dcid.data,
                                              client_dcid.datalen, kSalt, sizeof kSalt);
  BASE_ASSERT(made == 0, "HKDF with SHA-256 cannot fail");
  expand(client, initial.data(), "client in");
  expand(server, initial.data(), "server in");
  const bool we_serve = ngtcp2_conn_is_server(conn) != 0;
  Keys read = derive(engine, Cipher::Aes128Gcm, we_serve ? client.data() : server.data()),
       write = derive(engine, Cipher::Aes128Gcm, we_serve ? server.data() : client.data());
  ngtcp2_conn_set_initial_crypto_ctx(conn, &context);
  const int result =
      ngtcp2_conn_install_initial_key(conn, &read.packet, read.iv.data(), &read.header,
                                      &write.packet, write.iv.data(), &write.header, kNonceBytes);
  const bool ok = taken(result, read);
  return taken(result, write) && ok ? 0 : NGTCP2_ERR_CALLBACK_FAILURE;
}

const CipherEngine& engine_of(void* user_data) {
  return *static_cast<Protected*>(user_data)->engine;
}

int on_client_initial(ngtcp2_conn* conn, void* user_data) {
  static constexpr std::uint8_t kRetryKey[] = NGTCP2_RETRY_KEY_V1;
  ngtcp2_crypto_aead_ctx context{
      engine_of(user_data)
          .packet_key(Cipher::Aes128Gcm, std::span(kRetryKey).first<16>())
          .release()};
  const auto aead = aead_of(Cipher::Aes128Gcm);
  ngtcp2_conn_set_retry_aead(conn, &aead, &context);
  if (const int failed = install_initial(conn, engine_of(user_data), *ngtcp2_conn_get_dcid(conn)))
    return failed;
  // A client speaks first.
  return ngtcp2_crypto_read_write_crypto_data(conn, NGTCP2_CRYPTO_LEVEL_INITIAL, nullptr, 0) == 0
             ? 0
             : NGTCP2_ERR_CALLBACK_FAILURE;
}

int on_server_receives_initial(ngtcp2_conn* conn, const ngtcp2_cid* dcid, void* user_data) {
  return install_initial(conn, engine_of(user_data), *dcid);
}

int on_retry(ngtcp2_conn* conn, const ngtcp2_pkt_hd* header, void* user_data) {
  return install_initial(conn, engine_of(user_data), header->scid);
}

int on_encrypt(std::uint8_t* out, const ngtcp2_crypto_aead*, const ngtcp2_crypto_aead_ctx* context,
               const std::uint8_t* plain, std::size_t plain_bytes, const std::uint8_t* nonce,
               std::size_t, const std::uint8_t* header, std::size_t header_bytes) {
  key_of(context)->seal(out, {plain, plain_bytes}, nonce, {header, header_bytes});
  return 0;
}

int on_decrypt(std::uint8_t* out, const ngtcp2_crypto_aead*, const ngtcp2_crypto_aead_ctx* context,
               const std::uint8_t* sealed, std::size_t sealed_bytes, const std::uint8_t* nonce,
               std::size_t, const std::uint8_t* header, std::size_t header_bytes) {
  return key_of(context)->open(out, {sealed, sealed_bytes}, nonce, {header, header_bytes})
             ? 0
             : NGTCP2_ERR_DECRYPT;
}

int on_mask(std::uint8_t* out, const ngtcp2_crypto_cipher*, const ngtcp2_crypto_cipher_ctx* context,
            const std::uint8_t* sample) {
  key_of(context)->mask(out, sample);
  return 0;
}

// RFC 9001, section 6.1. Header keys stay.
int on_update_key(ngtcp2_conn* conn, std::uint8_t* read_secret, std::uint8_t* write_secret,
                  ngtcp2_crypto_aead_ctx* read, std::uint8_t* read_iv,
                  ngtcp2_crypto_aead_ctx* write, std::uint8_t* write_iv,
                  const std::uint8_t* old_read, const std::uint8_t* old_write,
                  std::size_t secret_bytes, void* user_data) {
  if (secret_bytes != kSecretBytes) return NGTCP2_ERR_CALLBACK_FAILURE;
  const Cipher cipher = cipher_of(*ngtcp2_conn_get_crypto_ctx(conn));
  expand({read_secret, kSecretBytes}, old_read, "quic ku");
  expand({write_secret, kSecretBytes}, old_write, "quic ku");
  read->native_handle = packet_key(engine_of(user_data), cipher, read_secret);
  write->native_handle = packet_key(engine_of(user_data), cipher, write_secret);
  expand({read_iv, kNonceBytes}, read_secret, "quic iv");
  expand({write_iv, kNonceBytes}, write_secret, "quic iv");
  return 0;
}

void on_delete_packet_key(ngtcp2_conn*, ngtcp2_crypto_aead_ctx* context, void*) {
  delete key_of(context);
  context->native_handle = nullptr;
}

void on_delete_header_key(ngtcp2_conn*, ngtcp2_crypto_cipher_ctx* context, void*) {
  delete key_of(context);
  context->native_handle = nullptr;
}

base::Result<Cipher> cipher_from(gnutls_cipher_algorithm_t algorithm) {
  switch (algorithm) {
    case GNUTLS_CIPHER_AES_128_GCM:
      return Cipher::Aes128Gcm;
    case GNUTLS_CIPHER_CHACHA20_POLY1305:
      return Cipher::ChaCha20Poly1305;
    default:
      return base::fail(base::Errc::Unsupported, "TLS agreed on another cipher");
  }
}

}  // namespace

void set_protection_callbacks(ngtcp2_callbacks& callbacks) {
  callbacks.client_initial = on_client_initial;
  callbacks.recv_client_initial = on_server_receives_initial;
  callbacks.recv_retry = on_retry;
  callbacks.encrypt = on_encrypt;
  callbacks.decrypt = on_decrypt;
  callbacks.hp_mask = on_mask;
  callbacks.update_key = on_update_key;
  callbacks.delete_crypto_aead_ctx = on_delete_packet_key;
  callbacks.delete_crypto_cipher_ctx = on_delete_header_key;
}

bool install_secrets(ngtcp2_conn* conn, const CipherEngine& engine, gnutls_session_t session,
                     gnutls_record_encryption_level_t level, const void* read, const void* write,
                     std::size_t secret_bytes) {
  if (secret_bytes != kSecretBytes) return false;
  const bool early = level == GNUTLS_ENCRYPTION_LEVEL_EARLY;
  const auto cipher =
      cipher_from(early ? gnutls_early_cipher_get(session) : gnutls_cipher_get(session));
  if (!cipher) return false;
  const auto context = context_of(*cipher);

  if (early) {
    // One direction only: a client seals, a server opens.
    const void* secret = ngtcp2_conn_is_server(conn) ? read : write;
    if (secret == nullptr) return true;
    ngtcp2_conn_set_early_crypto_ctx(conn, &context);
    const Keys keys = derive(engine, *cipher, static_cast<const std::uint8_t*>(secret));
    return taken(ngtcp2_conn_install_early_key(conn, &keys.packet, keys.iv.data(), kNonceBytes,
                                               &keys.header),
                 keys);
  }

  if (ngtcp2_conn_get_crypto_ctx(conn)->aead.native_handle == nullptr)
    ngtcp2_conn_set_crypto_ctx(conn, &context);
  const bool handshake = level == GNUTLS_ENCRYPTION_LEVEL_HANDSHAKE;
  const auto install = [&](const void* given, auto* for_handshake, auto* for_data) {
    if (given == nullptr) return true;
    const auto* secret = static_cast<const std::uint8_t*>(given);
    const Keys keys = derive(engine, *cipher, secret);
    return taken(handshake
                     ? for_handshake(conn, &keys.packet, keys.iv.data(), kNonceBytes, &keys.header)
                     : for_data(conn, secret, kSecretBytes, &keys.packet, keys.iv.data(),
                                kNonceBytes, &keys.header),
                 keys);
  };
  return install(read, ngtcp2_conn_install_rx_handshake_key, ngtcp2_conn_install_rx_key) &&
         install(write, ngtcp2_conn_install_tx_handshake_key, ngtcp2_conn_install_tx_key);
}

}  // namespace stoq::quic
