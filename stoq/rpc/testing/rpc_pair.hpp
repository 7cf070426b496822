#pragma once

// A server and a client of calls on one executor, for tests over any transport.

#include <gmock/gmock.h>

#include <base/async/task_scope.hpp>
#include <boost/asio/io_context.hpp>
#include <stoq/rpc.hpp>
#include <stoq/rpc_server.hpp>

#include "rpc/diagnostics.hpp"

namespace stoq::testing {

/// Fixture: as of TransportSuite.
template <class Fixture>
class RpcPair {
 public:
  explicit RpcPair(const base::Executor& executor)
      : executor(executor),
        server_transport(fixture.make(executor, 0)),
        client_transport(fixture.make(executor, 1)) {}

  /// Begins to serve what `add` adds, and connects a client for each lane.
  base::Task<> start(const std::function<void(rpc::Server&)>& add, rpc::ServerOptions options = {},
                     base::Metrics* metrics = nullptr) {
    server = std::make_unique<rpc::Server>(
        rpc::Server::Parts{executor, &clock, metrics, base::Log()}, options);
    add(*server);
    server->serve(*server_transport.listen(fixture.endpoint(0),
                                           {.alpn = {std::string(rpc::alpn_of(rpc::Lane::Control)),
                                                     std::string(rpc::alpn_of(rpc::Lane::Bulk))}}));
    control = co_await connect(rpc::Lane::Control);
    bulk = co_await connect(rpc::Lane::Bulk);
    client = std::make_unique<rpc::Client>(control, clock, metrics);
    bulk_client = std::make_unique<rpc::Client>(bulk, clock, metrics);
  }
  base::Task<std::shared_ptr<Connection>> connect(rpc::Lane lane) {
    co_return *co_await client_transport.connect(fixture.endpoint(0), server_transport.self(),
                                                 {.alpn = std::string(rpc::alpn_of(lane))});
  }
  base::Task<> stop(base::Duration grace = std::chrono::seconds(0)) {
    co_await server->stop(grace);
    client.reset();
    bulk_client.reset();
    control.reset();
    bulk.reset();
    server.reset();
    fixture.stop();
  }

  base::SystemClock clock;
  base::Executor executor;
  Fixture fixture;
  Transport& server_transport;
  Transport& client_transport;
  std::unique_ptr<rpc::Server> server;
  std::shared_ptr<Connection> control, bulk;
  std::unique_ptr<rpc::Client> client, bulk_client;
};

/// Runs `body` to its end. What waits on `context` is declared after it.
inline void run_to_end(boost::asio::io_context& context,
                       const std::function<base::Task<>(base::Executor)>& body) {
  bool done = false;
  boost::asio::co_spawn(context, body(context.get_executor()), [&](std::exception_ptr thrown) {
    if (thrown) std::rethrow_exception(thrown);
    done = true;
  });
  context.run();
  EXPECT_TRUE(done);
}

}  // namespace stoq::testing
