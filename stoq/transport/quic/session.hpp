#pragma once

// One QUIC connection (RFC 9000) without sockets, threads or clocks: datagrams and the time go in,
// datagrams, the next deadline and calls of SessionHost come out. ngtcp2 does the protocol; this
// adds streams with buffers, priorities, early data that survives its rejection, and reasons.

#include <netinet/in.h>

#include <base/random.hpp>
#include <base/time.hpp>
#include <list>
#include <memory>
#include <stoq/transport.hpp>
#include <unordered_map>

#include "transport/quic/packet_protection.hpp"
#include "transport/quic/packet_size.hpp"
#include "transport/quic/session_counts.hpp"
#include "transport/quic/stream_buffers.hpp"
#include "transport/quic/tls.hpp"

namespace stoq::quic {

class Session;
using ConnectionId = ngtcp2_cid;

/// The two ends of a datagram's way. A host has several addresses, so ours counts too.
struct Path {
  sockaddr_in6 local{}, remote{};
  bool operator==(const Path& other) const;
};

/// Datagrams of one size but for the last, which may be shorter: what one send call takes.
struct Burst {
  static constexpr std::size_t kBytesMax = 65'000;  ///< Below the 64 KiB of a UDP send.
  static constexpr std::size_t kPacketsMax = 64;    ///< UDP_MAX_SEGMENTS.
  Path path;
  std::size_t bytes = 0, segment_bytes = 0;
  std::uint8_t ecn = 0;
  std::uint8_t* data = nullptr;  ///< kBytesMax of them.
};

/// One stream's state, shared by the session and whoever holds the stream.
struct StreamState {
  std::int64_t id = -1;
  Session* session = nullptr;  ///< Null when the connection has ended.
  std::uint8_t priority = 0;

  SendBuffer out;
  bool end_wanted = false, end_sent = false;
  bool ready = false;    ///< Is in the session's list of streams that have something to send.
  bool blocked = false;  ///< The peer's window is full.
  StreamState* next_ready = nullptr;

  ReceiveBuffer in;
  bool end_received = false;
  bool reading_stopped = false;  ///< Nobody reads: what still comes is dropped.

  bool over = false;      ///< Both directions have ended.
  bool released = false;  ///< Nobody holds it any more.
  bool refused = false;   ///< Nobody ever held it.
  bool one_way = false;   ///< Ours, and not read by us.

  /// Why reading or writing cannot go on.
  std::optional<base::Error> read_error, write_error;
  /// Called when any of the above changed in the reader's or the writer's favour.
  std::function<void()> on_readable, on_writable;
  /// Who writes waits until fewer bytes than these are unsent; 0: nobody waits.
  std::uint64_t writer_waits_below = 0;
};

/// With it a stream ends that the peer would have been one too many of.
constexpr std::uint64_t kStreamRefused = 0x53'54'4f'51'01;
/// With it whoever opened a stream that goes one way stops reading it.
constexpr std::uint64_t kStreamOneWay = 0x53'54'4f'51'02;

enum class Congestion : std::uint8_t { Cubic, Bbr };

/// Where one connection's qlog goes, in pieces.
class Qlog {
 public:
  virtual ~Qlog() = default;
  virtual void write(base::BytesView bytes) = 0;
};
/// Null: this connection gets none. `original`: the id that the client chose for the server.
using QlogFactory = std::function<std::unique_ptr<Qlog>(const ConnectionId& original, bool server)>;

struct SessionOptions {
  std::vector<std::string> alpn{"stoq/1"};  ///< A client offers the first of them.
  bool anonymous_peers = false;
  CertificateProvider* certificates = nullptr;  ///< Null: the context's.
  Congestion congestion = Congestion::Cubic;
  base::Duration idle_timeout = std::chrono::seconds(30);
  base::Duration keep_alive{};  ///< Zero: only while a stream that we opened is open.
  base::Duration handshake_timeout = std::chrono::seconds(10);
  /// How long packets are protected by the same keys (RFC 9001, section 6).
  base::Duration key_life = std::chrono::hours(24);
  /// Before the path is measured; paces the first flight.
  base::Duration initial_rtt = std::chrono::milliseconds(10);
  std::uint64_t streams_max = 1024;  ///< Open at once, of each kind, by the peer.
  std::uint64_t stream_window = 256 * 1024, connection_window = 1024 * 1024;
  std::uint64_t stream_window_max = 8 * 1024 * 1024, connection_window_max = 16 * 1024 * 1024;
  std::size_t datagrams_waiting_max = 256;
  std::size_t udp_payload_bytes = 0;  ///< Fixed size of packets; 0: discovered, from 1200.
  QlogFactory qlog;                   ///< Empty: none is written.
};

/// What of an earlier connection makes the next one to the same peer cheaper.
struct Resumption {
  base::Bytes ticket;
  ngtcp2_transport_params params{};
  base::Bytes address_token;  ///< Of NEW_TOKEN: spares a Retry.
};

/// Who runs sessions. Called from inside the session's calls: it takes notes and must not call
/// back.
class SessionHost {
 public:
  virtual ~SessionHost() = default;
  /// Where ngtcp2 takes a session's memory from; null: malloc. Outlives the sessions.
  virtual const ngtcp2_mem* memory() { return nullptr; }
  /// A fresh id of ours, to which the host will route, and its stateless reset token.
  virtual void issue(Session& session, ConnectionId& id, std::uint8_t* reset_token,
                     std::size_t id_bytes) = 0;
  virtual void retire(Session& session, const ConnectionId& id) = 0;
  /// There is something to write.
  virtual void wants_write(Session& session) = 0;
  virtual void established(Session& session) = 0;
  /// The peer opened a stream. False: it is refused.
  virtual bool stream_opened(Session& session, std::shared_ptr<StreamState> stream) = 0;
  /// A stream that the peer opened, and that was not refused, is gone.
  virtual void stream_closed(Session& session) = 0;
  /// More streams may be opened by us.
  virtual void streams_available(Session& session) = 0;
  virtual void datagram_received(Session& session, base::BytesView bytes) = 0;
  virtual void resumption_ready(Session& session) = 0;
  /// A token for the client to show next time; empty: none.
  virtual base::Bytes address_token(const Path& path) = 0;
  /// The peer proved that it is at a new address, or we moved to one.
  virtual void path_changed(Session& session, const Path& path) = 0;
};

class Session final : private Protected {
 public:
  struct Server {
    ConnectionId client_id, original_id;   ///< The client's id, and the one it chose for us.
    std::optional<ConnectionId> retry_id;  ///< Ours of the Retry that went before.
    base::BytesView token;
  };
  /// The host, the context and `rng` outlive the session.
  static base::Result<std::unique_ptr<Session>> accept(SessionHost& host, TlsContext& tls,
                                                       base::Rng& rng,
                                                       const SessionOptions& options,
                                                       const Path& path, const Server& server,
                                                       base::MonotonicTime now);
  /// With `resumption` the handshake is short, and streams marked replay-safe leave at once.
  static base::Result<std::unique_ptr<Session>> connect(
      SessionHost& host, TlsContext& tls, base::Rng& rng, const SessionOptions& options,
      const Path& path, const std::optional<NodeId>& expected, const Resumption* resumption,
      base::MonotonicTime now);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // --- driven by the host ---
  void receive(const Path& path, std::uint8_t ecn, base::BytesView datagram,
               base::MonotonicTime now);
  void handle_timeout(base::MonotonicTime now);
  /// When handle_timeout() is due; max() for never.
  base::MonotonicTime next_timeout() const;
  /// Fills `burst`; false when there is nothing to send now.
  bool write(Burst& burst, base::MonotonicTime now);
  /// Nothing more will come of it: the host lets it go.
  bool over() const { return over_; }

  // --- used by whoever holds the connection ---
  bool established() const { return established_; }
  /// Streams that are replay-safe may be opened before the handshake is complete.
  bool early() const { return early_; }
  /// Whether a datagram that names no connection is the peer's word that it knows this one no more
  /// (RFC 9000, section 10.3). Then reset_by_peer().
  bool is_reset(base::BytesView datagram) const;
  void reset_by_peer(base::MonotonicTime now);
  bool is_server() const { return server_; }
  const std::optional<NodeId>& peer() const { return tls_->peer(); }
  /// What both sides agreed on; empty before.
  std::string alpn() const { return tls_->alpn(); }
  bool resumed() const { return tls_->resumed(); }
  bool early_accepted() const { return early_ && !early_rejected_; }
  const std::optional<base::Error>& ended() const { return ended_; }
  /// The application's, of either end; 0: it did not close, or gave none.
  std::uint64_t close_code() const { return close_code_; }
  const Path& path() const { return path_; }
  /// Nothing has come from the peer for a while although it should have answered.
  bool in_doubt() const { return timeouts_ >= PacketSize::kTimeoutsInDoubt; }
  SessionHost& host() const { return host_; }
  ConnectionStats stats() const;
  /// Of them what only grows: costs nothing.
  const SessionCounts& counted() const { return counted_; }
  std::size_t streams() const { return streams_.size(); }
  /// Received on streams, in order, and read by nobody.
  std::size_t unread_bytes() const { return unread_bytes_; }

  /// Null while the peer's limit is reached: see streams_available(). Errors: those of ended().
  /// One that is not bidirectional is so on the wire, with its other way stopped: ngtcp2 0.12 never
  /// forgets a unidirectional stream that it received, so a peer may open `streams_max` of those in
  /// all.
  base::Result<std::shared_ptr<StreamState>> open_stream(bool bidirectional, std::uint8_t priority,
                                                         bool replay_safe);
  void send(StreamState& stream, base::Bytes bytes);
  void send(StreamState& stream, std::shared_ptr<const base::Bytes> bytes);
  void send(StreamState& stream, base::BytesView bytes);
  void send_end(StreamState& stream);
  /// Bytes that were received; also tells the peer that there is room again.
  base::Bytes read(StreamState& stream);
  void stop_reading(StreamState& stream, std::uint64_t code);
  void reset(StreamState& stream, std::uint64_t code);
  /// Its holder lets it go; call last. The peer may then open another.
  void release(StreamState& stream);

  /// False when too many wait already, or when the peer takes none.
  bool send_datagram(base::BytesView bytes);
  std::size_t datagram_bytes_max() const;

  /// The peer is told `reason` (cut to what fits a packet). Streams end with it.
  void close(std::uint64_t code, std::string reason, base::MonotonicTime now);
  /// Goes on from another local address at once. Errors: FailedPrecondition (the handshake is not
  /// over, or the peer gave no spare connection id).
  base::Result<> migrate(const Path& path, base::MonotonicTime now);
  base::Result<> update_keys(base::MonotonicTime now);
  /// What the next connection to this peer can begin with; empty ticket: nothing yet.
  Resumption resumption();

 private:
  struct Callbacks;
  friend struct Callbacks;

  Session(SessionHost& host, base::Rng& rng, const SessionOptions& options, const Path& path,
          const CipherEngine& engine);
  std::optional<base::Error> silent_end(int library_error) const;
  /// Stops for `library_error` of ngtcp2, and tells the peer unless it was the peer who stopped.
  void fail(int library_error, base::MonotonicTime now);
  void end(base::Error reason, base::Bytes packet, base::MonotonicTime now);
  base::Bytes closing_packet(const ngtcp2_connection_close_error& why, base::MonotonicTime now);
  void renew_keys(base::MonotonicTime now);
  void count_sent(const Burst& burst);
  void want_write();
  void count_resent(std::size_t packet_bytes, std::uint64_t given_bytes);
  void set_keep_alive();
  void make_ready(StreamState& stream);
  void append_ready(StreamState& stream);
  void drop_ready(StreamState& stream);
  StreamState* first_ready() const;
  StreamState& adopt(std::int64_t id);
  void forget(StreamState& stream);
  void drop_unread(StreamState& stream);
  void restart_early_streams();
  void pace(std::size_t bytes, base::MonotonicTime now);
  /// One packet at `out`; 0 when there is none to send.
  std::size_t write_packet(std::uint8_t* out, std::size_t bytes_max, Path& path, std::uint8_t& ecn,
                           base::MonotonicTime now);

  static constexpr std::size_t kPriorities = 4;

  SessionHost& host_;
  base::Rng& rng_;
  SessionOptions options_;
  Path path_;
  std::unique_ptr<TlsSession> tls_;
  std::unique_ptr<Qlog> qlog_;
  ngtcp2_conn* conn_ = nullptr;
  bool server_ = false, established_ = false, over_ = false;
  bool early_ = false, early_rejected_ = false, reset_received_ = false;
  std::optional<base::Error> ended_;
  std::uint64_t close_code_ = 0;
  base::MonotonicTime closing_until_{};
  base::Bytes closing_packet_;
  bool closing_packet_due_ = false, draining_ = false;
  std::uint32_t closing_received_ = 0;
  std::unordered_map<std::int64_t, std::shared_ptr<StreamState>> streams_;
  StreamState* ready_head_[kPriorities]{};
  StreamState* ready_tail_[kPriorities]{};
  std::size_t unread_bytes_ = 0, timeouts_ = 0;
  PacketSize packet_size_;
  // Since the last write:
  bool write_due_ = false;                       ///< It waits for nothing else.
  bool data_came_ = false;                       ///< With the datagram that is being received.
  std::size_t unanswered_ = 0;                   ///< Datagrams with data of streams.
  std::size_t untold_bytes_ = 0;                 ///< That were read, and make room for more.
  std::optional<base::MonotonicTime> moved_at_;  ///< Of a move that the peer was not told of.
  std::list<base::Bytes> datagrams_;
  base::Bytes address_token_;
  base::MonotonicTime begun_, keys_due_ = base::MonotonicTime::max();
  base::Duration handshake_{};
  std::size_t open_of_ours_ = 0;  // Streams.
  ngtcp2_tstamp recovery_ = 0;    // When the window shrank last.
  SessionCounts counted_;
  std::uint64_t unpaced_bytes_ = 0;  // Sent since ngtcp2 was told to pause after them.
  base::MonotonicTime unpaced_since_{};
  // A packet that did not fit the burst before it.
  base::Bytes carried_;
  Path carried_path_;
  std::uint8_t carried_ecn_ = 0;
};

}  // namespace stoq::quic
