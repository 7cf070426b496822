#include "rpc/testing/rpc_pair.hpp"
#include "transport/quic/testing/loopback_node.hpp"

namespace stoq::testing {
namespace {

using base::Result;
using base::Task;
using v1::PingReply;
using v1::PingRequest;

// Connections live on several threads, and so do the handlers; one server stops them all.
TEST(ServerOfSeveralCores, AnswersOnEachAndStopsThemAll) {
  boost::asio::io_context context;
  base::SystemClock clock;
  base::SystemRng rng;
  LoopbackNode server_node(rng, clock), client_node(rng, clock);
  const auto metrics = base::make_prometheus_metrics();
  std::mutex mutex;
  std::set<std::thread::id> threads;
  run_to_end(context, [&](base::Executor executor) -> Task<> {
    QuicTransportOptions options;
    options.cores = 3;
    auto& transport = server_node.start(executor, options);
    auto& client_transport = client_node.start(executor);
    rpc::Server server({executor, &clock, metrics.get(), {}});
    server.handle(kPing, [&](rpc::Call&, const PingRequest& request) -> Task<Result<PingReply>> {
      {
        const std::lock_guard lock(mutex);
        threads.insert(std::this_thread::get_id());
      }
      PingReply reply;
      reply.set_payload(request.payload());
      co_return reply;
    });
    auto listener = *transport.listen(loopback(0), {});
    const Endpoint endpoint = listener->endpoint();
    server.serve(std::move(listener));

    std::vector<std::unique_ptr<rpc::Client>> clients;
    for (int i = 0; i < 12; ++i) {
      auto connection = co_await client_transport.connect(endpoint, transport.self(), {});
      EXPECT_TRUE(connection);
      clients.push_back(std::make_unique<rpc::Client>(*std::move(connection), clock));
    }
    base::TaskScope scope(executor);
    int answered = 0;
    for (int i = 0; i < 240; ++i) {
      scope.spawn([](rpc::Client& client, std::string text, int& count) -> Task<> {
        PingRequest request;
        request.set_payload(text);
        const auto reply = co_await client.call(kPing, request);
        if (reply && reply->payload() == text) ++count;
      }(*clients[static_cast<std::size_t>(i) % clients.size()], std::to_string(i), answered));
    }
    co_await scope.join();
    EXPECT_EQ(answered, 240);
    co_await server.stop(std::chrono::seconds(1));
    EXPECT_EQ(server.calls_in_flight(), 0u);
    clients.clear();
    server_node.transport.reset();
    client_node.transport.reset();
  });
  EXPECT_GT(threads.size(), 1u);
}

}  // namespace
}  // namespace stoq::testing
