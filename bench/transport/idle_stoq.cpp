// idle_stoq COUNT: COUNT connections to one process, open at once and idle; then each has a ping
// answered. Prints "ANSWERED SERVER-KIB CLIENT-KIB SERVER-CPU": pings that were answered, memory
// for each connection in the server's process and in the client's, and the CPU seconds that the
// server takes for all of them in a second in which nothing happens.

#include <unistd.h>

#include <base/async/task_scope.hpp>

#include "quic_node.hpp"

namespace {

using namespace bench;

constexpr int kTogether = 64;
constexpr auto kQuiet = std::chrono::seconds(2);

stoq::QuicTransportOptions options() {
  stoq::QuicTransportOptions made{.limits = no_limits()};
  made.session.idle_timeout = std::chrono::minutes(10);
  return made;
}

base::Task<> answer(std::shared_ptr<stoq::Connection> connection) {
  for (;;) {
    const auto stream = co_await connection->accept_stream();
    if (!stream) co_return;
    const auto ping = co_await (*stream)->read();
    if (!ping || !co_await (*stream)->write(*ping)) co_return;
    (*stream)->close_write();
  }
}

base::Task<> accept_all(stoq::Listener& listener, base::TaskScope& scope, int& accepted) {
  for (;;) {
    scope.spawn(answer(must(co_await listener.accept(), "accept")));
    ++accepted;
  }
}

base::Task<> serve(stoq::Listener& listener, Pipe& pipe, int count) {
  base::TaskScope scope(co_await boost::asio::this_coro::executor);
  int accepted = 0;
  scope.spawn(accept_all(listener, scope, accepted));
  const double before = anonymous_kib();
  while (accepted < count || !pipe.ready()) co_await base::sleep_for(std::chrono::milliseconds(50));
  pipe.get();
  pipe.put((anonymous_kib() - before) / count);
  const double cpu = cpu_seconds();
  co_await base::sleep_for(kQuiet);
  pipe.put((cpu_seconds() - cpu) / std::chrono::duration<double>(kQuiet).count());
  co_await scope.join();
}

using Connections = std::vector<std::shared_ptr<stoq::Connection>>;

base::Task<> connect_each(stoq::Transport& transport, stoq::Endpoint to, stoq::NodeId server,
                          std::size_t count, Connections& made) {
  while (made.size() < count) {
    const auto place = made.size();
    made.emplace_back();
    made[place] = must(co_await transport.connect(to, server, {}), "connect");
  }
}

base::Task<> ping_each(Connections& connections, std::size_t& next, int& answered) {
  while (next < connections.size()) {
    const auto stream = must(co_await connections[next++]->open_stream({}), "open a stream");
    must(co_await stream->write(base::as_bytes("ping")), "ping");
    stream->close_write();
    const auto back = co_await stream->read();
    if (back && base::as_text(*back) == "ping") ++answered;
  }
}

base::Task<> client(stoq::Transport& transport, stoq::Endpoint to, stoq::NodeId server, Pipe& pipe,
                    std::size_t count) {
  base::TaskScope scope(co_await boost::asio::this_coro::executor);
  Connections connections;
  connections.reserve(count);
  const double before = anonymous_kib();
  for (int i = 0; i < kTogether; ++i)
    scope.spawn(connect_each(transport, to, server, count, connections));
  co_await scope.join();
  pipe.put(0);
  while (!pipe.ready()) co_await base::sleep_for(std::chrono::milliseconds(50));
  const double server_kib = pipe.get();
  const double own_kib = (anonymous_kib() - before) / static_cast<double>(count);
  while (!pipe.ready()) co_await base::sleep_for(std::chrono::milliseconds(50));
  const double quiet_cpu = pipe.get();
  std::size_t next = 0;
  int answered = 0;
  for (int i = 0; i < kTogether; ++i) scope.spawn(ping_each(connections, next, answered));
  co_await scope.join();
  std::printf("%d %.2f %.2f %.4f\n", answered, server_kib, own_kib, quiet_cpu);
  std::fflush(stdout);
  _exit(0);  // Nobody needs ten thousand farewells.
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) die("usage: idle_stoq COUNT");
  const int count = std::atoi(argv[1]);
  QuicNode server, node;
  Child child([&](Pipe& pipe) {
    pin(1);
    boost::asio::io_context context(1);
    auto& transport = server.start(context.get_executor(), options());
    const auto listener = must(transport.listen(loopback(0), {}), "listen");
    pipe.put(listener->endpoint().port);
    run(context, serve(*listener, pipe, count));
  });
  pin(0);
  const auto to = loopback(child.pipe().get());
  boost::asio::io_context context(1);
  auto& transport = node.start(context.get_executor(), options());
  run(context, client(transport, to, server.id(), child.pipe(), static_cast<std::size_t>(count)));
  return 0;
}
