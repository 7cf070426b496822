#pragma once

// TLS 1.3 for QUIC (RFC 9001) by GnuTLS: credentials, verification of the peer, resumption and
// early data. The only place besides packet_protection that knows GnuTLS.

#include <gnutls/gnutls.h>
#include <ngtcp2/ngtcp2.h>
#include <ngtcp2/ngtcp2_crypto.h>

#include <functional>
#include <mutex>
#include <optional>
#include <span>
#include <stoq/certificates.hpp>
#include <string>

#include "transport/quic/cipher.hpp"
#include "transport/quic/replay_store.hpp"

namespace stoq::quic {

/// What is shared by all handshakes of a transport. Used from every core at once; outlives the
/// sessions.
class TlsContext {
 public:
  struct Options {
    CertificateProvider* certificates = nullptr;
    PeerVerifier* verifier = nullptr;
    ReplayStore* replays = nullptr;
    const base::Clock* clock = nullptr;
    const CipherEngine* engine = &fastest_engine();
    /// What we offer and accept, the first before the others.
    std::vector<Cipher> ciphers{Cipher::Aes128Gcm, Cipher::ChaCha20Poly1305};
    /// How long a ticket resumes a session, and its key lives.
    base::Duration ticket_life = std::chrono::hours(24);
  };

  explicit TlsContext(Options options);
  ~TlsContext();
  TlsContext(const TlsContext&) = delete;
  TlsContext& operator=(const TlsContext&) = delete;

  const Options& options() const { return options_; }

 private:
  friend class TlsSession;
  struct Credentials;
  /// For what `provider` shows now; made anew when that changes.
  base::Result<std::shared_ptr<Credentials>> credentials(CertificateProvider& provider);

  Options options_;
  gnutls_priority_t nodes_ = nullptr, strangers_ = nullptr;
  gnutls_datum_t ticket_key_{};
  gnutls_anti_replay_t anti_replay_ = nullptr;
  std::mutex mutex_;
  std::vector<std::shared_ptr<Credentials>> credentials_;
};

/// One handshake, and the tickets after it.
class TlsSession {
 public:
  struct ServerOptions {
    std::vector<std::string> alpn;  ///< Most wanted first.
    bool anonymous_peers = false;
    CertificateProvider* certificates = nullptr;  ///< Null: the context's.
  };
  struct ClientOptions {
    std::string alpn;
    std::optional<NodeId> expected;  ///< Empty: whoever answers.
    base::BytesView ticket;          ///< Of an earlier connection; empty: a full handshake.
  };
  static base::Result<std::unique_ptr<TlsSession>> server(TlsContext& context,
                                                          ServerOptions options);
  static base::Result<std::unique_ptr<TlsSession>> client(TlsContext& context,
                                                          ClientOptions options);
  ~TlsSession();
  TlsSession(const TlsSession&) = delete;
  TlsSession& operator=(const TlsSession&) = delete;

  /// Call once, before the handshake. `conn` outlives this.
  void bind(ngtcp2_conn* conn);

  /// Who the peer is; empty while that is not known and for a stranger.
  const std::optional<NodeId>& peer() const { return peer_; }
  /// Why we refused the peer; empty if we did not.
  const std::string& refusal() const { return refusal_; }
  bool resumed() const {
    return session_ != nullptr ? gnutls_session_is_resumed(session_) != 0 : resumed_;
  }
  bool early_data_accepted() const {
    return (gnutls_session_get_flags(session_) & GNUTLS_SFLAGS_EARLY_DATA) != 0;
  }
  /// What both sides agreed on; empty before.
  std::string alpn() const;
  /// By its name in TLS; empty before the handshake.
  std::string_view cipher() const;
  /// Of a server, after each message of the client: a resumed session shows no certificates; those
  /// of its first handshake are in the ticket, and must hold now. GnuTLS has unpacked them when it
  /// has answered the first flight, before any early byte can be read. False: refuse.
  [[nodiscard]] bool verify_resumed();
  /// Of a client: the ticket that the server sent last; empty before.
  base::Bytes take_ticket() { return std::move(ticket_); }
  std::function<void()> on_ticket;
  /// Of a server, once the handshake is complete.
  base::Result<> send_ticket();
  /// Of a server, after that: lets go of what GnuTLS keeps, a sixth of an idle connection's memory.
  /// A client has nothing more to say in TLS (RFC 9001, section 6: keys are not updated by it).
  void release();
  bool released() const { return session_ == nullptr; }

 private:
  explicit TlsSession(TlsContext& context);
  static TlsSession& of(gnutls_session_t session);
  static int on_secret(gnutls_session_t session, gnutls_record_encryption_level_t level,
                       const void* read, const void* write, std::size_t bytes);
  static int on_verify(gnutls_session_t session);
  static int on_message(gnutls_session_t session, unsigned type, unsigned when, unsigned incoming,
                        const gnutls_datum_t* message);
  /// Whether the certificates that GnuTLS holds prove who we may speak to.
  bool verify_peer();
  base::Result<> begin(std::span<const std::string> alpn, CertificateProvider& certificates,
                       gnutls_priority_t priority);

  TlsContext& context_;
  gnutls_session_t session_ = nullptr;
  std::shared_ptr<TlsContext::Credentials> credentials_;
  ngtcp2_crypto_conn_ref reference_{};
  ngtcp2_conn* conn_ = nullptr;
  bool server_ = false, anonymous_peers_ = false, verified_ = false;
  // Of a session that was released.
  bool resumed_ = false;
  std::string alpn_;
  std::string_view cipher_;
  std::optional<NodeId> expected_, peer_;
  std::string refusal_;
  base::Bytes ticket_;
};

}  // namespace stoq::quic
