#include <fmt/format.h>

#include <base/http/socket.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/v6_only.hpp>

#include "socket_stream.hpp"
#include "tls.hpp"

namespace base::http {
namespace {

using asio::ip::tcp;

Result<tcp::endpoint> parse(const std::string& address, std::uint16_t port) {
  boost::system::error_code code;
  const auto parsed = asio::ip::make_address(address, code);
  if (code) return fail(Errc::InvalidArgument, fmt::format("\"{}\" is not an IP address", address));
  return tcp::endpoint(parsed, port);
}

std::string to_text(const tcp::endpoint& endpoint) {
  const auto address = endpoint.address().to_string();
  return endpoint.address().is_v6() ? fmt::format("[{}]:{}", address, endpoint.port())
                                    : fmt::format("{}:{}", address, endpoint.port());
}

class TcpListener final : public Listener {
 public:
  TcpListener(tcp::acceptor acceptor, std::shared_ptr<TlsIdentity::Context> tls)
      : acceptor_(std::make_shared<tcp::acceptor>(std::move(acceptor))),
        endpoint_(acceptor_->local_endpoint()),
        tls_(std::move(tls)) {}
  ~TcpListener() override { close(); }

  Task<Result<Accepted>> accept() override { return accept_on(acceptor_, tls_); }
  void close() override {
    boost::system::error_code ignored;
    acceptor_->close(ignored);
  }
  std::string address() const override { return to_text(endpoint_); }
  std::uint16_t port() const override { return endpoint_.port(); }

 private:
  static Task<Result<Accepted>> accept_on(std::shared_ptr<tcp::acceptor> acceptor,
                                          std::shared_ptr<TlsIdentity::Context> tls) {
    auto [code, socket] = co_await acceptor->async_accept(use_result);
    if (code) co_return std::unexpected(from_system_error(code, "accepting a connection"));
    boost::system::error_code ignored;
    socket.set_option(tcp::no_delay(true), ignored);
    Accepted accepted;
    accepted.peer.address = to_text(socket.remote_endpoint(ignored));
    if (tls) {
      accepted.stream = make_tls_server_stream(std::move(socket), tls);
    } else {
      CO_TRY(accepted.stream, wrap_socket(std::move(socket)));
    }
    co_return accepted;
  }

  std::shared_ptr<tcp::acceptor> acceptor_;
  tcp::endpoint endpoint_;
  std::shared_ptr<TlsIdentity::Context> tls_;
};

Task<Result<tcp::socket>> connect(std::string address, std::uint16_t port) {
  CO_TRY(const tcp::endpoint endpoint, parse(address, port));
  tcp::socket socket(co_await asio::this_coro::executor);
  auto [code] = co_await socket.async_connect(endpoint, use_result);
  if (code)
    co_return std::unexpected(
        from_system_error(code, fmt::format("connecting to {}", to_text(endpoint))));
  boost::system::error_code ignored;
  socket.set_option(tcp::no_delay(true), ignored);
  co_return socket;
}

}  // namespace

Result<std::unique_ptr<Listener>> listen_tcp(const Executor& executor, const std::string& address,
                                             std::uint16_t port, const TlsIdentity* identity) {
  TRY(const tcp::endpoint endpoint, parse(address, port));
  boost::system::error_code code;
  tcp::acceptor acceptor(executor);
  acceptor.open(endpoint.protocol(), code);
  if (!code) acceptor.set_option(tcp::acceptor::reuse_address(true), code);
  if (!code && endpoint.address().is_v6()) acceptor.set_option(asio::ip::v6_only(true), code);
  if (!code) acceptor.bind(endpoint, code);
  if (!code) acceptor.listen(asio::socket_base::max_listen_connections, code);
  if (code == asio::error::address_in_use)
    return fail(Errc::AlreadyExists,
                fmt::format("listening on {}: the address is in use", to_text(endpoint)));
  if (code)
    return std::unexpected(
        from_system_error(code, fmt::format("listening on {}", to_text(endpoint))));
  return std::make_unique<TcpListener>(std::move(acceptor),
                                       identity == nullptr ? nullptr : identity->context());
}

Task<Result<std::unique_ptr<ByteStream>>> connect_tcp(std::string address, std::uint16_t port) {
  CO_TRY(tcp::socket socket, co_await connect(std::move(address), port));
  co_return wrap_socket(std::move(socket));
}

Task<Result<std::unique_ptr<ByteStream>>> connect_tls(std::string address, std::uint16_t port,
                                                      std::string pinned_pem) {
  CO_TRY(tcp::socket socket, co_await connect(std::move(address), port));
  co_return co_await shake_hands_as_client(std::move(socket), std::move(pinned_pem));
}

Task<Result<std::unique_ptr<ByteStream>>> connect_tls_unverified(std::string address,
                                                                 std::uint16_t port) {
  CO_TRY(tcp::socket socket, co_await connect(std::move(address), port));
  co_return co_await shake_hands_as_client(std::move(socket), std::nullopt);
}

}  // namespace base::http
