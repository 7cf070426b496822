#include <boost/asio/post.hpp>
#include <map>
#include <stoq/peers.hpp>

#include "rpc/codes.hpp"
#include "rpc/testing/rpc_fixture.hpp"
#include "rpc/testing/watched_transport.hpp"
#include "transport/quic/testing/loopback_node.hpp"
#include "transport/testing/memory_fixture.hpp"

// Two nodes that call each other.

namespace stoq::testing {
namespace {

// One of them, wired as a node is.
struct Side {
  Side(const base::Executor& executor, Transport& inner, Endpoint endpoint,
       const base::Clock& clock, base::Rng& rng, rpc::PeersOptions options)
      : endpoint(endpoint),
        transport(inner),
        let_go(executor),
        server({executor, &clock, nullptr, {}}),
        peers({executor, &transport, &clock, &rng, nullptr, &server}, options) {
    for (const auto* method : {&kWork, &kBulky}) {
      server.handle(*method, [this](Call&, const PingRequest& request) -> Task<Result<PingReply>> {
        ++served[request.payload()];
        if (request.payload() == "wait") co_await let_go.reaches(1);
        co_return with<PingReply>(request.payload());
      });
    }
    server.serve(*transport.listen(endpoint, {.alpn = {"stoq/1", "stoq-bulk/1"}}),
                 [this](const auto& connection) { peers.adopt(connection); });
  }
  Task<Result<PingReply>> call(Side& other, const rpc::Unary<PingRequest, PingReply>& method,
                               std::string text) {
    const auto request = with<PingRequest>(std::move(text));
    co_return co_await peers.call(other.transport.self(), other.endpoint, method, request, {});
  }
  Task<> stop() {
    co_await server.drain(1s);
    co_await peers.stop(1s);
    co_await server.stop(0s);
  }

  const Endpoint endpoint;
  Watched transport;
  Tally let_go;
  std::map<std::string, int> served;
  rpc::Server server;
  rpc::Peers peers;
};

template <class Fixture>
class SharedConnections : public ::testing::Test {
 public:
  void run(const std::function<Task<>(Side&, Side&)>& body, rpc::PeersOptions options = {}) {
    run_to_end(context, [&](base::Executor executor) -> Task<> {
      auto &first = fixture.make(executor, 0), &second = fixture.make(executor, 1);
      {
        Side one(executor, first, fixture.endpoint(0), clock, rng, options);
        Side two(executor, second, fixture.endpoint(1), clock, rng, options);
        const bool in_order = first.self() < second.self();
        co_await body(in_order ? one : two, in_order ? two : one);
        co_await one.stop();
        co_await two.stop();
      }
      fixture.stop();
    });
  }

 private:
  boost::asio::io_context context;
  base::SystemClock clock;
  base::SystemRng rng;
  Fixture fixture;
};

TYPED_TEST_SUITE_P(SharedConnections);

Task<> count_answer(Side& from, Side& to, std::string text, int& answered) {
  const auto reply = co_await from.call(to, kWork, text);
  if (reply && reply->payload() == text) ++answered;
}

TYPED_TEST_P(SharedConnections, BothNodesCallOverOneConnectionForEachLane) {
  this->run([](Side& low, Side& high) -> Task<> {
    for (const auto* method : {&kWork, &kBulky}) {
      for (int i = 0; i < 3; ++i) {
        EXPECT_TRUE(co_await high.call(low, *method, "up"));
        EXPECT_TRUE(co_await low.call(high, *method, "down"));
      }
    }
    EXPECT_EQ(high.transport.made.size(), 2u);
    EXPECT_EQ(low.transport.made.size(), 0u);
    EXPECT_EQ(high.peers.connections(), 2u);
    EXPECT_EQ(low.peers.connections(), 2u);
    EXPECT_EQ(low.served["up"], 6);
    EXPECT_EQ(high.served["down"], 6);
  });
}

TYPED_TEST_P(SharedConnections, WhoLosesTheConnectionOfItsPeerDialsItself) {
  this->run([](Side& low, Side& high) -> Task<> {
    EXPECT_TRUE(co_await high.call(low, kWork, "one"));
    EXPECT_TRUE(co_await low.call(high, kWork, "two"));
    high.transport.made.front()->close("cut");
    while (low.peers.connections() > 0) co_await base::sleep_for(1ms);
    const auto reply = co_await low.call(high, kWork, "three");
    EXPECT_TRUE(reply) << reply.error().describe();
    EXPECT_EQ(low.transport.made.size(), 1u);
    EXPECT_EQ(high.served["three"], 1);
  });
}

// The call is on its way when the other end closes for idleness.
TYPED_TEST_P(SharedConnections, ACallThatIdlenessOvertookIsMadeOnceMoreAndServedOnce) {
  this->run([](Side& low, Side& high) -> Task<> {
    EXPECT_TRUE(co_await high.call(low, kWork, "one"));
    EXPECT_TRUE(co_await low.call(high, kWork, "two"));
    const auto executor = co_await boost::asio::this_coro::executor;
    base::TaskScope scope(executor);
    int answered = 0;
    Connection& idle = *high.transport.made.front();
    while (idle.stats().streams > 0) co_await base::sleep_for(1ms);
    boost::asio::post(executor, [&] { idle.close("idle", rpc::kCloseUnused); });
    scope.spawn(count_answer(low, high, "overtaken", answered));
    co_await scope.join();
    EXPECT_EQ(answered, 1);
    EXPECT_EQ(high.served["overtaken"], 1);
    EXPECT_EQ(low.transport.made.size(), 1u);
  });
}

TYPED_TEST_P(SharedConnections, ACallOfThePeerKeepsAConnectionThatItsDiallerDoesNotUse) {
  this->run(
      [](Side& low, Side& high) -> Task<> {
        EXPECT_TRUE(co_await high.call(low, kWork, "one"));
        base::TaskScope scope(co_await boost::asio::this_coro::executor);
        int answered = 0;
        scope.spawn(count_answer(low, high, "wait", answered));
        // Several times what an idle connection is kept.
        co_await base::sleep_for(30ms);
        EXPECT_EQ(high.peers.connections(), 1u);
        high.let_go.add();
        co_await scope.join();
        EXPECT_EQ(answered, 1);
        EXPECT_EQ(low.transport.made.size(), 0u);
        while (high.peers.connections() + low.peers.connections() > 0)
          co_await base::sleep_for(1ms);
      },
      {.idle_max = 5ms});
}

TYPED_TEST_P(SharedConnections, DiallingAtOnceSettlesOnTheConnectionOfTheSmallerId) {
  this->run(
      [](Side& low, Side& high) -> Task<> {
        base::TaskScope scope(co_await boost::asio::this_coro::executor);
        int answered = 0;
        scope.spawn(count_answer(low, high, "wait", answered));
        scope.spawn(count_answer(high, low, "wait", answered));
        while (low.transport.made.empty() || high.transport.made.empty())
          co_await base::sleep_for(1ms);
        // It is not closed under the calls that began on it.
        for (Side* side : {&low, &high}) side->let_go.add();
        co_await scope.join();
        EXPECT_EQ(answered, 2);
        while (high.transport.made.front()->close_code() == 0) {
          EXPECT_TRUE(co_await high.call(low, kWork, "up"));
          EXPECT_TRUE(co_await low.call(high, kWork, "down"));
          co_await base::sleep_for(5ms);
        }
        EXPECT_EQ(co_await high.transport.made.front()->closed(), "there is another connection");
        EXPECT_EQ(low.transport.made.size(), 1u);
        EXPECT_EQ(high.transport.made.size(), 1u);
        EXPECT_EQ(low.peers.connections(), 1u);
        EXPECT_EQ(high.peers.connections(), 1u);
      },
      {.idle_max = 300ms});
}

// Whatever closes and dials meanwhile, no call is served twice.
TYPED_TEST_P(SharedConnections, CallsOfBothNodesOutliveTheIdlenessOfTheirConnections) {
  this->run(
      [](Side& low, Side& high) -> Task<> {
        constexpr int kCalls = 40;
        base::TaskScope scope(co_await boost::asio::this_coro::executor);
        int answered = 0;
        const auto caller = [](Side& from, Side& to, int seed, int& answered) -> Task<> {
          base::SeededRng rng(static_cast<std::uint64_t>(seed));
          for (int i = 0; i < kCalls; ++i) {
            co_await count_answer(from, to, std::to_string(i), answered);
            co_await base::sleep_for(std::chrono::microseconds(rng.below(16'000)));
          }
        };
        scope.spawn(caller(low, high, 1, answered));
        scope.spawn(caller(high, low, 2, answered));
        co_await scope.join();
        EXPECT_EQ(answered, 2 * kCalls);
        for (Side* side : {&low, &high})
          for (const auto& [text, times] : side->served) EXPECT_EQ(times, 1) << text;
        EXPECT_GT(low.transport.made.size() + high.transport.made.size(), 2u);
      },
      {.idle_max = 8ms});
}

// As a node does whose process was killed: nobody closed what the process before had dialled.
TYPED_TEST_P(SharedConnections, CallsEndOnAConnectionThatThePeerHasForgotten) {
  this->run([](Side& low, Side& high) -> Task<> {
    EXPECT_TRUE(co_await high.call(low, kWork, "one"));
    const auto executor = co_await boost::asio::this_coro::executor;
    base::TaskScope scope(executor);
    int answered = 0;
    scope.spawn(count_answer(low, high, "wait", answered));
    while (high.served["wait"] == 0) co_await base::sleep_for(1ms);
    base::SystemClock clock;
    base::SystemRng rng;
    rpc::Peers again({executor, &high.transport, &clock, &rng});
    EXPECT_TRUE(co_await again.call(low.transport.self(), low.endpoint, kWork,
                                    with<PingRequest>("two"), {}));
    co_await scope.join();
    EXPECT_EQ(answered, 0);
    EXPECT_EQ(high.transport.made.size(), 2u);
    EXPECT_EQ(low.transport.made.size(), 0u);
    co_await again.stop(0s);
  });
}

REGISTER_TYPED_TEST_SUITE_P(SharedConnections, BothNodesCallOverOneConnectionForEachLane,
                            WhoLosesTheConnectionOfItsPeerDialsItself,
                            ACallThatIdlenessOvertookIsMadeOnceMoreAndServedOnce,
                            ACallOfThePeerKeepsAConnectionThatItsDiallerDoesNotUse,
                            DiallingAtOnceSettlesOnTheConnectionOfTheSmallerId,
                            CallsEndOnAConnectionThatThePeerHasForgotten,
                            CallsOfBothNodesOutliveTheIdlenessOfTheirConnections);

INSTANTIATE_TYPED_TEST_SUITE_P(Memory, SharedConnections, MemoryFixture);
INSTANTIATE_TYPED_TEST_SUITE_P(Quic, SharedConnections, QuicFixture);

}  // namespace
}  // namespace stoq::testing
