#pragma once

#include <base/async/byte_stream.hpp>
#include <base/async/task.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <stoq/certificates.hpp>
#include <stoq/types.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace stoq {

/// One byte stream of a connection. Reading and writing are independent; a full window holds the
/// writer back.
class Stream : public base::ByteStream {
 public:
  /// write() of a block that is kept, not copied, until the peer has acknowledged it: a chunk that
  /// many peers are sent is held once.
  virtual base::Task<base::Result<>> write_shared(std::shared_ptr<const base::Bytes> block) {
    co_return co_await write(*block);
  }
  /// Drops what is unread and unsent; the peer's calls fail with Cancelled and `code`, and so do
  /// ours that wait.
  virtual void reset(std::uint64_t code) = 0;
  /// `call` is made once when nobody at the other end waits for our bytes any more: the peer reset
  /// the stream or stopped reading, or the connection ended. Also after our own reset() or close().
  /// Never from inside a call of the transport, and not when this stream is gone.
  virtual void when_abandoned(std::function<void()> call) = 0;
};

struct StreamOptions {
  Priority priority = Priority::Normal;
  bool one_way = false;  ///< Only the opener writes.
  /// May be served twice without harm, so it may travel with the first packet of a resumed
  /// connection (0-RTT), which an attacker can record and send again. Others wait for the
  /// handshake.
  bool replay_safe = false;
  /// How long to wait for the peer's stream limit or the handshake.
  base::Duration wait_max = base::Duration::max();
};

/// What a connection did, and how its path does. Bytes are those of UDP payloads.
struct ConnectionStats {
  base::Duration rtt{}, rtt_min{}, rtt_variation{};  ///< RFC 9002, section 5.
  std::uint64_t bytes_sent = 0, bytes_received = 0;
  std::uint64_t bytes_resent = 0;       ///< Of lost packets; an estimate.
  std::uint64_t congestion_events = 0;  ///< Times the window shrank.
  std::uint64_t congestion_window = 0, bytes_in_flight = 0;
  std::size_t packet_bytes = 0;    ///< What fits a packet of the path.
  std::uint64_t keys_renewed = 0;  ///< By us.
  base::Duration handshake{};      ///< From the first packet until it was complete.
  bool resumed = false;            ///< The handshake was short.
  bool early_accepted = false;
  std::size_t streams = 0;  ///< Still held, or of bytes that the peer has not acknowledged.
  std::string_view cipher;
};

/// An authenticated connection to one peer. Closing it ends its streams. All its calls, and those
/// of its streams, are made on `executor()`.
class Connection {
 public:
  virtual ~Connection() = default;

  /// Where the connection lives: one of the transport's.
  virtual base::Executor executor() const = 0;

  /// Who the certificate proved the far end to be; empty for an anonymous peer.
  virtual std::optional<NodeId> peer() const = 0;
  /// The application protocol both sides agreed on (RFC 7301).
  virtual const std::string& alpn() const = 0;

  /// Waits while the peer's stream limit is reached. The peer sees the stream when something is
  /// written to it. Errors: TimedOut (wait_max), those the connection ended with.
  virtual base::Task<base::Result<std::unique_ptr<Stream>>> open_stream(
      StreamOptions options = {}) = 0;
  /// The next stream that the peer opened. Errors: Unavailable (the connection ended).
  virtual base::Task<base::Result<std::unique_ptr<Stream>>> accept_stream() = 0;

  /// Unreliable and unordered, at most `datagram_bytes_max()`. Errors: InvalidArgument (too large),
  /// Unavailable.
  virtual base::Result<> send_datagram(base::BytesView bytes) = 0;
  virtual base::Task<base::Result<base::Bytes>> receive_datagram() = 0;
  virtual std::size_t datagram_bytes_max() const = 0;

  /// All zero when it has ended.
  virtual ConnectionStats stats() const = 0;

  /// Tells the peer `reason` and `code`, whose meaning is the application protocol's, then ends.
  /// Idempotent.
  virtual void close(std::string reason, std::uint64_t code = 0) = 0;
  /// What either end closed it with; 0 too while it is open, and when it ended by itself.
  virtual std::uint64_t close_code() const = 0;
  /// Resumes when the connection has ended, with the reason.
  virtual base::Task<std::string> closed() = 0;
};

struct ConnectOptions {
  std::string alpn = "stoq/1";
  base::Duration timeout = std::chrono::seconds(10);
  /// Where an earlier connection to the peer is remembered, do not wait for the handshake: streams
  /// that are replay-safe leave at once.
  bool early = false;
  /// Whoever answers is taken, and `Connection::peer()` tells who it proved to be: for first
  /// contact and for diagnosis. The id given to connect() does not matter then.
  bool any_peer = false;
};

struct ListenOptions {
  /// Application protocols that are served here; the first that a client also speaks is chosen.
  std::vector<std::string> alpn{"stoq/1"};
  /// What the listener shows of itself; null: the node's own leaf certificate. Outlives it.
  CertificateProvider* certificates = nullptr;
  /// Strangers without a certificate are let in: DNS over QUIC and HTTP/3 serve them on the same
  /// transport.
  bool anonymous_peers = false;
};

class Listener {
 public:
  virtual ~Listener() = default;  ///< Stops listening; connections that were accepted stay.
  /// Errors: Unavailable (the transport was shut down).
  virtual base::Task<base::Result<std::shared_ptr<Connection>>> accept() = 0;
  virtual Endpoint endpoint() const = 0;
};

/// Reaches other nodes over authenticated, encrypted connections.
///
/// Owned by the node that built it; outlives every Connection and Listener it returns. Its own
/// calls are made on the node's executor and none block. Implementations: QuicTransport,
/// MemoryTransport.
class Transport {
 public:
  virtual ~Transport() = default;

  virtual const NodeId& self() const = 0;

  /// Connects to `peer` at `endpoint`. Never null on success. Cancelling the task is safe.
  /// Errors: Unavailable (nobody listens: retry with back-off), TimedOut (retry), NotVerified
  /// (whoever answers does not prove to be `peer`: do not retry), InvalidArgument (no common ALPN).
  virtual base::Task<base::Result<std::shared_ptr<Connection>>> connect(
      Endpoint endpoint, NodeId peer, ConnectOptions options = {}) = 0;

  /// Errors: FailedPrecondition (address in use).
  virtual base::Result<std::unique_ptr<Listener>> listen(Endpoint endpoint,
                                                         ListenOptions options) = 0;
};

}  // namespace stoq
