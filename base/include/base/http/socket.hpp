#pragma once

// Stream sockets as ByteStreams: unix, TCP, TLS over TCP; and the listeners that accept them.

#include <base/async/byte_stream.hpp>
#include <base/async/task.hpp>
#include <memory>
#include <string>

namespace base::http {

/// Who is at the other end, as the kernel says.
struct Peer {
  bool local = false;  ///< A unix socket: uid, gid and pid are the kernel's word (SO_PEERCRED).
  std::uint32_t uid = 0, gid = 0;
  std::int32_t pid = 0;
  std::string address;  ///< "unix" or "[fd00::9]:40122"
};

struct Accepted {
  std::unique_ptr<ByteStream> stream;
  Peer peer;
};

/// Accepts connections on one address. Destroying it closes it; accepted streams live on.
class Listener {
 public:
  virtual ~Listener() = default;
  /// The next connection. A TLS handshake takes place in the stream's first read, so that a slow
  /// peer holds nobody up. Errors: ResourceExhausted (no file descriptors: try again later),
  /// Cancelled (closed).
  virtual Task<Result<Accepted>> accept() = 0;
  virtual void close() = 0;
  /// "unix:/run/api.sock" or "[::1]:8443", with the port that the kernel chose for port 0.
  virtual std::string address() const = 0;
  virtual std::uint16_t port() const = 0;
};

/// `path` gets `mode`. A socket file that nobody answers on is replaced; paths longer than a socket
/// address can hold work. Errors: AlreadyExists (somebody answers there), Forbidden, NotFound (the
/// folder).
Result<std::unique_ptr<Listener>> listen_unix(const Executor& executor, const std::string& path,
                                              unsigned mode);

/// Certificate and private key of a TLS server (PEM). Connections: TLS 1.2 or 1.3, AEAD with
/// forward secrecy.
class TlsIdentity {
 public:
  /// Errors: InvalidArgument (PEM, or the key is not the certificate's).
  static Result<TlsIdentity> from_pem(std::string_view certificate, std::string_view key);
  struct Context;
  const std::shared_ptr<Context>& context() const { return context_; }

 private:
  std::shared_ptr<Context> context_;
};

/// `address` is a literal; an IPv6 one takes IPv6 only. Port 0: any free one. Without `identity`
/// plain TCP. Errors: AlreadyExists (address in use), FailedPrecondition (not an address of this
/// machine).
Result<std::unique_ptr<Listener>> listen_tcp(const Executor& executor, const std::string& address,
                                             std::uint16_t port, const TlsIdentity* identity);

/// Errors of all four: Unavailable (refused, unreachable), NotFound (no such socket file),
/// Forbidden (its mode). Cancelling the task is safe.
Task<Result<std::unique_ptr<ByteStream>>> connect_unix(std::string path);
Task<Result<std::unique_ptr<ByteStream>>> connect_tcp(std::string address, std::uint16_t port);
/// Connected and shaken hands. The peer's certificate must be exactly `pinned_pem`.
/// Errors: also NotVerified (another certificate).
Task<Result<std::unique_ptr<ByteStream>>> connect_tls(std::string address, std::uint16_t port,
                                                      std::string pinned_pem);
/// Whoever answers is taken for the right one: only for peers that are asked how they are.
Task<Result<std::unique_ptr<ByteStream>>> connect_tls_unverified(std::string address,
                                                                 std::uint16_t port);

}  // namespace base::http
