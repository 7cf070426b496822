#pragma once

#include <base/async/byte_stream.hpp>
#include <base/async/task.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <stoq/types.hpp>
#include <string>

namespace stoq {

/// One byte stream of a connection. Reading and writing are independent; a full window holds the
/// writer back.
class Stream : public base::ByteStream {
 public:
  /// Drops what is unread and unsent; the peer's calls fail with Cancelled and `code`.
  virtual void reset(std::uint64_t code) = 0;
};

/// An authenticated connection to one peer. Closing it ends its streams.
class Connection {
 public:
  virtual ~Connection() = default;

  /// Who the certificate proved the far end to be; empty for an anonymous peer.
  virtual std::optional<NodeId> peer() const = 0;
  /// The application protocol both sides agreed on (RFC 7301).
  virtual const std::string& alpn() const = 0;

  /// Waits while the peer's stream limit is reached. Errors: Unavailable (the connection ended).
  virtual base::Task<base::Result<std::unique_ptr<Stream>>> open_stream() = 0;
  /// The next stream that the peer opened. Errors: Unavailable (the connection ended).
  virtual base::Task<base::Result<std::unique_ptr<Stream>>> accept_stream() = 0;

  /// Unreliable and unordered, at most `datagram_bytes_max()`. Errors: InvalidArgument (too large),
  /// Unavailable.
  virtual base::Result<> send_datagram(base::BytesView bytes) = 0;
  virtual base::Task<base::Result<base::Bytes>> receive_datagram() = 0;
  virtual std::size_t datagram_bytes_max() const = 0;

  /// Tells the peer `reason`, then ends. Idempotent.
  virtual void close(std::string reason) = 0;
  /// Resumes when the connection has ended, with the reason.
  virtual base::Task<std::string> closed() = 0;
};

struct ListenOptions {
  std::string alpn = "stoq/1";
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
/// Owned by the node that built it; outlives every Connection and Listener it returns. All calls
/// are made on the node's executor and none block. Implementations: MemoryTransport.
class Transport {
 public:
  virtual ~Transport() = default;

  virtual const NodeId& self() const = 0;

  /// Connects to `peer` at `endpoint`. Never null on success. Cancelling the task is safe.
  /// Errors: Unavailable (nobody listens: retry with back-off), TimedOut (retry), NotVerified
  /// (whoever answers does not prove to be `peer`: do not retry), InvalidArgument (no common ALPN).
  virtual base::Task<base::Result<std::shared_ptr<Connection>>> connect(
      Endpoint endpoint, NodeId peer, std::string alpn, std::chrono::milliseconds timeout) = 0;

  /// Errors: FailedPrecondition (address in use).
  virtual base::Result<std::unique_ptr<Listener>> listen(Endpoint endpoint,
                                                         ListenOptions options) = 0;
};

}  // namespace stoq
