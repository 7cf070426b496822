#pragma once

#include <atomic>
#include <base/async/channel.hpp>
#include <base/log.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <map>
#include <stoq/transport.hpp>

#include "transport/quic/block_pool.hpp"
#include "transport/quic/meters.hpp"
#include "transport/quic/session.hpp"
#include "transport/quic/source_limits.hpp"
#include "transport/quic/timer_wheel.hpp"
#include "transport/quic/udp_socket.hpp"

namespace stoq::quic {

class QuicEndpoint;

/// What the endpoints of all cores share. Outlives them.
struct Shared {
  /// `secret` has 32 bytes. With the same one a node that was restarted can tell peers of
  /// connections that it has forgotten, and knows the addresses that it has verified.
  Shared(TlsContext& tls, const base::Clock& clock, base::BytesView secret,
         const SessionOptions& session, const Limits& limits);

  /// Of the peer; empty when nothing is remembered. A ticket serves once.
  std::optional<Resumption> take_resumption(const NodeId& peer, const std::string& alpn);
  void remember(const NodeId& peer, const std::string& alpn, Resumption resumption);

  static constexpr std::size_t kResumptionsMax = 4096;

  TlsContext& tls;
  const base::Clock& clock;
  SessionOptions session;  ///< Of new connections; ALPN and such are set for each.
  base::Digest token_secret, reset_secret;
  std::vector<std::weak_ptr<QuicEndpoint>> endpoints;  ///< By core; complete before any works.
  unsigned cores() const { return static_cast<unsigned>(endpoints.size()); }

  std::mutex mutex;  // Guards what follows.
  SourceLimits limits;
  std::map<std::pair<NodeId, std::string>, Resumption> resumptions;
};

/// A connection as its holders see it; outlives the session. Used on its endpoint's executor.
struct ConnectionState {
  explicit ConnectionState(const base::Executor& executor)
      : executor(executor),
        changed(executor),
        streams_available(executor),
        streams(executor, kUnbounded),
        datagrams(executor, kDatagramsMax) {}
  // The peer's stream limit bounds the first, this the second: more are dropped.
  static constexpr std::size_t kUnbounded = std::size_t{1} << 32, kDatagramsMax = 256;

  base::Error gone() const;
  base::MonotonicTime now() const;

  base::Executor executor;
  std::weak_ptr<QuicEndpoint> endpoint;
  Session* session = nullptr;  ///< Null when it is over.
  std::optional<NodeId> peer;
  std::string alpn;
  bool established = false;
  std::optional<base::Error> ended;
  std::uint64_t close_code = 0;   ///< When it has ended.
  base::Event changed;            ///< Established or ended.
  base::Event streams_available;  ///< The peer lets us open more.
  base::Channel<std::shared_ptr<StreamState>> streams;
  base::Channel<base::Bytes> datagrams;
};

/// Takes what arrives at a listening socket, on that socket's core. Shared by the cores.
struct Acceptor {
  ListenOptions options;
  std::function<void(std::shared_ptr<ConnectionState>)> accepted;
};

/// The connections of one core: sockets, the table of connection ids, timers. Everything on one
/// executor.
class QuicEndpoint final : public std::enable_shared_from_this<QuicEndpoint> {
 public:
  QuicEndpoint(base::Executor executor, Shared& shared, unsigned core);
  ~QuicEndpoint();
  QuicEndpoint(const QuicEndpoint&) = delete;
  QuicEndpoint& operator=(const QuicEndpoint&) = delete;

  const base::Executor& executor() const { return executor_; }
  void add_socket(std::shared_ptr<UdpSocket> socket, std::shared_ptr<Acceptor> acceptor);
  void remove_socket(const UdpSocket& socket);

  /// Begins a connection from `socket`, one of ours. `resumption` may be null.
  base::Result<std::shared_ptr<ConnectionState>> connect(std::shared_ptr<UdpSocket> socket,
                                                         const sockaddr_in6& to,
                                                         const std::optional<NodeId>& peer,
                                                         const SessionOptions& options,
                                                         const Resumption* resumption);
  base::Result<> migrate(Session& session, std::shared_ptr<UdpSocket> to);
  void close(Session& session, std::string reason, std::uint64_t code);
  /// Tells every peer, then forgets all.
  void shut_down();
  /// A datagram that another core received. Call on any thread.
  void take_over(std::uint16_t port, const Path& path, std::uint8_t ecn, base::Bytes datagram);
  base::MonotonicTime now() const { return shared_.clock.now(); }
  const Meters& meters() const { return meters_; }
  /// What it holds. Call on its executor.
  struct Usage {
    std::size_t connections = 0, ids = 0, streams = 0, unread_bytes = 0, sockets = 0;
  };
  Usage usage() const;
  /// Datagrams that had to be handed to another core.
  std::uint64_t misdirected() const { return misdirected_; }

 private:
  struct Live;
  struct Port;
  struct IdHash {
    std::uint64_t seed;
    std::size_t operator()(const ConnectionId& id) const;
  };
  struct IdEqual {
    bool operator()(const ConnectionId& a, const ConnectionId& b) const {
      return ngtcp2_cid_eq(&a, &b) != 0;
    }
  };

  /// By the address and port that they lead to.
  using Dialled = std::multimap<std::array<std::uint8_t, 18>, Live*>;

  void wait_readable(std::shared_ptr<Port> port);
  void wait_writable(std::shared_ptr<Port> port);
  void read_on(const std::shared_ptr<Port>& port);
  /// One turn; true when there may be more.
  bool read(const std::shared_ptr<Port>& port);
  Live* owner_of(base::BytesView datagram);
  Live* reset_by(const Path& path, base::BytesView datagram);
  void dispatch(const std::shared_ptr<Port>& port, const Path& path, std::uint8_t ecn,
                base::BytesView datagram, base::MonotonicTime at);
  void unknown(const std::shared_ptr<Port>& port, const Path& path, std::uint8_t ecn,
               base::BytesView datagram, const ngtcp2_version_cid& ids, base::MonotonicTime at);
  void begin(const std::shared_ptr<Port>& port, const Path& path, std::uint8_t ecn,
             base::BytesView datagram, const ngtcp2_pkt_hd& header, base::MonotonicTime at);
  void answer(const Port& port, const Path& path, base::BytesView datagram, base::MonotonicTime at);
  Live& add(std::shared_ptr<Port> port);
  void schedule_flush();
  void flush();
  void write(Live& live, base::MonotonicTime at);
  void settle(Live& live, base::MonotonicTime at);
  void measure(Live& live, base::MonotonicTime at);
  void tell_of_end(Live& live);
  void release_account(Live& live);
  void seek_way(Live& live, base::MonotonicTime at);
  void arm();
  void forget(Live& live);
  bool count_stream(Live& live);
  void count_unread(Live& live, base::MonotonicTime at);
  void make_room(base::MonotonicTime at);
  void shed_unread(base::MonotonicTime at);
  std::shared_ptr<Port> port_of(const UdpSocket& socket) const;

  static constexpr std::size_t kOwnIdBytes = 18;

  base::Executor executor_;
  Shared& shared_;
  unsigned core_;
  base::SystemRng rng_;
  TimerWheel wheel_;
  boost::asio::steady_timer timer_;
  base::MonotonicTime timer_at_ = base::MonotonicTime::max();
  std::vector<std::shared_ptr<Port>> ports_;
  BlockPool pool_;
  ngtcp2_mem memory_;  // Of pool_, as ngtcp2 wants it.
  std::list<Live> lives_;
  std::unordered_map<ConnectionId, Live*, IdHash, IdEqual> ids_;
  Dialled dialled_;       // Those that were begun here.
  Live* last_ = nullptr;  // Whose datagram came last, and to which id.
  std::array<std::uint8_t, kOwnIdBytes> last_id_{};
  std::vector<Live*> dirty_, turn_;  // Who wants to write, and who is writing.
  bool flush_scheduled_ = false, answer_first_ = false;
  base::Bytes burst_;
  std::atomic<std::uint64_t> misdirected_ = 0;
  std::atomic<std::size_t> handed_over_ = 0;
  Meters meters_;
  std::size_t unread_bytes_ = 0;
  base::MonotonicTime room_made_{};
};

}  // namespace stoq::quic
