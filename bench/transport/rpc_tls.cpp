// rpc_tls COUNT: the same calls in the same frames over TCP and TLS 1.3, a connection for each
// caller. Prints as rpc_round.hpp says.

#include <base/http/certificate.hpp>
#include <base/http/socket.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>

#include "rpc/byte_stream_calls.hpp"
#include "rpc_round.hpp"

namespace {

using namespace bench;
using stoq::v1::PingReply;
using stoq::v1::PingRequest;

base::Task<base::Result<PingReply>> ping(stoq::rpc::Call&, const PingRequest& request) {
  PingReply reply;
  reply.set_payload(request.payload());
  co_return reply;
}

base::Task<> serve_stream(std::unique_ptr<base::ByteStream> stream,
                          const stoq::rpc::MethodTable& methods, const base::Clock& clock) {
  co_await stoq::rpc::serve_byte_stream(*stream, methods, clock, stoq::rpc::Lane::Control);
}

base::Task<> serve(base::http::Listener& listener, const stoq::rpc::MethodTable& methods,
                   const base::Clock& clock) {
  base::TaskScope scope(co_await boost::asio::this_coro::executor);
  for (;;) {
    auto accepted = must(co_await listener.accept(), "accept");
    scope.spawn(serve_stream(std::move(accepted.stream), methods, clock));
  }
}

base::Task<> client(std::uint16_t port, std::string certificate, Pipe& pipe, std::size_t count) {
  std::vector<std::unique_ptr<base::ByteStream>> streams;
  std::vector<std::unique_ptr<stoq::rpc::ByteStreamCaller>> callers;
  std::vector<stoq::rpc::Caller*> plain;
  for (std::size_t i = 0; i < kCallers; ++i) {
    streams.push_back(must(co_await base::http::connect_tls("::1", port, certificate), "connect"));
    callers.push_back(std::make_unique<stoq::rpc::ByteStreamCaller>(*streams.back()));
    plain.push_back(callers.back().get());
  }
  co_await measure_calls(plain, pipe, count);
}

void run(boost::asio::io_context& context, base::Task<> task) {
  boost::asio::co_spawn(context, std::move(task), [&context](const std::exception_ptr& thrown) {
    if (thrown) std::rethrow_exception(thrown);
    context.stop();
  });
  context.run();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) die("usage: rpc_tls COUNT");
  const base::SystemClock clock;
  const auto certificate =
      must(base::http::make_self_signed({.common_name = "bench",
                                         .addresses = {"::1"},
                                         .not_before = clock.wall() - std::chrono::minutes(5),
                                         .not_after = clock.wall() + std::chrono::hours(1)}),
           "a certificate");
  Child child([&](Pipe& pipe) {
    boost::asio::io_context context(1);
    stoq::rpc::MethodTable methods;
    methods.add(
        stoq::kPing,
        std::make_unique<
            stoq::rpc::HandlerOf<PingRequest, PingReply, stoq::rpc::Kind::Unary, decltype(&ping)>>(
            &ping));
    const auto identity = must(
        base::http::TlsIdentity::from_pem(certificate.certificate_pem, certificate.key_pem), "key");
    const auto listener =
        must(base::http::listen_tcp(context.get_executor(), "::1", 0, &identity), "listen");
    pipe.put(listener->port());
    boost::asio::co_spawn(context, serve(*listener, methods, clock), boost::asio::detached);
    run(context, tell_cpu(pipe));
  });
  const auto port = static_cast<std::uint16_t>(child.pipe().get());
  boost::asio::io_context context(1);
  run(context,
      client(port, certificate.certificate_pem, child.pipe(), std::strtoull(argv[1], nullptr, 10)));
  return 0;
}
