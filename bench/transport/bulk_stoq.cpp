// bulk_stoq MIB [--chacha] [--payload BYTES]: sends MIB over one stream of one connection on
// loopback. Prints "GBIT SENDER-CPU RECEIVER-CPU WALL", in seconds.

#include <cstring>

#include "quic_node.hpp"

namespace {

using namespace bench;

constexpr std::size_t kBlockBytes = 256 * 1024;
// Before it counts: the congestion window has grown, and the path's packet size is known.
constexpr std::uint64_t kWarmUpBytes = 64 << 20;

struct Cost {
  double cpu = 0, wall = 0;
};

base::Task<> receive(stoq::Listener& listener, Pipe& pipe) {
  const auto connection = must(co_await listener.accept(), "accept");
  for (;;) {
    auto opened = co_await connection->accept_stream();
    if (!opened) co_return;
    stoq::Stream& stream = **opened;
    const double before = cpu_seconds();
    for (;;) {
      const auto bytes = must(co_await stream.read(), "read");
      if (bytes.empty()) break;
    }
    pipe.put(cpu_seconds() - before);
    must(co_await stream.write(base::as_bytes("x")), "answer");
    stream.close_write();
  }
}

using Block = std::shared_ptr<const base::Bytes>;

base::Task<Cost> send(stoq::Connection& connection, Block block, std::uint64_t bytes) {
  const double cpu = cpu_seconds(), wall = wall_seconds();
  const auto stream = must(co_await connection.open_stream({}), "open a stream");
  for (std::uint64_t sent = 0; sent < bytes; sent += block->size())
    must(co_await stream->write_shared(block), "write");
  stream->close_write();
  while (!must(co_await stream->read(), "read").empty()) {
  }
  co_return Cost{cpu_seconds() - cpu, wall_seconds() - wall};
}

base::Task<> client(stoq::Transport& transport, stoq::NodeId server, Pipe& pipe,
                    std::uint64_t bytes) {
  const auto connection =
      must(co_await transport.connect(loopback(pipe.get()), server, {}), "connect");
  const auto block = std::make_shared<const base::Bytes>(kBlockBytes, 'x');
  co_await send(*connection, block, kWarmUpBytes);
  pipe.get();
  const Cost cost = co_await send(*connection, block, bytes);
  std::printf("%.6f %.6f %.6f %.6f\n", static_cast<double>(bytes) * 8e-9, cost.cpu, pipe.get(),
              cost.wall);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) die("usage: bulk_stoq MIB [--chacha] [--payload BYTES]");
  const auto bytes = std::strtoull(argv[1], nullptr, 10) << 20;
  stoq::QuicTransportOptions options;
  for (int i = 2; i < argc; ++i) {
    if (std::strcmp(argv[i], "--chacha") == 0)
      options.ciphers = {stoq::quic::Cipher::ChaCha20Poly1305};
    else if (std::strcmp(argv[i], "--payload") == 0 && i + 1 < argc)
      options.session.udp_payload_bytes = std::strtoull(argv[++i], nullptr, 10);
  }
  QuicNode server, sender;
  Child child([&](Pipe& pipe) {
    pin(1);
    boost::asio::io_context context(1);
    auto& transport = server.start(context.get_executor(), options);
    const auto listener = must(transport.listen(loopback(0), {}), "listen");
    pipe.put(listener->endpoint().port);
    run(context, receive(*listener, pipe));
  });
  pin(0);
  boost::asio::io_context context(1);
  run(context,
      client(sender.start(context.get_executor(), options), server.id(), child.pipe(), bytes));
  return 0;
}
