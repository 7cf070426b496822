#include "tls.hpp"

#include <openssl/pem.h>
#include <openssl/x509.h>

#include <boost/asio/buffer.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/error.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/write.hpp>

namespace base::http {

namespace ssl = asio::ssl;
using asio::ip::tcp;
using TlsSocket = ssl::stream<tcp::socket>;

struct TlsIdentity::Context {
  ssl::context ssl{ssl::context::tls_server};
};

namespace {

constexpr std::size_t kReadBytesMax = 16 * 1024;  // One TLS record.

struct FreeCertificate {
  void operator()(X509* certificate) const { X509_free(certificate); }
};
using Certificate = std::unique_ptr<X509, FreeCertificate>;

Certificate parse_certificate(std::string_view pem) {
  BIO* bio = BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()));
  Certificate certificate(bio == nullptr ? nullptr
                                         : PEM_read_bio_X509(bio, nullptr, nullptr, nullptr));
  BIO_free(bio);
  return certificate;
}

// Only suites with forward secrecy and AEAD; TLS 1.3 has no others.
Result<> harden(ssl::context& context) {
  SSL_CTX* native = context.native_handle();
  if (SSL_CTX_set_min_proto_version(native, TLS1_2_VERSION) != 1 ||
      SSL_CTX_set_cipher_list(native, "ECDHE+AESGCM:ECDHE+CHACHA20") != 1) {
    return fail(Errc::Internal, "this OpenSSL has neither TLS 1.2 nor its AEAD suites");
  }
  SSL_CTX_set_options(native, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  // Buffers of idle connections go back.
  SSL_CTX_set_mode(native, SSL_MODE_RELEASE_BUFFERS);
  return {};
}

bool ended(const boost::system::error_code& code) {
  return code == asio::error::eof || code == ssl::error::stream_truncated;
}

class TlsStream final : public ByteStream {
 public:
  // `context` lives as long as the stream.
  TlsStream(std::shared_ptr<TlsSocket> socket, std::shared_ptr<void> context, bool handshake_due)
      : socket_(std::move(socket)), context_(std::move(context)), handshake_due_(handshake_due) {}
  ~TlsStream() override { close(); }

  Task<Result<Bytes>> read() override {
    return read_from(socket_, context_, std::exchange(handshake_due_, false));
  }
  Task<Result<>> write(BytesView bytes) override { return write_to(socket_, context_, bytes); }
  void close_write() override {
    boost::system::error_code ignored;
    socket_->next_layer().shutdown(tcp::socket::shutdown_send, ignored);
  }
  void close() override {
    boost::system::error_code ignored;
    socket_->next_layer().close(ignored);
  }

 private:
  static Task<Result<Bytes>> read_from(std::shared_ptr<TlsSocket> socket,
                                       std::shared_ptr<void> context, bool handshake) {
    if (handshake) {
      auto [code] = co_await socket->async_handshake(TlsSocket::server, use_result);
      if (ended(code)) co_return Bytes{};
      if (code) co_return std::unexpected(from_system_error(code, "TLS handshake"));
    }
    Bytes bytes(kReadBytesMax);
    auto [code, count] = co_await socket->async_read_some(asio::buffer(bytes), use_result);
    if (ended(code)) co_return Bytes{};
    if (code) co_return std::unexpected(from_system_error(code, "reading from a connection"));
    bytes.resize(count);
    co_return bytes;
  }
  static Task<Result<>> write_to(std::shared_ptr<TlsSocket> socket, std::shared_ptr<void> context,
                                 BytesView bytes) {
    auto [code, count] =
        co_await asio::async_write(*socket, asio::buffer(bytes.data(), bytes.size()), use_result);
    if (code) co_return std::unexpected(from_system_error(code, "writing to a connection"));
    co_return Result<>{};
  }

  std::shared_ptr<TlsSocket> socket_;
  std::shared_ptr<void> context_;
  bool handshake_due_;
};

}  // namespace

Result<TlsIdentity> TlsIdentity::from_pem(std::string_view certificate, std::string_view key) {
  auto context = std::make_shared<Context>();
  TRY_DO(harden(context->ssl));
  boost::system::error_code code;
  context->ssl.use_certificate_chain(asio::buffer(certificate.data(), certificate.size()), code);
  if (code) return fail(Errc::InvalidArgument, "the TLS certificate: " + code.message());
  context->ssl.use_private_key(asio::buffer(key.data(), key.size()), ssl::context::pem, code);
  if (code) return fail(Errc::InvalidArgument, "the TLS key: " + code.message());
  TlsIdentity identity;
  identity.context_ = std::move(context);
  return identity;
}

std::unique_ptr<ByteStream> make_tls_server_stream(tcp::socket socket,
                                                   std::shared_ptr<TlsIdentity::Context> context) {
  auto tls = std::make_shared<TlsSocket>(std::move(socket), context->ssl);
  return std::make_unique<TlsStream>(std::move(tls), std::move(context), true);
}

Task<Result<std::unique_ptr<ByteStream>>> shake_hands_as_client(
    tcp::socket socket, std::optional<std::string> pinned_pem) {
  Certificate pinned;
  if (pinned_pem) {
    pinned = parse_certificate(*pinned_pem);
    if (!pinned)
      co_return fail(Errc::InvalidArgument, "the pinned certificate is not a certificate in PEM");
  }
  auto context = std::make_shared<ssl::context>(ssl::context::tls_client);
  CO_TRY_DO(harden(*context));
  // The one certificate is compared below; no authority has a say.
  SSL_CTX_set_verify(context->native_handle(), SSL_VERIFY_NONE, nullptr);
  auto tls = std::make_shared<TlsSocket>(std::move(socket), *context);
  auto [code] = co_await tls->async_handshake(TlsSocket::client, use_result);
  if (code) co_return std::unexpected(from_system_error(code, "TLS handshake"));
  const Certificate presented(SSL_get1_peer_certificate(tls->native_handle()));
  if (pinned && (!presented || X509_cmp(presented.get(), pinned.get()) != 0)) {
    co_return std::unexpected(with_hint(
        make_error(Errc::NotVerified, "the server's certificate is not the one this context knows"),
        "copy the node's api.crt again if the node was made anew; otherwise somebody else answers "
        "there"));
  }
  co_return std::make_unique<TlsStream>(std::move(tls), std::move(context), false);
}

}  // namespace base::http
