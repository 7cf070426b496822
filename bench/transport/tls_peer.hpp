#pragma once

// The peer: TCP and TLS 1.3 by OpenSSL, blocking, written as one would who wants it fast.

#include <openssl/ssl.h>

#include <cstdint>
#include <memory>
#include <span>

#include "process.hpp"

namespace bench {

/// Both sides' keys and certificates (Ed25519, self-signed): each knows the other's.
class TlsNodes {
 public:
  TlsNodes();
  ~TlsNodes();
  TlsNodes(const TlsNodes&) = delete;
  TlsNodes& operator=(const TlsNodes&) = delete;
  SSL_CTX* server() const { return server_; }
  SSL_CTX* client() const { return client_; }

 private:
  SSL_CTX* server_ = nullptr;
  SSL_CTX* client_ = nullptr;
};

/// A listening TCP socket on [::1]; its port.
struct TcpListener {
  int fd = -1;
  std::uint16_t port = 0;
};
TcpListener tcp_listen();
/// To [::1]. Without Nagle's delay.
int tcp_connect(std::uint16_t port);
int tcp_accept(int listener);

class TlsConnection {
 public:
  /// Does the handshake over `fd`, which it owns.
  TlsConnection(SSL_CTX* context, int fd, bool server);
  ~TlsConnection();
  TlsConnection(const TlsConnection&) = delete;
  TlsConnection& operator=(const TlsConnection&) = delete;
  void write(std::span<const std::uint8_t> bytes);
  /// 0 at the end.
  std::size_t read(std::span<std::uint8_t> bytes);
  void read_all(std::span<std::uint8_t> bytes);
  int fd() const { return fd_; }
  SSL* handle() { return ssl_; }

 private:
  SSL* ssl_;
  int fd_;
};

}  // namespace bench
