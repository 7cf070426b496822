// handshakes_stoq COUNT [--idle]: COUNT full handshakes with certificates of both sides, every
// client another node, 16 under way at once. Prints how many a core second of the server does. The
// clients cost more than the server: on the same core they keep it busy; --idle gives it a core of
// its own, where it waits for most of them.

#include <base/async/task_scope.hpp>
#include <cstring>

#include "quic_node.hpp"

namespace {

using namespace bench;

constexpr int kTogether = 16, kWarmUp = 64;
constexpr std::size_t kPrepared = 256;

base::Task<> hold(std::shared_ptr<stoq::Connection> connection) {
  co_await connection->closed();
}

base::Task<> serve(stoq::Listener& listener, Pipe& pipe, int count) {
  base::TaskScope scope(co_await boost::asio::this_coro::executor);
  double start = 0;
  for (int i = 0; i < kWarmUp + count; ++i) {
    if (i == kWarmUp) start = cpu_seconds();
    scope.spawn(hold(must(co_await listener.accept(), "accept")));
  }
  pipe.put(count / (cpu_seconds() - start));
  co_await scope.join();
}

// Takes one client after the other until all have connected.
base::Task<> connect_each(stoq::Endpoint to, stoq::NodeId server,
                          std::vector<std::unique_ptr<QuicNode>>& clients) {
  const auto executor = co_await boost::asio::this_coro::executor;
  while (!clients.empty()) {
    const auto node = std::move(clients.back());
    clients.pop_back();
    auto& transport = node->start(executor);
    const auto connection = must(co_await transport.connect(to, server, {}), "connect");
    connection->close("done");
  }
}

// Clients and their certificates are made ahead, group by group: the server is to be kept busy.
base::Task<> connect_all(stoq::Endpoint to, stoq::NodeId server, int count) {
  std::vector<std::unique_ptr<QuicNode>> clients;
  for (int left = count; left > 0;) {
    for (; left > 0 && clients.size() < kPrepared; --left) {
      clients.push_back(std::make_unique<QuicNode>());
      clients.back()->prepare();
    }
    base::TaskScope scope(co_await boost::asio::this_coro::executor);
    for (int i = 0; i < kTogether; ++i) scope.spawn(connect_each(to, server, clients));
    co_await scope.join();
  }
}

}  // namespace

int main(int argc, char** argv) {
  const bool idle = argc == 3 && std::strcmp(argv[2], "--idle") == 0;
  if (argc != 2 && !idle) die("usage: handshakes_stoq COUNT [--idle]");
  const int count = std::atoi(argv[1]);
  QuicNode server;
  Child child([&](Pipe& pipe) {
    idle ? pin(1) : pin_behind(0);
    boost::asio::io_context context(1);
    auto& transport = server.start(context.get_executor(), {.limits = no_limits()});
    const auto listener = must(transport.listen(loopback(0), {}), "listen");
    pipe.put(listener->endpoint().port);
    run(context, serve(*listener, pipe, count));
  });
  pin(0);
  const auto to = loopback(child.pipe().get());
  boost::asio::io_context context(1);
  run(context, connect_all(to, server.id(), count + kWarmUp));
  std::printf("%.1f\n", child.pipe().get());
  return 0;
}
