#include "transport/quic/session.hpp"

#include <fmt/format.h>
#include <ngtcp2/ngtcp2_crypto.h>

#include <algorithm>
#include <bit>

#include "transport/quic/native.hpp"

namespace stoq::quic {

using base::Errc;
using base::MonotonicTime;
using base::Result;

namespace {

constexpr std::size_t kConnectionIdBytes = 18;
constexpr int kKeepAlivesPerIdleTimeout = 3;
// So many packets are acknowledged at once (RFC 9000, section 13.2.2); fewer than a peer's first
// window has, whose acknowledgement must not wait for a timer.
constexpr std::size_t kAcknowledgedAtOnce = 8;
// Of timers when nothing waits to be sent: of those that find losses (RFC 9002, section 6.1.2), and
// of all others. An acknowledgement may be that late, below the 25 ms of max_ack_delay, so that it
// travels beside what is sent meanwhile, and the timers of many sessions run out together.
using LossGranularity = std::chrono::milliseconds;
using Granularity = std::chrono::duration<std::int64_t, std::ratio<5, 1000>>;

bool equal(const sockaddr_in6& a, const sockaddr_in6& b) {
  return a.sin6_port == b.sin6_port && a.sin6_scope_id == b.sin6_scope_id &&
         std::memcmp(&a.sin6_addr, &b.sin6_addr, sizeof a.sin6_addr) == 0;
}

base::Error stopped_by_peer(std::string_view how, std::uint64_t code) {
  if (code == kStreamRefused) {
    return base::make_error(Errc::ResourceExhausted,
                            "the peer refused the stream: it holds too many of ours already");
  }
  if (code == kStreamOneWay) {
    return base::make_error(Errc::FailedPrecondition, "the peer's stream goes one way only");
  }
  return base::make_error(Errc::Cancelled,
                          fmt::format("the peer {} the stream with code {}", how, code));
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
    if (self(user).tls_->released()) {
      ngtcp2_conn_set_tls_alert(conn, GNUTLS_A_UNEXPECTED_MESSAGE);
      return NGTCP2_ERR_CRYPTO;
    }
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
    session.data_came_ = true;
    StreamState& state = found != nullptr ? *stream(found) : session.adopt(id);
    if (state.reading_stopped) {
      ngtcp2_conn_extend_max_offset(conn, bytes);
      return 0;
    }
    // Who reads goes on until nothing is left: one call for the first piece.
    const bool first = state.in.size() == 0;
    state.in.append({data, bytes});
    session.unread_bytes_ += bytes;
    if ((flags & NGTCP2_STREAM_DATA_FLAG_FIN) != 0) state.end_received = true;
    if ((first || state.end_received) && state.on_readable) state.on_readable();
    return 0;
  }

  static int acknowledged(ngtcp2_conn*, std::int64_t id, std::uint64_t offset, std::uint64_t bytes,
                          void* user, void* found) {
    self(user).packet_size_.acknowledged(id, offset + bytes);
    if (found != nullptr) stream(found)->out.acknowledged(offset + bytes);
    return 0;
  }

  static int stream_reset(ngtcp2_conn*, std::int64_t, std::uint64_t, std::uint64_t code, void*,
                          void* found) {
    if (found == nullptr) return 0;
    StreamState& state = *stream(found);
    if (!state.read_error && !state.end_received) {
      state.read_error = stopped_by_peer("reset", code);
    }
    if (code == kStreamRefused && !state.write_error)
      state.write_error = stopped_by_peer("reset", code);
    if (state.on_readable) state.on_readable();
    if (state.on_writable) state.on_writable();
    return 0;
  }

  static int stream_close(ngtcp2_conn*, std::uint32_t flags, std::int64_t id, std::uint64_t code,
                          void* user, void* found) {
    Session& session = self(user);
    session.packet_size_.stream_ended(id);
    if (found == nullptr) return 0;
    StreamState& state = *stream(found);
    session.drop_ready(state);
    state.over = true;
    if (ngtcp2_conn_is_local_stream(session.conn_, id) != 0 && --session.open_of_ours_ == 0)
      session.set_keep_alive();
    // Without a code it ended well.
    const auto why = (flags & NGTCP2_STREAM_CLOSE_FLAG_APP_ERROR_CODE_SET) != 0
                         ? stopped_by_peer("reset", code)
                         : base::make_error(Errc::Cancelled, "the stream was reset");
    if (!state.end_received && !state.read_error) state.read_error = why;
    if (!state.end_sent && !state.write_error) state.write_error = why;
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

  static void qlog(void* user, std::uint32_t, const void* data, std::size_t bytes) {
    self(user).qlog_->write({static_cast<const std::uint8_t*>(data), bytes});
  }

  static ngtcp2_settings settings(Session& session, base::BytesView token,
                                  const ConnectionId& original, MonotonicTime now) {
    const SessionOptions& options = session.options_;
    ngtcp2_settings made;
    ngtcp2_settings_default(&made);
    made.initial_ts = stamp(now);
    made.cc_algo =
        options.congestion == Congestion::Bbr ? NGTCP2_CC_ALGO_BBR : NGTCP2_CC_ALGO_CUBIC;
    made.initial_rtt = native(options.initial_rtt);
    made.handshake_timeout = native(options.handshake_timeout);
    made.ack_thresh = kAcknowledgedAtOnce;
    made.max_window = options.connection_window_max;
    made.max_stream_window = options.stream_window_max;
    made.rand_ctx.native_handle = &session.rng_;
    made.token = {const_cast<std::uint8_t*>(token.data()), token.size()};
    if (options.qlog) session.qlog_ = options.qlog(original, session.server_);
    if (session.qlog_) {
      made.qlog.odcid = original;
      made.qlog.write = qlog;
    }
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
    made.max_idle_timeout = native(options.idle_timeout);
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
  made->begun_ = now;
  TRY(made->tls_,
      TlsSession::server(tls, {options.alpn, options.anonymous_peers, options.certificates}));
  const auto callbacks = Callbacks::table(true);
  const auto settings = Callbacks::settings(*made, server.token, server.original_id, now);
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
  if (const int failed = ngtcp2_conn_server_new(
          &made->conn_, &server.client_id, &ours, &way, NGTCP2_PROTO_VER_V1, &callbacks, &settings,
          &params, host.memory(), static_cast<Protected*>(made.get()))) {
    return base::fail(Errc::Internal, ngtcp2_strerror(failed));
  }
  made->tls_->bind(made->conn_);
  made->set_keep_alive();
  return made;
}

Result<std::unique_ptr<Session>> Session::connect(SessionHost& host, TlsContext& tls,
                                                  base::Rng& rng, const SessionOptions& options,
                                                  const Path& path,
                                                  const std::optional<NodeId>& expected,
                                                  const Resumption* resumption, MonotonicTime now) {
  std::unique_ptr<Session> made(new Session(host, rng, options, path, *tls.options().engine));
  made->begun_ = now;
  const bool resumes = resumption != nullptr && !resumption->ticket.empty();
  TRY(made->tls_,
      TlsSession::client(tls, {options.alpn.front(), expected,
                               resumes ? base::BytesView(resumption->ticket) : base::BytesView()}));
  const auto callbacks = Callbacks::table(false);
  const auto params = Callbacks::params(options);
  ConnectionId theirs{}, ours{};
  theirs.datalen = kConnectionIdBytes;
  rng.fill({theirs.data, kConnectionIdBytes});
  const auto settings = Callbacks::settings(
      *made, resumption != nullptr ? base::BytesView(resumption->address_token) : base::BytesView(),
      theirs, now);
  std::uint8_t unused_token[NGTCP2_STATELESS_RESET_TOKENLEN];
  host.issue(*made, ours, unused_token, kConnectionIdBytes);
  const ngtcp2_path way = native(made->path_);
  if (const int failed = ngtcp2_conn_client_new(
          &made->conn_, &theirs, &ours, &way, NGTCP2_PROTO_VER_V1, &callbacks, &settings, &params,
          host.memory(), static_cast<Protected*>(made.get()))) {
    return base::fail(Errc::Internal, ngtcp2_strerror(failed));
  }
  made->tls_->bind(made->conn_);
  made->set_keep_alive();
  if (resumes) {
    ngtcp2_conn_set_early_remote_transport_params(made->conn_, &resumption->params);
    made->early_ = true;
  }
  made->tls_->on_ticket = [session = made.get()] { session->host_.resumption_ready(*session); };
  return made;
}

void Session::receive(const Path& path, std::uint8_t ecn, base::BytesView datagram,
                      MonotonicTime now) {
  if (conn_ == nullptr) {
    // Whoever still writes is told again, at a falling rate (RFC 9000, section 10.2.1).
    if (!draining_ && std::has_single_bit(++closing_received_)) {
      closing_packet_due_ = true;
      want_write();
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
  counted_.received += datagram.size();
  if (established_) {
    if (server_) tls_->release();
    renew_keys(now);
  }
  if (!(path == path_)) {
    const Path current = from_native(*ngtcp2_conn_get_path(conn_));
    if (!(current == path_)) {
      path_ = current;
      packet_size_.path_changed();
      host_.path_changed(*this, path_);
    }
  }
  // An acknowledgement alone waits a little, for what goes the same way.
  const bool waits = established_ && data_came_ && ++unanswered_ < kAcknowledgedAtOnce;
  data_came_ = false;
  if (!waits) write_due_ = true;
  host_.wants_write(*this);
}

void Session::want_write() {
  write_due_ = true;
  host_.wants_write(*this);
}

void Session::renew_keys(MonotonicTime now) {
  if (keys_due_ == MonotonicTime::max()) {
    handshake_ = now - begun_;
    keys_due_ = now + options_.key_life;
  }
  // Not before the handshake is confirmed, and not twice in three round trips: then later.
  if (now < keys_due_ || ngtcp2_conn_initiate_key_update(conn_, stamp(now)) != 0) return;
  ++counted_.keys_renewed;
  keys_due_ = now + options_.key_life;
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
  ngtcp2_conn_stat stat;
  ngtcp2_conn_get_conn_stat(conn_, &stat);
  timeouts_ = stat.pto_count;
  packet_size_.timed_out(
      timeouts_, ngtcp2_conn_get_path_max_tx_udp_payload_size(conn_) > PacketSize::kAlwaysBytes,
      now);
  want_write();
}

MonotonicTime Session::next_timeout() const {
  if (conn_ == nullptr) return over_ ? MonotonicTime::max() : closing_until_;
  const auto expiry = from_stamp(ngtcp2_conn_get_expiry(conn_));
  if (expiry == MonotonicTime::max()) return expiry;
  // Some of ngtcp2's timers are over only after their time, not at it.
  const auto after = expiry + base::Duration(1);
  if (first_ready() != nullptr || !datagrams_.empty()) return after;  // It waits for its pace.
  ngtcp2_conn_stat stat;
  ngtcp2_conn_get_conn_stat(conn_, &stat);
  if (from_stamp(stat.loss_detection_timer) <= expiry)
    return std::chrono::ceil<LossGranularity>(after);
  return std::chrono::ceil<Granularity>(after);
}

// Whoever awaits something keeps the way open, and notices when the peer is gone.
void Session::set_keep_alive() {
  base::Duration every = options_.keep_alive;
  if (every == base::Duration::zero() && open_of_ours_ > 0) {
    every = options_.idle_timeout;
    const auto* theirs = ngtcp2_conn_get_remote_transport_params(conn_);
    if (theirs != nullptr && theirs->max_idle_timeout > 0)
      every = std::min(every, base::Duration(static_cast<std::int64_t>(theirs->max_idle_timeout)));
    every /= kKeepAlivesPerIdleTimeout;
  }
  ngtcp2_conn_set_keep_alive_timeout(conn_, native(every));
}

Result<> Session::migrate(const Path& path, MonotonicTime now) {
  if (conn_ == nullptr) return base::fail(ended_->code, ended_->message);
  Path to = path;
  const ngtcp2_path way = native(to);
  if (const int failed = ngtcp2_conn_initiate_immediate_migration(conn_, &way, stamp(now))) {
    return base::fail(Errc::FailedPrecondition,
                      fmt::format("the connection cannot move now: {}", ngtcp2_strerror(failed)));
  }
  path_ = path;
  packet_size_.path_changed();
  // A challenge alone does not tell the peer that we have moved (RFC 9000, section 9.1), and there
  // may be nothing else to send: ngtcp2 pings for whoever keeps alive.
  moved_at_ = now;
  ngtcp2_conn_set_keep_alive_timeout(conn_, 1);
  want_write();
  return {};
}

Result<> Session::update_keys(MonotonicTime now) {
  if (conn_ == nullptr) return base::fail(ended_->code, ended_->message);
  if (const int failed = ngtcp2_conn_initiate_key_update(conn_, stamp(now))) {
    return base::fail(Errc::FailedPrecondition,
                      fmt::format("the keys cannot change now: {}", ngtcp2_strerror(failed)));
  }
  want_write();
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

}  // namespace stoq::quic
