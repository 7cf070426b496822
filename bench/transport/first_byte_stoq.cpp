// first_byte_stoq COUNT: a request of 100 bytes and its answer over a path with 10 ms each way.
// Prints "FULL EARLY": the median milliseconds from connect() to the answer's first byte with a
// full handshake of both sides, and for a replay-safe request to a known peer (0-RTT).

#include <algorithm>
#include <base/async/task_scope.hpp>

#include "link.hpp"
#include "quic_node.hpp"

namespace {

using namespace bench;

constexpr std::size_t kRequestBytes = 100;

double median(std::vector<double> values) {
  std::ranges::nth_element(values, values.begin() + static_cast<long>(values.size() / 2));
  return values[values.size() / 2];
}

base::Task<> answer(std::shared_ptr<stoq::Connection> connection) {
  for (;;) {
    const auto stream = co_await connection->accept_stream();
    if (!stream) co_return;
    if (!co_await (*stream)->read()) co_return;
    if (!co_await (*stream)->write(base::as_bytes("the answer"))) co_return;
    (*stream)->close_write();
  }
}

base::Task<> serve(stoq::Listener& listener) {
  base::TaskScope scope(co_await boost::asio::this_coro::executor);
  for (;;) scope.spawn(answer(must(co_await listener.accept(), "accept")));
}

base::Task<> ask(stoq::Connection& connection) {
  const auto stream = must(co_await connection.open_stream({.replay_safe = true}), "open a stream");
  must(co_await stream->write(base::Bytes(kRequestBytes, 'x')), "write");
  stream->close_write();
  if (must(co_await stream->read(), "read").empty()) die("there was no answer");
}

base::Task<double> timed(stoq::Transport& transport, stoq::Endpoint to, stoq::NodeId server,
                         bool early) {
  const double start = wall_seconds();
  const auto connection = must(co_await transport.connect(to, server, {.early = early}), "connect");
  co_await ask(*connection);
  const double took = wall_seconds() - start;
  // Once the handshake is over the server gives the ticket for the next time.
  for (int i = 0; i < 2; ++i) co_await ask(*connection);
  co_return took * 1000;
}

base::Task<> measure(QuicNode& node, stoq::Endpoint to, stoq::NodeId server, int count) {
  const auto executor = co_await boost::asio::this_coro::executor;
  std::vector<double> full, early;
  for (int i = 0; i < count; ++i) {
    // A transport that has just started remembers nobody.
    auto& transport = node.start(executor);
    full.push_back(co_await timed(transport, to, server, false));
    early.push_back(co_await timed(transport, to, server, true));
  }
  std::printf("%.3f %.3f\n", median(full), median(early));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) die("usage: first_byte_stoq COUNT");
  QuicNode server, client;
  Child child([&](Pipe& pipe) {
    boost::asio::io_context context(1);
    auto& transport = server.start(context.get_executor(), {.limits = no_limits()});
    const auto listener = must(transport.listen(loopback(0), {}), "listen");
    pipe.put(listener->endpoint().port);
    run(context, serve(*listener));
  });
  const UdpLink link(static_cast<std::uint16_t>(child.pipe().get()), {});
  boost::asio::io_context context(1);
  run(context, measure(client, loopback(link.port()), server.id(), std::atoi(argv[1])));
  return 0;
}
