#include "transport/quic/tls.hpp"

#include <fmt/format.h>
#include <gnutls/abstract.h>
#include <gnutls/crypto.h>
#include <gnutls/x509.h>
#include <ngtcp2/ngtcp2_crypto_gnutls.h>

#include <algorithm>

#include "identity/der.hpp"
#include "transport/quic/packet_protection.hpp"

namespace stoq::quic {

using base::Errc;
using base::fail;
using base::Result;

namespace {

constexpr std::size_t kAlpnBytesMax = 64, kAlpnNamesMax = 8;
// Two of them: ours, and a listener's own. More only while one is being replaced.
constexpr std::size_t kCredentialsKept = 4;

std::string reason(int code) {
  return gnutls_strerror(code);
}

gnutls_datum_t datum(base::BytesView bytes) {
  return {const_cast<std::uint8_t*>(bytes.data()), static_cast<unsigned>(bytes.size())};
}

gnutls_priority_t priority(const std::vector<Cipher>& ciphers, bool strangers) {
  std::string text =
      "%DISABLE_TLS13_COMPAT_MODE:NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:"
      "-GROUP-ALL:+GROUP-X25519:-SIGN-ALL:+SIGN-EDDSA-ED25519";
  if (strangers) text += ":+GROUP-SECP256R1:+SIGN-ECDSA-SECP256R1-SHA256:+SIGN-RSA-PSS-RSAE-SHA256";
  for (const Cipher cipher : ciphers)
    text += cipher == Cipher::Aes128Gcm ? ":+AES-128-GCM" : ":+CHACHA20-POLY1305";
  gnutls_priority_t made = nullptr;
  const char* wrong = nullptr;
  const int result = gnutls_priority_init(&made, text.c_str(), &wrong);
  BASE_ASSERT(result == 0, "GnuTLS knows every name in the priority");
  return made;
}

// Signs with libsodium, which is several times faster here than nettle.
int sign_ed25519(gnutls_privkey_t, gnutls_sign_algorithm_t, void* key, unsigned,
                 const gnutls_datum_t* data, gnutls_datum_t* signature) {
  const auto made = static_cast<const base::SigningKey*>(key)->sign({data->data, data->size});
  signature->data = static_cast<unsigned char*>(gnutls_malloc(made.size()));
  if (signature->data == nullptr) return GNUTLS_E_MEMORY_ERROR;
  std::copy(made.begin(), made.end(), signature->data);
  signature->size = static_cast<unsigned>(made.size());
  return 0;
}

int describe_ed25519(gnutls_privkey_t, unsigned flags, void*) {
  if ((flags & GNUTLS_PRIVKEY_INFO_PK_ALGO) != 0) return GNUTLS_PK_EDDSA_ED25519;
  if ((flags & GNUTLS_PRIVKEY_INFO_PK_ALGO_BITS) != 0) return 256;
  if ((flags & GNUTLS_PRIVKEY_INFO_HAVE_SIGN_ALGO) != 0)
    return GNUTLS_FLAGS_TO_SIGN_ALGO(flags) == GNUTLS_SIGN_EDDSA_ED25519 ? 1 : 0;
  return -1;
}

void forget_ed25519(gnutls_privkey_t, void* key) {
  delete static_cast<base::SigningKey*>(key);
}

Result<> import_key(gnutls_privkey_t into, base::BytesView pkcs8) {
  constexpr std::size_t kFrame = sizeof kEd25519Pkcs8;
  if (pkcs8.size() == kFrame + 32 &&
      std::equal(std::begin(kEd25519Pkcs8), std::end(kEd25519Pkcs8), pkcs8.begin())) {
    TRY(auto key, base::SigningKey::from_seed(pkcs8.last(32)));
    auto owned = std::make_unique<base::SigningKey>(std::move(key));
    const int result = gnutls_privkey_import_ext4(into, owned.get(), sign_ed25519, nullptr, nullptr,
                                                  forget_ed25519, describe_ed25519, 0);
    if (result < 0) return fail(Errc::InvalidArgument, "the private key: " + reason(result));
    (void)owned.release();  // GnuTLS deletes it.
    return {};
  }
  const auto bytes = datum(pkcs8);
  const int result = gnutls_privkey_import_x509_raw(into, &bytes, GNUTLS_X509_FMT_DER, nullptr, 0);
  if (result < 0) return fail(Errc::InvalidArgument, "the private key: " + reason(result));
  return {};
}

// GnuTLS would show one node's certificate with another's key, and leave it to peers to find out.
bool belongs(gnutls_pubkey_t certificate, gnutls_privkey_t key) {
  const auto kind =
      static_cast<gnutls_pk_algorithm_t>(gnutls_pubkey_get_pk_algorithm(certificate, nullptr));
  const auto algorithm = gnutls_pk_to_sign(
      kind, kind == GNUTLS_PK_EDDSA_ED25519 ? GNUTLS_DIG_SHA512 : GNUTLS_DIG_SHA256);
  const auto data = datum(base::as_bytes("whose key is it"));
  gnutls_datum_t signature{};
  if (gnutls_privkey_sign_data2(key, algorithm, 0, &data, &signature) < 0) return false;
  const int verified = gnutls_pubkey_verify_data2(certificate, algorithm, 0, &data, &signature);
  gnutls_free(signature.data);
  return verified >= 0;
}

}  // namespace

struct TlsContext::Credentials {
  std::shared_ptr<const CertificateChain> source;
  gnutls_certificate_credentials_t handle = nullptr;
  ~Credentials() {
    if (handle != nullptr) gnutls_certificate_free_credentials(handle);
  }
};

TlsContext::TlsContext(Options options) : options_(std::move(options)) {
  nodes_ = priority(options_.ciphers, false);
  strangers_ = priority(options_.ciphers, true);
  const int made = gnutls_session_ticket_key_generate(&ticket_key_);
  BASE_ASSERT(made == 0, "the system has randomness");
  const int ready = gnutls_anti_replay_init(&anti_replay_);
  BASE_ASSERT(ready == 0, "there is memory");
  gnutls_anti_replay_set_ptr(anti_replay_, this);
  gnutls_anti_replay_set_add_function(
      anti_replay_,
      [](void* self, time_t until, const gnutls_datum_t* key, const gnutls_datum_t*) -> int {
        const auto& options = static_cast<TlsContext*>(self)->options_;
        const base::WallTime end{std::chrono::seconds(until)};
        return options.replays->add({key->data, key->size}, end, options.clock->wall())
                   ? 0
                   : GNUTLS_E_DB_ENTRY_EXISTS;
      });
}

TlsContext::~TlsContext() {
  gnutls_anti_replay_deinit(anti_replay_);
  gnutls_memset(ticket_key_.data, 0, ticket_key_.size);
  gnutls_free(ticket_key_.data);
  gnutls_priority_deinit(nodes_);
  gnutls_priority_deinit(strangers_);
}

Result<std::shared_ptr<TlsContext::Credentials>> TlsContext::credentials(
    CertificateProvider& provider) {
  TRY(const auto chain, provider.current(options_.clock->wall()));
  const std::lock_guard lock(mutex_);
  const auto known = std::ranges::find(credentials_, chain, &Credentials::source);
  if (known != credentials_.end()) return *known;

  auto made = std::make_shared<Credentials>();
  made->source = chain;
  if (gnutls_certificate_allocate_credentials(&made->handle) < 0)
    return fail(Errc::ResourceExhausted, "no memory for TLS credentials");
  std::vector<gnutls_pcert_st> certificates(chain->certificates.size());
  std::size_t imported = 0;
  int result = 0;
  for (; imported < certificates.size() && result >= 0; ++imported) {
    const auto der = datum(chain->certificates[imported]);
    result = gnutls_pcert_import_x509_raw(&certificates[imported], &der, GNUTLS_X509_FMT_DER, 0);
  }
  gnutls_privkey_t key = nullptr;
  Result<> usable;
  if (result < 0 || certificates.empty()) {
    usable = fail(Errc::InvalidArgument, "the certificate to show: " + reason(result));
  } else if (gnutls_privkey_init(&key) < 0) {
    usable = fail(Errc::ResourceExhausted, "no memory for a private key");
  } else {
    usable = import_key(key, chain->private_key.view());
    if (usable && !belongs(certificates.front().pubkey, key)) {
      usable =
          fail(Errc::InvalidArgument, "the certificate to show does not go with its private key");
    }
  }
  if (usable) {
    result = gnutls_certificate_set_key(made->handle, nullptr, 0, certificates.data(),
                                        static_cast<int>(certificates.size()), key);
    if (result < 0) {
      usable = fail(Errc::InvalidArgument,
                    "the certificate to show does not go with its key: " + reason(result));
    }
  }
  if (!usable) {
    // The credentials own these only once they have taken them.
    for (std::size_t i = 0; i < imported; ++i) gnutls_pcert_deinit(&certificates[i]);
    if (key != nullptr) gnutls_privkey_deinit(key);
    return std::unexpected(usable.error());
  }
  if (credentials_.size() >= kCredentialsKept) credentials_.erase(credentials_.begin());
  credentials_.push_back(made);
  return made;
}

TlsSession::TlsSession(TlsContext& context) : context_(context) {}

TlsSession::~TlsSession() {
  if (session_ != nullptr) gnutls_deinit(session_);
}

TlsSession& TlsSession::of(gnutls_session_t session) {
  const auto* reference =
      static_cast<const ngtcp2_crypto_conn_ref*>(gnutls_session_get_ptr(session));
  return *static_cast<TlsSession*>(reference->user_data);
}

void TlsSession::bind(ngtcp2_conn* conn) {
  conn_ = conn;
  ngtcp2_conn_set_tls_native_handle(conn, session_);
}

Result<> TlsSession::begin(std::span<const std::string> alpn, CertificateProvider& certificates,
                           gnutls_priority_t priority) {
  if (alpn.empty() || alpn.size() > kAlpnNamesMax) {
    return fail(
        Errc::InvalidArgument,
        fmt::format("1 to {} ALPN names can be offered; there are {}", kAlpnNamesMax, alpn.size()));
  }
  std::vector<gnutls_datum_t> protocols;
  for (const std::string& name : alpn) {
    if (name.empty() || name.size() > kAlpnBytesMax) {
      return fail(Errc::InvalidArgument,
                  fmt::format("an ALPN name has 1 to {} bytes; \"{}\" has {}", kAlpnBytesMax, name,
                              name.size()));
    }
    protocols.push_back(datum(base::as_bytes(name)));
  }
  TRY(credentials_, context_.credentials(certificates));
  reference_.get_conn = [](ngtcp2_crypto_conn_ref* reference) {
    return static_cast<TlsSession*>(reference->user_data)->conn_;
  };
  reference_.user_data = this;
  gnutls_session_set_ptr(session_, &reference_);

  int result = gnutls_priority_set(session_, priority);
  if (result >= 0) {
    result = server_ ? ngtcp2_crypto_gnutls_configure_server_session(session_)
                     : ngtcp2_crypto_gnutls_configure_client_session(session_);
  }
  gnutls_handshake_set_secret_function(session_, on_secret);
  if (result >= 0) {
    result = gnutls_alpn_set_protocols(session_, protocols.data(),
                                       static_cast<unsigned>(protocols.size()),
                                       GNUTLS_ALPN_MANDATORY | GNUTLS_ALPN_SERVER_PRECEDENCE);
  }
  if (result >= 0)
    result = gnutls_credentials_set(session_, GNUTLS_CRD_CERTIFICATE, credentials_->handle);
  if (result < 0) return fail(Errc::Internal, "TLS: " + reason(result));
  gnutls_session_set_verify_function(session_, on_verify);
  return {};
}

Result<std::unique_ptr<TlsSession>> TlsSession::server(TlsContext& context, ServerOptions options) {
  std::unique_ptr<TlsSession> made(new TlsSession(context));
  made->server_ = true;
  made->anonymous_peers_ = options.anonymous_peers;
  if (gnutls_init(&made->session_, GNUTLS_SERVER | GNUTLS_ENABLE_EARLY_DATA |
                                       GNUTLS_NO_AUTO_SEND_TICKET | GNUTLS_NO_END_OF_EARLY_DATA) <
      0) {
    return fail(Errc::ResourceExhausted, "no memory for a TLS session");
  }
  auto& certificates =
      options.certificates != nullptr ? *options.certificates : *context.options_.certificates;
  TRY_DO(made->begin(options.alpn, certificates,
                     options.anonymous_peers ? context.strangers_ : context.nodes_));
  if (gnutls_session_ticket_enable_server(made->session_, &context.ticket_key_) < 0)
    return fail(Errc::Internal, "TLS: tickets cannot be enabled");
  gnutls_db_set_cache_expiration(
      made->session_,
      static_cast<int>(
          std::chrono::duration_cast<std::chrono::seconds>(context.options_.ticket_life).count()));
  gnutls_anti_replay_enable(made->session_, context.anti_replay_);
  gnutls_record_set_max_early_data_size(made->session_, 0xffff'ffff);
  gnutls_certificate_server_set_request(
      made->session_, options.anonymous_peers ? GNUTLS_CERT_IGNORE : GNUTLS_CERT_REQUIRE);
  return made;
}

Result<std::unique_ptr<TlsSession>> TlsSession::client(TlsContext& context, ClientOptions options) {
  std::unique_ptr<TlsSession> made(new TlsSession(context));
  made->expected_ = options.expected;
  if (gnutls_init(&made->session_,
                  GNUTLS_CLIENT | GNUTLS_ENABLE_EARLY_DATA | GNUTLS_NO_END_OF_EARLY_DATA) < 0) {
    return fail(Errc::ResourceExhausted, "no memory for a TLS session");
  }
  TRY_DO(made->begin({&options.alpn, 1}, *context.options_.certificates, context.nodes_));
  gnutls_handshake_set_hook_function(made->session_, GNUTLS_HANDSHAKE_NEW_SESSION_TICKET,
                                     GNUTLS_HOOK_POST, on_message);
  if (!options.ticket.empty()) {
    // A ticket that GnuTLS cannot read costs a full handshake, nothing else.
    if (gnutls_session_set_data(made->session_, options.ticket.data(), options.ticket.size()) == 0)
      made->peer_ = options.expected;  // The ticket is of that node's.
  }
  return made;
}

int TlsSession::on_secret(gnutls_session_t session, gnutls_record_encryption_level_t level,
                          const void* read, const void* write, std::size_t bytes) {
  TlsSession& self = of(session);
  return install_secrets(self.conn_, *self.context_.options_.engine, session, level, read, write,
                         bytes)
             ? 0
             : -1;
}

bool TlsSession::verify_peer() {
  unsigned count = 0;
  const gnutls_datum_t* certificates = gnutls_certificate_get_peers(session_, &count);
  std::vector<base::BytesView> chain;
  for (unsigned i = 0; i < count; ++i)
    chain.emplace_back(certificates[i].data, certificates[i].size);
  // A stranger resumes without certificates where strangers are let in.
  if (chain.empty() && anonymous_peers_) return true;
  auto proved = context_.options_.verifier->verify(chain, context_.options_.clock->wall());
  if (!proved) {
    refusal_ = proved.error().describe();
    return false;
  }
  if (expected_ && *proved != *expected_) {
    refusal_ = fmt::format("the node there is {}, not {}", proved->text(), expected_->text());
    return false;
  }
  peer_ = *proved;
  return true;
}

bool TlsSession::verify_resumed() {
  if (!server_ || peer_ || !resumed() || verified_) return true;
  verified_ = true;
  return verify_peer();
}

int TlsSession::on_verify(gnutls_session_t session) {
  return of(session).verify_peer() ? 0 : GNUTLS_E_CERTIFICATE_ERROR;
}

int TlsSession::on_message(gnutls_session_t session, unsigned, unsigned, unsigned,
                           const gnutls_datum_t*) {
  TlsSession& self = of(session);
  gnutls_datum_t data{};
  if (gnutls_session_get_data2(session, &data) == 0) {
    self.ticket_.assign(data.data, data.data + data.size);
    gnutls_memset(data.data, 0, data.size);
    gnutls_free(data.data);
    if (self.on_ticket) self.on_ticket();
  }
  return 0;
}

std::string TlsSession::alpn() const {
  if (released()) return alpn_;
  gnutls_datum_t chosen{};
  if (gnutls_alpn_get_selected_protocol(session_, &chosen) < 0) return {};
  return {reinterpret_cast<const char*>(chosen.data), chosen.size};
}

std::string_view TlsSession::cipher() const {
  if (released()) return cipher_;
  const char* name = gnutls_cipher_get_name(gnutls_cipher_get(session_));
  return name != nullptr ? name : "";
}

Result<> TlsSession::send_ticket() {
  const int result = gnutls_session_ticket_send(session_, 1, 0);
  if (result < 0) return fail(Errc::Internal, "TLS: no ticket: " + reason(result));
  return {};
}

void TlsSession::release() {
  if (released()) return;
  alpn_ = alpn();
  cipher_ = cipher();
  resumed_ = resumed();
  gnutls_deinit(session_);
  session_ = nullptr;
  ngtcp2_conn_set_tls_native_handle(conn_, nullptr);
}

}  // namespace stoq::quic
