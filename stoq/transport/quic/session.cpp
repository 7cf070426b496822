#include "transport/quic/session.hpp"

#include <fmt/format.h>
#include <ngtcp2/ngtcp2_crypto.h>

#include <algorithm>
#include <cstring>

namespace stoq::quic {

using base::Errc;
using base::MonotonicTime;
using base::Result;

namespace {

constexpr std::size_t kReasonBytesMax = 512;
constexpr std::size_t kPiecesPerPacket = 8;
constexpr std::size_t kConnectionIdBytes = 18;
// The peer's alerts (RFC 8446, section 6) arrive as QUIC errors from here (RFC 9001, section 4.8).
constexpr std::uint64_t kCryptoError = 0x100;
constexpr std::uint64_t kAlertNoProtocol = 120;

ngtcp2_tstamp stamp(MonotonicTime time) {
  return static_cast<ngtcp2_tstamp>(time.time_since_epoch().count());
}

MonotonicTime from_stamp(ngtcp2_tstamp at) {
  if (at >= static_cast<ngtcp2_tstamp>(MonotonicTime::max().time_since_epoch().count()))
    return MonotonicTime::max();
  return MonotonicTime(base::Duration(static_cast<std::int64_t>(at)));
}

ngtcp2_path native(Path& path) {
  return {{reinterpret_cast<sockaddr*>(&path.local), sizeof path.local},
          {reinterpret_cast<sockaddr*>(&path.remote), sizeof path.remote},
          nullptr};
}

Path from_native(const ngtcp2_path& path) {
  Path made;
  if (path.local.addrlen == sizeof made.local)
    std::memcpy(&made.local, path.local.addr, sizeof made.local);
  if (path.remote.addrlen == sizeof made.remote)
    std::memcpy(&made.remote, path.remote.addr, sizeof made.remote);
  return made;
}

bool equal(const sockaddr_in6& a, const sockaddr_in6& b) {
  return a.sin6_port == b.sin6_port && a.sin6_scope_id == b.sin6_scope_id &&
         std::memcmp(&a.sin6_addr, &b.sin6_addr, sizeof a.sin6_addr) == 0;
}

bool alert_about_certificates(std::uint64_t alert) {
  return (alert >= 41 && alert <= 46) || alert == 48 || alert == 49 || alert == 51 || alert == 116;
}

base::Error ended_by_peer(const ngtcp2_connection_close_error& why) {
  std::string reason(reinterpret_cast<const char*>(why.reason), why.reasonlen);
  const auto or_else = [&](std::string otherwise) {
    return reason.empty() ? std::move(otherwise) : std::move(reason);
  };
  if (why.type == NGTCP2_CONNECTION_CLOSE_ERROR_CODE_TYPE_APPLICATION)
    return base::make_error(Errc::Unavailable, or_else("the peer closed the connection"));
  if (why.error_code == NGTCP2_CONNECTION_REFUSED)
    return base::make_error(Errc::Unavailable, "the peer takes no more connections: " +
                                                   or_else("its limit is reached"));
  if (why.error_code == kCryptoError + kAlertNoProtocol) {
    return base::make_error(Errc::InvalidArgument,
                            "the peer speaks none of our application protocols");
  }
  if (why.error_code >= kCryptoError && why.error_code < kCryptoError + 0x100) {
    const auto alert = why.error_code - kCryptoError;
    return base::make_error(
        alert_about_certificates(alert) ? Errc::NotVerified : Errc::Unavailable,
        "the peer refused us: " +
            or_else(gnutls_alert_get_name(static_cast<gnutls_alert_description_t>(alert))));
  }
  return base::make_error(Errc::Unavailable,
                          fmt::format("the peer ended the connection with error {}: {}",
                                      why.error_code, or_else("no reason")));
}

}  // namespace

bool Path::operator==(const Path& other) const {
  return equal(local, other.local) && equal(remote, other.remote);
}

// ngtcp2's calls. The user data is the session's Protected part; a stream's is its StreamState.
struct Session::Callbacks {
  static Session& self(void* user) { return static_cast<Session&>(*static_cast<Protected*>(user)); }
  static StreamState* stream(void* user) { return static_cast<StreamState*>(user); }

  static void random(std::uint8_t* out, std::size_t bytes, const ngtcp2_rand_ctx* context) {
    static_cast<base::Rng*>(context->native_handle)->fill({out, bytes});
  }

  static int new_connection_id(ngtcp2_conn*, ngtcp2_cid* id, std::uint8_t* token, std::size_t bytes,
                               void* user) {
    Session& session = self(user);
    session.host_.issue(session, *id, token, bytes);
    return 0;
  }
  static int remove_connection_id(ngtcp2_conn*, const ngtcp2_cid* id, void* user) {
    Session& session = self(user);
    session.host_.retire(session, *id);
    return 0;
  }

  static int handshake_message(ngtcp2_conn* conn, ngtcp2_crypto_level level, std::uint64_t offset,
                               const std::uint8_t* data, std::size_t bytes, void* user) {
    const int result = ngtcp2_crypto_recv_crypto_data_cb(conn, level, offset, data, bytes, user);
    if (result != 0 || self(user).tls_->verify_resumed()) return result;
    ngtcp2_conn_set_tls_alert(conn, GNUTLS_A_BAD_CERTIFICATE);
    return NGTCP2_ERR_CRYPTO;
  }

  static int handshake_completed(ngtcp2_conn* conn, void* user) {
    Session& session = self(user);
    if (!session.server_ && session.early_ && !session.tls_->early_data_accepted()) {
      session.early_rejected_ = true;
      if (ngtcp2_conn_early_data_rejected(conn) != 0) return NGTCP2_ERR_CALLBACK_FAILURE;
      session.restart_early_streams();
    }
    if (session.server_) {
      // Without a ticket the next handshake is a full one, nothing worse.
      (void)session.tls_->send_ticket();
      const base::Bytes token = session.host_.address_token(session.path_);
      if (!token.empty()) (void)ngtcp2_conn_submit_new_token(conn, token.data(), token.size());
    }
    session.established_ = true;
    session.host_.established(session);
    return 0;
  }

  static int stream_open(ngtcp2_conn*, std::int64_t id, void* user) {
    self(user).adopt(id);
    return 0;
  }

  static int stream_data(ngtcp2_conn* conn, std::uint32_t flags, std::int64_t id, std::uint64_t,
                         const std::uint8_t* data, std::size_t bytes, void* user, void* found) {
    Session& session = self(user);
    StreamState& state = found != nullptr ? *stream(found) : session.adopt(id);
    if (state.reading_stopped) {
      ngtcp2_conn_extend_max_offset(conn, bytes);
      return 0;
    }
    state.in.append({data, bytes});
    if ((flags & NGTCP2_STREAM_DATA_FLAG_FIN) != 0) state.end_received = true;
    if (state.on_readable) state.on_readable();
    return 0;
  }

  static int acknowledged(ngtcp2_conn*, std::int64_t, std::uint64_t offset, std::uint64_t bytes,
                          void*, void* found) {
    if (found != nullptr) stream(found)->out.acknowledged(offset + bytes);
    return 0;
  }

  static int stream_reset(ngtcp2_conn*, std::int64_t, std::uint64_t, std::uint64_t code, void*,
                          void* found) {
    if (found == nullptr) return 0;
    StreamState& state = *stream(found);
    if (!state.read_error && !state.end_received) {
      state.read_error = base::make_error(
          Errc::Cancelled, fmt::format("the peer reset the stream with code {}", code));
    }
    if (state.on_readable) state.on_readable();
    return 0;
  }

  static int stop_sending(ngtcp2_conn*, std::int64_t, std::uint64_t code, void* user, void* found) {
    if (found == nullptr) return 0;
    StreamState& state = *stream(found);
    self(user).drop_ready(state);
    state.out.clear();
    if (!state.write_error) {
      state.write_error = base::make_error(
          Errc::Cancelled, fmt::format("the peer stopped reading the stream with code {}", code));
    }
    if (state.on_writable) state.on_writable();
    return 0;
  }

  static int stream_close(ngtcp2_conn*, std::uint32_t, std::int64_t, std::uint64_t, void* user,
                          void* found) {
    if (found == nullptr) return 0;
    StreamState& state = *stream(found);
    Session& session = self(user);
    session.drop_ready(state);
    state.over = true;
    if (!state.end_received && !state.read_error)
      state.read_error = base::make_error(Errc::Cancelled, "the stream was reset");
    if (!state.end_sent && !state.write_error)
      state.write_error = base::make_error(Errc::Cancelled, "the stream was reset");
    if (state.on_readable) state.on_readable();
    if (state.on_writable) state.on_writable();
    if (state.released) session.forget(state);
    return 0;
  }

  static int window_grew(ngtcp2_conn*, std::int64_t, std::uint64_t, void* user, void* found) {
    if (found == nullptr) return 0;
    StreamState& state = *stream(found);
    state.blocked = false;
    self(user).make_ready(state);
    return 0;
  }

  static int more_streams(ngtcp2_conn*, std::uint64_t, void* user) {
    Session& session = self(user);
    session.host_.streams_available(session);
    return 0;
  }

  static int datagram(ngtcp2_conn*, std::uint32_t, const std::uint8_t* data, std::size_t bytes,
                      void* user) {
    Session& session = self(user);
    session.host_.datagram_received(session, {data, bytes});
    return 0;
  }

  static int new_token(ngtcp2_conn*, const ngtcp2_vec* token, void* user) {
    Session& session = self(user);
    session.address_token_.assign(token->base, token->base + token->len);
    return 0;
  }

  static int stateless_reset(ngtcp2_conn*, const ngtcp2_pkt_stateless_reset*, void* user) {
    self(user).reset_received_ = true;
    return 0;
  }

  static ngtcp2_callbacks table(bool server) {
    ngtcp2_callbacks made{};
    set_protection_callbacks(made);
    made.recv_crypto_data = handshake_message;
    made.get_path_challenge_data = ngtcp2_crypto_get_path_challenge_data_cb;
    made.rand = random;
    made.get_new_connection_id = new_connection_id;
    made.remove_connection_id = remove_connection_id;
    made.handshake_completed = handshake_completed;
    made.stream_open = stream_open;
    made.recv_stream_data = stream_data;
    made.acked_stream_data_offset = acknowledged;
    made.stream_reset = stream_reset;
    made.stream_stop_sending = stop_sending;
    made.stream_close = stream_close;
    made.extend_max_stream_data = window_grew;
    made.extend_max_local_streams_bidi = more_streams;
    made.extend_max_local_streams_uni = more_streams;
    made.recv_datagram = datagram;
    if (!server) {
      made.recv_new_token = new_token;
      made.recv_stateless_reset = stateless_reset;
    }
    return made;
  }

  static ngtcp2_settings settings(Session& session, base::BytesView token, MonotonicTime now) {
    const SessionOptions& options = session.options_;
    ngtcp2_settings made;
    ngtcp2_settings_default(&made);
    made.initial_ts = stamp(now);
    made.cc_algo =
        options.congestion == Congestion::Bbr ? NGTCP2_CC_ALGO_BBR : NGTCP2_CC_ALGO_CUBIC;
    made.initial_rtt = static_cast<ngtcp2_duration>(options.initial_rtt.count());
    made.handshake_timeout = static_cast<ngtcp2_duration>(options.handshake_timeout.count());
    made.max_window = options.connection_window_max;
    made.max_stream_window = options.stream_window_max;
    made.rand_ctx.native_handle = &session.rng_;
    made.token = {const_cast<std::uint8_t*>(token.data()), token.size()};
    if (options.udp_payload_bytes != 0) {
      made.max_tx_udp_payload_size = options.udp_payload_bytes;
      made.no_tx_udp_payload_size_shaping = 1;
      made.no_pmtud = 1;
    }
    return made;
  }

  static ngtcp2_transport_params params(const SessionOptions& options) {
    ngtcp2_transport_params made;
    ngtcp2_transport_params_default(&made);
    made.initial_max_stream_data_bidi_local = options.stream_window;
    made.initial_max_stream_data_bidi_remote = options.stream_window;
    made.initial_max_stream_data_uni = options.stream_window;
    made.initial_max_data = options.connection_window;
    made.initial_max_streams_bidi = options.streams_max;
    made.initial_max_streams_uni = options.streams_max;
    made.max_idle_timeout = static_cast<ngtcp2_duration>(options.idle_timeout.count());
    made.active_connection_id_limit = 4;
    made.max_datagram_frame_size = 65'535;
    return made;
  }
};

Session::Session(SessionHost& host, base::Rng& rng, const SessionOptions& options, const Path& path,
                 const CipherEngine& engine)
    : Protected{&engine}, host_(host), rng_(rng), options_(options), path_(path) {}

Session::~Session() {
  if (conn_ != nullptr) ngtcp2_conn_del(conn_);
  for (auto& [id, stream] : streams_) stream->session = nullptr;
}

Result<std::unique_ptr<Session>> Session::accept(SessionHost& host, TlsContext& tls, base::Rng& rng,
                                                 const SessionOptions& options, const Path& path,
                                                 const Server& server, MonotonicTime now) {
  std::unique_ptr<Session> made(new Session(host, rng, options, path, *tls.options().engine));
  made->server_ = true;
  TRY(made->tls_,
      TlsSession::server(tls, {options.alpn, options.anonymous_peers, options.certificates}));
  const auto callbacks = Callbacks::table(true);
  const auto settings = Callbacks::settings(*made, server.token, now);
  auto params = Callbacks::params(options);
  params.original_dcid = server.original_id;
  if (server.retry_id) {
    params.retry_scid = *server.retry_id;
    params.retry_scid_present = 1;
  }
  ConnectionId ours{};
  host.issue(*made, ours, params.stateless_reset_token, kConnectionIdBytes);
  params.stateless_reset_token_present = 1;
  const ngtcp2_path way = native(made->path_);
  if (const int failed = ngtcp2_conn_server_new(&made->conn_, &server.client_id, &ours, &way,
                                                NGTCP2_PROTO_VER_V1, &callbacks, &settings, &params,
                                                nullptr, static_cast<Protected*>(made.get()))) {
    return base::fail(Errc::Internal, ngtcp2_strerror(failed));
  }
  made->tls_->bind(made->conn_);
  if (options.keep_alive > base::Duration::zero()) {
    ngtcp2_conn_set_keep_alive_timeout(made->conn_,
                                       static_cast<ngtcp2_duration>(options.keep_alive.count()));
  }
  return made;
}

Result<std::unique_ptr<Session>> Session::connect(SessionHost& host, TlsContext& tls,
                                                  base::Rng& rng, const SessionOptions& options,
                                                  const Path& path, const NodeId& expected,
                                                  const Resumption* resumption, MonotonicTime now) {
  std::unique_ptr<Session> made(new Session(host, rng, options, path, *tls.options().engine));
  const bool resumes = resumption != nullptr && !resumption->ticket.empty();
  TRY(made->tls_,
      TlsSession::client(tls, {options.alpn, expected,
                               resumes ? base::BytesView(resumption->ticket) : base::BytesView()}));
  const auto callbacks = Callbacks::table(false);
  const auto settings = Callbacks::settings(
      *made, resumption != nullptr ? base::BytesView(resumption->address_token) : base::BytesView(),
      now);
  const auto params = Callbacks::params(options);
  ConnectionId theirs{}, ours{};
  theirs.datalen = kConnectionIdBytes;
  rng.fill({theirs.data, kConnectionIdBytes});
  std::uint8_t unused_token[NGTCP2_STATELESS_RESET_TOKENLEN];
  host.issue(*made, ours, unused_token, kConnectionIdBytes);
  const ngtcp2_path way = native(made->path_);
  if (const int failed = ngtcp2_conn_client_new(&made->conn_, &theirs, &ours, &way,
                                                NGTCP2_PROTO_VER_V1, &callbacks, &settings, &params,
                                                nullptr, static_cast<Protected*>(made.get()))) {
    return base::fail(Errc::Internal, ngtcp2_strerror(failed));
  }
  made->tls_->bind(made->conn_);
  if (options.keep_alive > base::Duration::zero()) {
    ngtcp2_conn_set_keep_alive_timeout(made->conn_,
                                       static_cast<ngtcp2_duration>(options.keep_alive.count()));
  }
  if (resumes) {
    ngtcp2_conn_set_early_remote_transport_params(made->conn_, &resumption->params);
    made->early_ = true;
  }
  made->tls_->on_ticket = [session = made.get()] { session->host_.resumption_ready(*session); };
  return made;
}

void Session::receive(const Path& path, std::uint8_t ecn, base::BytesView datagram,
                      MonotonicTime now) {
  ++counters_.packets_received;
  counters_.bytes_received += datagram.size();
  if (conn_ == nullptr) {
    // Whoever still writes is told again, at a falling rate (RFC 9000, section 10.2.1).
    if (!draining_ && std::has_single_bit(++closing_received_)) {
      closing_packet_due_ = true;
      host_.wants_write(*this);
    }
    return;
  }
  Path from = path;
  const ngtcp2_path way = native(from);
  const ngtcp2_pkt_info info{ecn};
  const int result =
      ngtcp2_conn_read_pkt(conn_, &way, &info, datagram.data(), datagram.size(), stamp(now));
  if (result != 0) {
    fail(result, now);
    return;
  }
  if (!(path == path_)) {
    const Path current = from_native(*ngtcp2_conn_get_path(conn_));
    if (!(current == path_)) {
      path_ = current;
      host_.path_changed(*this, path_);
    }
  }
  host_.wants_write(*this);
}

void Session::handle_timeout(MonotonicTime now) {
  if (conn_ == nullptr) {
    if (now >= closing_until_) over_ = true;
    return;
  }
  if (const int result = ngtcp2_conn_handle_expiry(conn_, stamp(now))) {
    fail(result, now);
    return;
  }
  host_.wants_write(*this);
}

MonotonicTime Session::next_timeout() const {
  if (conn_ == nullptr) return over_ ? MonotonicTime::max() : closing_until_;
  // Some of ngtcp2's timers are over only after their time, not at it.
  const auto expiry = from_stamp(ngtcp2_conn_get_expiry(conn_));
  return expiry == MonotonicTime::max() ? expiry : expiry + base::Duration(1);
}

void Session::fail(int library_error, MonotonicTime now) {
  switch (library_error) {
    case NGTCP2_ERR_DRAINING: {
      ngtcp2_connection_close_error why;
      ngtcp2_conn_get_connection_close_error(conn_, &why);
      draining_ = true;
      end(reset_received_
              ? base::make_error(Errc::Unavailable, "the peer no longer knows the connection")
              : ended_by_peer(why),
          {}, now);
      return;
    }
    case NGTCP2_ERR_IDLE_CLOSE:
      draining_ = true;
      end(base::make_error(Errc::Unavailable,
                           fmt::format("nothing was heard from the peer for {} ms",
                                       std::chrono::duration_cast<std::chrono::milliseconds>(
                                           options_.idle_timeout)
                                           .count())),
          {}, now);
      over_ = true;
      return;
    case NGTCP2_ERR_HANDSHAKE_TIMEOUT:
      draining_ = true;
      end(base::make_error(Errc::TimedOut,
                           fmt::format("no handshake within {} ms",
                                       std::chrono::duration_cast<std::chrono::milliseconds>(
                                           options_.handshake_timeout)
                                           .count())),
          {}, now);
      over_ = true;
      return;
    case NGTCP2_ERR_RECV_VERSION_NEGOTIATION:
      draining_ = true;
      end(base::make_error(Errc::Unsupported, "the peer speaks no QUIC version 1"), {}, now);
      over_ = true;
      return;
    case NGTCP2_ERR_DROP_CONN:
    case NGTCP2_ERR_RETRY:
      draining_ = true;
      end(base::make_error(Errc::Unavailable, "the connection was given up"), {}, now);
      over_ = true;
      return;
    default:
      break;
  }
  ngtcp2_connection_close_error why;
  ngtcp2_connection_close_error_default(&why);
  const std::string& refusal = tls_->refusal();
  base::Error reason;
  if (library_error == NGTCP2_ERR_CRYPTO || library_error == NGTCP2_ERR_CALLBACK_FAILURE) {
    const std::uint8_t alert = ngtcp2_conn_get_tls_alert(conn_);
    ngtcp2_connection_close_error_set_transport_error_tls_alert(
        &why, alert != 0 ? alert : GNUTLS_A_BAD_CERTIFICATE,
        reinterpret_cast<const std::uint8_t*>(refusal.data()),
        std::min(refusal.size(), kReasonBytesMax));
    if (!refusal.empty()) {
      reason = base::make_error(Errc::NotVerified, refusal);
    } else if (alert == kAlertNoProtocol) {
      reason = base::make_error(Errc::InvalidArgument, "no common application protocol");
    } else {
      const char* name = gnutls_alert_get_name(static_cast<gnutls_alert_description_t>(alert));
      reason = base::make_error(
          alert_about_certificates(alert) ? Errc::NotVerified : Errc::Unavailable,
          fmt::format("the handshake failed: {}", name != nullptr ? name : "no keys"));
    }
  } else {
    ngtcp2_connection_close_error_set_transport_error_liberr(&why, library_error, nullptr, 0);
    reason = base::make_error(Errc::Unavailable, fmt::format("the peer broke the protocol: {}",
                                                             ngtcp2_strerror(library_error)));
  }
  end(std::move(reason), closing_packet(why, now), now);
}

base::Bytes Session::closing_packet(const ngtcp2_connection_close_error& why, MonotonicTime now) {
  base::Bytes packet(1200);
  Path path = path_;
  ngtcp2_path way = native(path);
  ngtcp2_pkt_info info{};
  const auto written = ngtcp2_conn_write_connection_close(conn_, &way, &info, packet.data(),
                                                          packet.size(), &why, stamp(now));
  packet.resize(written > 0 ? static_cast<std::size_t>(written) : 0);
  return packet;
}

// Lets go of all but what answers whoever still writes (RFC 9000, section 10.2).
void Session::end(base::Error reason, base::Bytes packet, MonotonicTime now) {
  if (ended_) return;
  ended_ = std::move(reason);
  closing_until_ = now + 3 * base::Duration(static_cast<std::int64_t>(ngtcp2_conn_get_pto(conn_)));
  closing_packet_ = std::move(packet);
  closing_packet_due_ = !closing_packet_.empty();
  ngtcp2_conn_del(conn_);
  conn_ = nullptr;
  const auto error = base::make_error(ended_->code, "the connection ended: " + ended_->message);
  const auto streams = std::move(streams_);
  streams_.clear();
  for (const auto& [id, stream] : streams) {
    stream->session = nullptr;
    stream->next_ready = nullptr;
    stream->ready = false;
    if (!stream->end_received && !stream->read_error) stream->read_error = error;
    if (!stream->write_error) stream->write_error = error;
    stream->out.clear();
    if (stream->on_readable) stream->on_readable();
    if (stream->on_writable) stream->on_writable();
  }
  std::fill(std::begin(ready_head_), std::end(ready_head_), nullptr);
  std::fill(std::begin(ready_tail_), std::end(ready_tail_), nullptr);
  datagrams_.clear();
  carried_.clear();
  host_.wants_write(*this);
}

void Session::close(std::uint64_t code, std::string reason, MonotonicTime now) {
  if (ended_) return;
  if (reason.size() > kReasonBytesMax) reason.resize(kReasonBytesMax);
  ngtcp2_connection_close_error why;
  ngtcp2_connection_close_error_default(&why);
  ngtcp2_connection_close_error_set_application_error(
      &why, code, reinterpret_cast<const std::uint8_t*>(reason.data()), reason.size());
  auto packet = closing_packet(why, now);
  end(base::make_error(Errc::Unavailable, std::move(reason)), std::move(packet), now);
}

// --- streams ---

StreamState& Session::adopt(std::int64_t id) {
  if (const auto known = streams_.find(id); known != streams_.end()) return *known->second;
  auto state = std::make_shared<StreamState>();
  state->id = id;
  state->session = this;
  if (ngtcp2_is_bidi_stream(id) == 0) {
    state->write_error =
        base::make_error(Errc::FailedPrecondition, "the peer's stream goes one way only");
    state->end_sent = true;
  }
  ngtcp2_conn_set_stream_user_data(conn_, id, state.get());
  streams_.emplace(id, state);
  StreamState& made = *state;
  host_.stream_opened(*this, std::move(state));
  return made;
}

Result<std::shared_ptr<StreamState>> Session::open_stream(bool bidirectional, std::uint8_t priority,
                                                          bool replay_safe) {
  if (ended_) {
    return base::fail(ended_->code, "the connection ended: " + ended_->message);
  }
  if (!established_ && !(early_ && replay_safe)) return std::shared_ptr<StreamState>();
  auto state = std::make_shared<StreamState>();
  const int result = bidirectional ? ngtcp2_conn_open_bidi_stream(conn_, &state->id, state.get())
                                   : ngtcp2_conn_open_uni_stream(conn_, &state->id, state.get());
  if (result == NGTCP2_ERR_STREAM_ID_BLOCKED) return std::shared_ptr<StreamState>();
  if (result != 0) return base::fail(Errc::Internal, ngtcp2_strerror(result));
  state->session = this;
  state->priority = std::min<std::uint8_t>(priority, kPriorities - 1);
  state->replay_safe = replay_safe;
  if (!bidirectional) {
    state->end_received = true;
    state->read_error = base::make_error(Errc::FailedPrecondition, "our stream goes one way only");
  }
  streams_.emplace(state->id, state);
  return state;
}

// Early streams were forgotten by the peer and by ngtcp2: they are opened again in their order,
// which gives them their old ids, and sent from the start.
void Session::restart_early_streams() {
  std::vector<StreamState*> streams;
  for (const auto& [id, stream] : streams_) streams.push_back(stream.get());
  std::ranges::sort(streams, {}, &StreamState::id);
  for (StreamState* stream : streams) {
    std::int64_t id = -1;
    const bool both = ngtcp2_is_bidi_stream(stream->id) != 0;
    const int opened = both ? ngtcp2_conn_open_bidi_stream(conn_, &id, stream)
                            : ngtcp2_conn_open_uni_stream(conn_, &id, stream);
    if (opened != 0 || id != stream->id) {
      stream->over = true;
      stream->read_error = stream->write_error =
          base::make_error(Errc::Unavailable, "the peer allows fewer streams than before");
      if (stream->on_readable) stream->on_readable();
      if (stream->on_writable) stream->on_writable();
      continue;
    }
    stream->out.rewind();
    stream->end_sent = false;
    stream->blocked = false;
    make_ready(*stream);
  }
}

void Session::make_ready(StreamState& stream) {
  if (stream.ready || stream.blocked || stream.over || conn_ == nullptr) return;
  if (stream.out.unsent() == 0 && (!stream.end_wanted || stream.end_sent)) return;
  append_ready(stream);
  host_.wants_write(*this);
}

void Session::append_ready(StreamState& stream) {
  stream.ready = true;
  stream.next_ready = nullptr;
  StreamState*& tail = ready_tail_[stream.priority];
  if (tail != nullptr) {
    tail->next_ready = &stream;
  } else {
    ready_head_[stream.priority] = &stream;
  }
  tail = &stream;
}

void Session::drop_ready(StreamState& stream) {
  if (!stream.ready) return;
  stream.ready = false;
  StreamState* before = nullptr;
  for (StreamState* at = ready_head_[stream.priority]; at != nullptr;
       before = at, at = at->next_ready) {
    if (at != &stream) continue;
    (before != nullptr ? before->next_ready : ready_head_[stream.priority]) = stream.next_ready;
    if (ready_tail_[stream.priority] == &stream) ready_tail_[stream.priority] = before;
    break;
  }
  stream.next_ready = nullptr;
}

StreamState* Session::first_ready() const {
  for (StreamState* head : ready_head_) {
    if (head != nullptr) return head;
  }
  return nullptr;
}

void Session::send(StreamState& stream, base::Bytes bytes) {
  stream.out.append(std::move(bytes));
  make_ready(stream);
}

void Session::send(StreamState& stream, base::BytesView bytes) {
  stream.out.append(bytes);
  make_ready(stream);
}

void Session::send_end(StreamState& stream) {
  stream.end_wanted = true;
  make_ready(stream);
}

base::Bytes Session::read(StreamState& stream) {
  base::Bytes bytes = stream.in.take();
  if (bytes.empty() || conn_ == nullptr) return bytes;
  ngtcp2_conn_extend_max_offset(conn_, bytes.size());
  if (!stream.over) {
    // Fails only for a stream that ngtcp2 has let go.
    (void)ngtcp2_conn_extend_max_stream_offset(conn_, stream.id, bytes.size());
  }
  host_.wants_write(*this);
  return bytes;
}

void Session::stop_reading(StreamState& stream, std::uint64_t code) {
  if (stream.reading_stopped) return;
  stream.reading_stopped = true;
  if (conn_ == nullptr) return;
  ngtcp2_conn_extend_max_offset(conn_, stream.in.size());
  stream.in.clear();
  if (!stream.over && !stream.end_received)
    (void)ngtcp2_conn_shutdown_stream_read(conn_, stream.id, code);
  host_.wants_write(*this);
}

void Session::reset(StreamState& stream, std::uint64_t code) {
  const auto error =
      base::make_error(Errc::Cancelled, fmt::format("the stream was reset with code {}", code));
  if (!stream.read_error) stream.read_error = error;
  if (!stream.write_error) stream.write_error = error;
  drop_ready(stream);
  stream.out.clear();
  if (conn_ != nullptr && !stream.over) {
    ngtcp2_conn_extend_max_offset(conn_, stream.in.size());
    stream.in.clear();
    stream.reading_stopped = true;
    (void)ngtcp2_conn_shutdown_stream(conn_, stream.id, code);
    host_.wants_write(*this);
  }
  if (stream.on_readable) stream.on_readable();
  if (stream.on_writable) stream.on_writable();
}

void Session::release(StreamState& stream) {
  stream.on_readable = stream.on_writable = nullptr;
  stream.released = true;
  stop_reading(stream, 0);
  if (!stream.write_error) send_end(stream);
  if (stream.over) forget(stream);
}

void Session::forget(StreamState& stream) {
  const std::int64_t id = stream.id;
  if (conn_ != nullptr && ngtcp2_conn_is_local_stream(conn_, id) == 0) {
    if (ngtcp2_is_bidi_stream(id) != 0) {
      ngtcp2_conn_extend_max_streams_bidi(conn_, 1);
    } else {
      ngtcp2_conn_extend_max_streams_uni(conn_, 1);
    }
    host_.wants_write(*this);
  }
  streams_.erase(id);
}

bool Session::send_datagram(base::BytesView bytes) {
  if (conn_ == nullptr || datagrams_.size() >= options_.datagrams_waiting_max) {
    ++counters_.datagrams_dropped;
    return false;
  }
  datagrams_.emplace_back(bytes.begin(), bytes.end());
  host_.wants_write(*this);
  return true;
}

std::size_t Session::datagram_bytes_max() const {
  if (conn_ == nullptr) return 0;
  const auto* params = ngtcp2_conn_get_remote_transport_params(conn_);
  if (params == nullptr || params->max_datagram_frame_size == 0) return 0;
  // A short header with the longest id and packet number, the frame's type and length, the tag.
  constexpr std::size_t kAround = 1 + 20 + 4 + 1 + 2 + kTagBytes;
  const std::size_t packet = ngtcp2_conn_get_path_max_tx_udp_payload_size(conn_);
  return std::min<std::size_t>(packet - kAround, params->max_datagram_frame_size - 3);
}

// --- writing ---

bool Session::write(Burst& burst, MonotonicTime now) {
  burst.bytes = burst.segment_bytes = 0;
  burst.ecn = 0;
  burst.path = path_;
  if (conn_ == nullptr) {
    if (!closing_packet_due_) return false;
    closing_packet_due_ = false;
    std::ranges::copy(closing_packet_, burst.data);
    burst.bytes = burst.segment_bytes = closing_packet_.size();
    return true;
  }
  if (!carried_.empty()) {
    std::ranges::copy(carried_, burst.data);
    burst.bytes = burst.segment_bytes = carried_.size();
    burst.path = carried_path_;
    burst.ecn = carried_ecn_;
    carried_.clear();
    return true;
  }
  const std::size_t bytes_max =
      std::min(Burst::kBytesMax, std::max<std::size_t>(ngtcp2_conn_get_send_quantum(conn_), 1500));
  for (std::size_t packets = 0; packets < Burst::kPacketsMax; ++packets) {
    const std::size_t room = bytes_max - burst.bytes;
    if (packets > 0 && room < burst.segment_bytes) break;
    Path path;
    std::uint8_t ecn = 0;
    const std::size_t written = write_packet(
        burst.data + burst.bytes, packets > 0 ? burst.segment_bytes : room, path, ecn, now);
    if (written == 0) break;
    ++counters_.packets_sent;
    counters_.bytes_sent += written;
    if (packets == 0) {
      burst.path = path;
      burst.ecn = ecn;
      burst.segment_bytes = written;
    } else if (!(path == burst.path) || ecn != burst.ecn) {
      carried_.assign(burst.data + burst.bytes, burst.data + burst.bytes + written);
      carried_path_ = path;
      carried_ecn_ = ecn;
      break;
    }
    burst.bytes += written;
    if (written < burst.segment_bytes) break;
  }
  if (conn_ == nullptr) return closing_packet_due_ && write(burst, now);
  ngtcp2_conn_update_pkt_tx_time(conn_, stamp(now));
  // Streams of one priority take turns, burst by burst.
  if (StreamState* head = first_ready(); head != nullptr && head->next_ready != nullptr) {
    drop_ready(*head);
    append_ready(*head);
  }
  return burst.bytes > 0;
}

std::size_t Session::write_packet(std::uint8_t* out, std::size_t bytes_max, Path& path,
                                  std::uint8_t& ecn, MonotonicTime now) {
  sockaddr_storage local, remote;
  ngtcp2_path way{{reinterpret_cast<sockaddr*>(&local), sizeof local},
                  {reinterpret_cast<sockaddr*>(&remote), sizeof remote},
                  nullptr};
  ngtcp2_pkt_info info{};
  const auto done = [&](ngtcp2_ssize written) -> std::size_t {
    if (written < 0) {
      fail(static_cast<int>(written), now);
      return 0;
    }
    if (written > 0) {
      path = from_native(way);
      ecn = static_cast<std::uint8_t>(info.ecn);
    }
    return static_cast<std::size_t>(written);
  };

  while (!datagrams_.empty()) {
    base::Bytes& first = datagrams_.front();
    const ngtcp2_vec vector{first.data(), first.size()};
    int accepted = 0;
    const auto written =
        ngtcp2_conn_writev_datagram(conn_, &way, &info, out, bytes_max, &accepted,
                                    NGTCP2_WRITE_DATAGRAM_FLAG_MORE, 0, &vector, 1, stamp(now));
    const bool refused =
        written == NGTCP2_ERR_INVALID_STATE || written == NGTCP2_ERR_INVALID_ARGUMENT;
    if (refused) ++counters_.datagrams_dropped;
    if (accepted != 0 || refused) datagrams_.pop_front();
    if (written == NGTCP2_ERR_WRITE_MORE || refused) continue;
    return done(written);
  }

  for (;;) {
    StreamState* stream = first_ready();
    if (stream == nullptr) {
      return done(ngtcp2_conn_writev_stream(conn_, &way, &info, out, bytes_max, nullptr,
                                            NGTCP2_WRITE_STREAM_FLAG_NONE, -1, nullptr, 0,
                                            stamp(now)));
    }
    base::BytesView pieces[kPiecesPerPacket];
    const std::size_t count = stream->out.gather(pieces, bytes_max);
    ngtcp2_vec vectors[kPiecesPerPacket];
    std::size_t offered = 0;
    for (std::size_t i = 0; i < count; ++i) {
      vectors[i] = {const_cast<std::uint8_t*>(pieces[i].data()), pieces[i].size()};
      offered += pieces[i].size();
    }
    const bool end = stream->end_wanted && offered == stream->out.unsent();
    const std::uint32_t flags =
        NGTCP2_WRITE_STREAM_FLAG_MORE | (end ? NGTCP2_WRITE_STREAM_FLAG_FIN : 0);
    ngtcp2_ssize taken = -1;
    const auto written = ngtcp2_conn_writev_stream(conn_, &way, &info, out, bytes_max, &taken,
                                                   flags, stream->id, vectors, count, stamp(now));
    if (written == NGTCP2_ERR_STREAM_DATA_BLOCKED) {
      stream->blocked = true;
      drop_ready(*stream);
      continue;
    }
    if (written == NGTCP2_ERR_STREAM_SHUT_WR || written == NGTCP2_ERR_STREAM_NOT_FOUND) {
      drop_ready(*stream);
      stream->out.clear();
      continue;
    }
    if (taken >= 0) {
      stream->out.sent(static_cast<std::uint64_t>(taken));
      if (end && static_cast<std::size_t>(taken) == offered) stream->end_sent = true;
      if (stream->out.unsent() == 0 && (!stream->end_wanted || stream->end_sent))
        drop_ready(*stream);
      if (stream->on_writable) stream->on_writable();
    }
    if (written == NGTCP2_ERR_WRITE_MORE) continue;
    return done(written);
  }
}

// --- the rest ---

Result<> Session::migrate(const Path& path, MonotonicTime now) {
  if (conn_ == nullptr) return base::fail(ended_->code, ended_->message);
  Path to = path;
  const ngtcp2_path way = native(to);
  if (const int failed = ngtcp2_conn_initiate_migration(conn_, &way, stamp(now))) {
    return base::fail(Errc::FailedPrecondition,
                      fmt::format("the connection cannot move now: {}", ngtcp2_strerror(failed)));
  }
  host_.wants_write(*this);
  return {};
}

Result<> Session::update_keys(MonotonicTime now) {
  if (conn_ == nullptr) return base::fail(ended_->code, ended_->message);
  if (const int failed = ngtcp2_conn_initiate_key_update(conn_, stamp(now))) {
    return base::fail(Errc::FailedPrecondition,
                      fmt::format("the keys cannot change now: {}", ngtcp2_strerror(failed)));
  }
  host_.wants_write(*this);
  return {};
}

Resumption Session::resumption() {
  Resumption made;
  made.ticket = tls_->take_ticket();
  if (conn_ != nullptr && ngtcp2_conn_get_remote_transport_params(conn_) != nullptr)
    made.params = *ngtcp2_conn_get_remote_transport_params(conn_);
  made.params.version_info_present = 0;  // Points into the connection.
  made.address_token = address_token_;
  return made;
}

ngtcp2_conn_stat Session::statistics() const {
  ngtcp2_conn_stat stat{};
  if (conn_ != nullptr) ngtcp2_conn_get_conn_stat(conn_, &stat);
  return stat;
}

}  // namespace stoq::quic
