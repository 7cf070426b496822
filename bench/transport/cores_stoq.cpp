// cores_stoq CORES MIB: 8 connections send MIB together to a server of CORES endpoints. Prints
// "GBIT CLIENT-CPU SERVER-CPU WALL MISDIRECTED": the last is the share of datagrams that reached
// another core than that of their connection, after the handshakes.

#include <base/async/task_scope.hpp>
#include <thread>

#include "quic_node.hpp"

namespace {

using namespace bench;

constexpr std::size_t kConnections = 8, kBlockBytes = 256 * 1024;
constexpr double kDatagramBytes = 1444;

base::Task<> receive(std::shared_ptr<stoq::Connection> connection) {
  const auto opened = co_await connection->accept_stream();
  if (!opened) co_return;
  stoq::Stream& stream = **opened;
  while (!must(co_await stream.read(), "read").empty()) {
  }
  must(co_await stream.write(base::as_bytes("x")), "answer");
  stream.close_write();
  co_await connection->closed();
}

base::Task<> serve(stoq::Listener& listener) {
  for (;;) {
    auto connection = must(co_await listener.accept(), "accept");
    const auto executor = connection->executor();
    boost::asio::co_spawn(executor, receive(std::move(connection)), boost::asio::detached);
  }
}

// Says what the server has used and misdirected, when asked.
base::Task<> tell(stoq::QuicTransport& transport, Pipe& pipe) {
  for (;;) {
    while (!pipe.ready()) co_await base::sleep_for(std::chrono::milliseconds(5));
    pipe.get();
    pipe.put(cpu_seconds());
    pipe.put(static_cast<double>(transport.totals().misdirected));
  }
}

base::Task<> send(stoq::Connection& connection, std::uint64_t bytes) {
  const base::Bytes block(kBlockBytes, 'x');
  const auto stream = must(co_await connection.open_stream({}), "open a stream");
  for (std::uint64_t sent = 0; sent < bytes; sent += block.size())
    must(co_await stream->write(block), "write");
  stream->close_write();
  while (!must(co_await stream->read(), "read").empty()) {
  }
}

base::Task<> client(stoq::Transport& transport, stoq::NodeId server, Pipe& pipe,
                    std::uint64_t bytes) {
  base::TaskScope scope(co_await boost::asio::this_coro::executor);
  const auto to = loopback(pipe.get());
  std::vector<std::shared_ptr<stoq::Connection>> connections;
  for (std::size_t i = 0; i < kConnections; ++i)
    connections.push_back(must(co_await transport.connect(to, server, {}), "connect"));
  pipe.put(0);
  const double server_before = pipe.get(), misdirected_before = pipe.get();
  const double cpu = cpu_seconds(), wall = wall_seconds();
  for (const auto& connection : connections) scope.spawn(send(*connection, bytes / kConnections));
  co_await scope.join();
  const double own = cpu_seconds() - cpu, took = wall_seconds() - wall;
  pipe.put(0);
  const double used = pipe.get() - server_before, misdirected = pipe.get() - misdirected_before;
  std::printf("%.6f %.6f %.6f %.6f %.6f\n", static_cast<double>(bytes) * 8e-9, own, used, took,
              misdirected / (static_cast<double>(bytes) / kDatagramBytes));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) die("usage: cores_stoq CORES MIB");
  QuicNode server, sender;
  stoq::QuicTransportOptions options{.limits = no_limits()};
  options.cores = static_cast<unsigned>(std::atoi(argv[1]));
  Child child([&](Pipe& pipe) {
    boost::asio::io_context context(1);
    auto& transport = server.start(context.get_executor(), options);
    const auto listener = must(transport.listen(loopback(0), {}), "listen");
    pipe.put(listener->endpoint().port);
    boost::asio::co_spawn(context, serve(*listener), boost::asio::detached);
    run(context, tell(transport, pipe));
  });
  boost::asio::io_context context(1);
  run(context, client(sender.start(context.get_executor()), server.id(), child.pipe(),
                      std::strtoull(argv[2], nullptr, 10) << 20));
  return 0;
}
