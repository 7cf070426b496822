// path_stoq cubic|bbr LOSS SECONDS: one stream over a path with 10 ms each way that loses LOSS (0
// to 1) of the datagrams. Prints the Mbit of payload that arrive in a second.

#include <cstring>

#include "link.hpp"
#include "quic_node.hpp"

namespace {

using namespace bench;

constexpr std::size_t kBlockBytes = 64 * 1024;

base::Task<> receive(stoq::Listener& listener, double& received) {
  const auto connection = must(co_await listener.accept(), "accept");
  const auto opened = co_await connection->accept_stream();
  if (!opened) co_return;
  for (;;) {
    const auto bytes = co_await (*opened)->read();
    if (!bytes || bytes->empty()) co_return;
    received += static_cast<double>(bytes->size());
  }
}

base::Task<> tell(Pipe& pipe, const double& received) {
  for (;;) {
    while (!pipe.ready()) co_await base::sleep_for(std::chrono::milliseconds(5));
    pipe.get();
    pipe.put(received);
  }
}

base::Task<> client(stoq::Transport& transport, stoq::Endpoint to, stoq::NodeId server, Pipe& pipe,
                    double seconds) {
  const auto connection = must(co_await transport.connect(to, server, {}), "connect");
  const auto stream = must(co_await connection->open_stream({}), "open a stream");
  const base::Bytes block(kBlockBytes, 'x');
  const double start = wall_seconds();
  while (wall_seconds() - start < seconds) must(co_await stream->write(block), "write");
  pipe.put(0);
  const double received = pipe.get();
  std::printf("%.2f\n", received * 8e-6 / (wall_seconds() - start));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) die("usage: path_stoq cubic|bbr LOSS SECONDS");
  stoq::QuicTransportOptions options;
  options.session.congestion = std::strcmp(argv[1], "bbr") == 0 ? stoq::quic::Congestion::Bbr
                                                                : stoq::quic::Congestion::Cubic;
  QuicNode server, sender;
  Child child([&](Pipe& pipe) {
    boost::asio::io_context context(1);
    const auto listener =
        must(server.start(context.get_executor(), options).listen(loopback(0), {}), "listen");
    pipe.put(listener->endpoint().port);
    double received = 0;
    boost::asio::co_spawn(context, receive(*listener, received), boost::asio::detached);
    run(context, tell(pipe, received));
  });
  const UdpLink link(static_cast<std::uint16_t>(child.pipe().get()),
                     {.loss = std::strtod(argv[2], nullptr)});
  boost::asio::io_context context(1);
  run(context, client(sender.start(context.get_executor(), options), loopback(link.port()),
                      server.id(), child.pipe(), std::strtod(argv[3], nullptr)));
  return 0;
}
