// rpc_stoq COUNT: COUNT unary calls over one connection, 64 at once, 100 bytes each way. Prints as
// rpc_round.hpp says.

#include <stoq/rpc_server.hpp>

#include "quic_node.hpp"
#include "rpc_round.hpp"

namespace {

using namespace bench;

base::Task<> client(stoq::Transport& transport, stoq::NodeId server, Pipe& pipe,
                    std::size_t count) {
  const base::SystemClock clock;
  const auto connection =
      must(co_await transport.connect(loopback(pipe.get()), server, {}), "connect");
  stoq::rpc::Client caller(connection, clock);
  co_await measure_calls({&caller}, pipe, count);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) die("usage: rpc_stoq COUNT");
  QuicNode server, node;
  Child child([&](Pipe& pipe) {
    boost::asio::io_context context(1);
    const base::SystemClock clock;
    stoq::rpc::Server calls({context.get_executor(), &clock, nullptr, {}});
    stoq::handle_diagnostics(calls, {.self = server.id(), .version = "bench", .clock = &clock});
    auto listener = must(server.start(context.get_executor()).listen(loopback(0), {}), "listen");
    pipe.put(listener->endpoint().port);
    calls.serve(std::move(listener));
    run(context, tell_cpu(pipe));
  });
  boost::asio::io_context context(1);
  run(context, client(node.start(context.get_executor()), server.id(), child.pipe(),
                      std::strtoull(argv[1], nullptr, 10)));
  return 0;
}
