#include "tls_peer.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/x509.h>
#include <sys/socket.h>
#include <unistd.h>

namespace bench {

namespace {

void tls(bool good, const char* what) {
  if (good) return;
  char text[256] = "?";
  ERR_error_string_n(ERR_get_error(), text, sizeof text);
  die(std::string(what) + ": " + text);
}

struct Identity {
  EVP_PKEY* key;
  X509* certificate;
};

Identity make(const char* name) {
  Identity made{EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"), X509_new()};
  tls(made.key != nullptr && made.certificate != nullptr, "a key");
  X509_set_version(made.certificate, X509_VERSION_3);
  ASN1_INTEGER_set(X509_get_serialNumber(made.certificate), 1);
  X509_gmtime_adj(X509_getm_notBefore(made.certificate), -300);
  X509_gmtime_adj(X509_getm_notAfter(made.certificate), 86'400);
  X509_set_pubkey(made.certificate, made.key);
  X509_NAME* subject = X509_get_subject_name(made.certificate);
  X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>(name), -1, -1, 0);
  X509_set_issuer_name(made.certificate, subject);
  tls(X509_sign(made.certificate, made.key, nullptr) > 0, "a certificate");
  return made;
}

SSL_CTX* context(const SSL_METHOD* method, const Identity& own, const Identity& peer) {
  SSL_CTX* made = SSL_CTX_new(method);
  tls(made != nullptr, "TLS");
  SSL_CTX_set_min_proto_version(made, TLS1_3_VERSION);
  tls(SSL_CTX_set_ciphersuites(made, "TLS_AES_128_GCM_SHA256") == 1, "the cipher");
  tls(SSL_CTX_set1_groups_list(made, "X25519") == 1, "the group");
  tls(SSL_CTX_use_certificate(made, own.certificate) == 1 &&
          SSL_CTX_use_PrivateKey(made, own.key) == 1,
      "the certificate");
  tls(X509_STORE_add_cert(SSL_CTX_get_cert_store(made), peer.certificate) == 1, "the peer");
  SSL_CTX_set_verify(made, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  SSL_CTX_set_mode(made, SSL_MODE_AUTO_RETRY);
  // Several records in one system call.
  SSL_CTX_set_read_ahead(made, 1);
  SSL_CTX_set_default_read_buffer_len(made, 128 * 1024);
  return made;
}

sockaddr_in6 loopback_address(std::uint16_t port) {
  sockaddr_in6 made{};
  made.sin6_family = AF_INET6;
  made.sin6_addr = in6addr_loopback;
  made.sin6_port = htons(port);
  return made;
}

int without_delay(int fd) {
  const int on = 1;
  must(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == 0, "TCP_NODELAY");
  return fd;
}

}  // namespace

TlsNodes::TlsNodes() {
  const Identity server = make("server"), client = make("client");
  server_ = context(TLS_server_method(), server, client);
  client_ = context(TLS_client_method(), client, server);
  for (const Identity& identity : {server, client}) {
    EVP_PKEY_free(identity.key);
    X509_free(identity.certificate);
  }
}

TlsNodes::~TlsNodes() {
  SSL_CTX_free(server_);
  SSL_CTX_free(client_);
}

TcpListener tcp_listen() {
  TcpListener made;
  made.fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in6 address = loopback_address(0);
  socklen_t size = sizeof address;
  must(made.fd >= 0 && bind(made.fd, reinterpret_cast<sockaddr*>(&address), size) == 0 &&
           listen(made.fd, 128) == 0 &&
           getsockname(made.fd, reinterpret_cast<sockaddr*>(&address), &size) == 0,
       "listen");
  made.port = ntohs(address.sin6_port);
  return made;
}

int tcp_connect(std::uint16_t port) {
  const int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in6 address = loopback_address(port);
  must(fd >= 0 && connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0,
       "connect");
  return without_delay(fd);
}

int tcp_accept(int listener) {
  const int fd = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
  must(fd >= 0, "accept");
  return without_delay(fd);
}

TlsConnection::TlsConnection(SSL_CTX* context, int fd, bool server)
    : ssl_(SSL_new(context)), fd_(fd) {
  tls(ssl_ != nullptr && SSL_set_fd(ssl_, fd) == 1, "TLS");
  tls((server ? SSL_accept(ssl_) : SSL_connect(ssl_)) == 1, "the TLS handshake");
}

TlsConnection::~TlsConnection() {
  SSL_free(ssl_);
  close(fd_);
}

void TlsConnection::write(std::span<const std::uint8_t> bytes) {
  std::size_t written = 0;
  tls(SSL_write_ex(ssl_, bytes.data(), bytes.size(), &written) == 1, "write");
}

std::size_t TlsConnection::read(std::span<std::uint8_t> bytes) {
  std::size_t got = 0;
  if (SSL_read_ex(ssl_, bytes.data(), bytes.size(), &got) == 1) return got;
  const int error = SSL_get_error(ssl_, 0);
  if (error == SSL_ERROR_ZERO_RETURN || error == SSL_ERROR_SYSCALL || error == SSL_ERROR_SSL)
    return 0;
  die("read: TLS error " + std::to_string(error));
}

void TlsConnection::read_all(std::span<std::uint8_t> bytes) {
  while (!bytes.empty()) {
    const auto got = read(bytes);
    if (got == 0) die("the peer has closed the TLS connection");
    bytes = bytes.subspan(got);
  }
}

}  // namespace bench
