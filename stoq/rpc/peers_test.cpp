#include <boost/asio/post.hpp>
#include <stoq/peers.hpp>

#include "rpc/testing/rpc_fixture.hpp"
#include "rpc/testing/watched_transport.hpp"
#include "transport/quic/testing/loopback_node.hpp"
#include "transport/testing/memory_fixture.hpp"

namespace stoq::testing {
namespace {

using ::testing::HasSubstr;

constexpr rpc::Unary<PingRequest, PingReply> kSafe{"test/Safe", {.replay_safe = true}};
constexpr rpc::Unary<PingRequest, PingReply> kSlow{"test/Slow"};

// Writes down what came, and echoes it.
struct Echo {
  std::vector<std::string>* seen;
  std::function<void(const std::string&)>* served;
  Task<Result<PingReply>> operator()(Call&, const PingRequest& request) const {
    seen->push_back(request.payload());
    if (*served) (*served)(request.payload());
    PingReply reply;
    reply.set_payload(request.payload());
    co_return reply;
  }
};

template <class Fixture>
class PeersSuite : public ::testing::Test {
 public:
  void run(const std::function<Task<>(PeersSuite&)>& body, rpc::PeersOptions options = {}) {
    run_to_end(context, [&](base::Executor executor) -> Task<> {
      this->executor = executor;
      server_transport = &fixture.make(executor, 0);
      watched = std::make_unique<Watched>(fixture.make(executor, 1));
      peers = std::make_unique<rpc::Peers>(
          rpc::Peers::Parts{executor, watched.get(), &clock, &rng, metrics.get()}, options);
      co_await body(*this);
      co_await peers->stop(0s);
      co_await stop_server();
      peers.reset();
      watched.reset();
      fixture.stop();
    });
  }
  Result<std::unique_ptr<Listener>> listen() {
    return server_transport->listen(fixture.endpoint(0), {.alpn = {"stoq/1", "stoq-bulk/1"}});
  }
  void start_server() { serve(*listen()); }
  void serve(std::unique_ptr<Listener> listener) {
    server = std::make_unique<rpc::Server>(rpc::Server::Parts{executor, &clock, nullptr, {}});
    for (const auto* method : {&kWork, &kSafe, &kBulky})
      server->handle(*method, Echo{&seen, &served});
    server->handle(kSlow, [this](Call&, const PingRequest&) -> Task<Result<PingReply>> {
      const Farewell farewell(ended);
      begun.add();
      co_await let_go.reaches(1);
      co_return with<PingReply>("slow");
    });
    server->serve(std::move(listener));
  }
  // With all that a process forgets.
  Task<> restart_server() {
    co_await stop_server();
    server_transport = &fixture.make(executor, 0);
    // The old sockets are closed once what waits for them has heard that it waits in vain.
    auto listener = listen();
    for (; !listener; listener = listen())
      co_await boost::asio::post(executor, boost::asio::use_awaitable);
    serve(*std::move(listener));
  }
  Task<> stop_server() {
    if (server) co_await server->stop(0s);
    server.reset();
  }
  Task<Result<PingReply>> call(const rpc::Unary<PingRequest, PingReply>& method, std::string text,
                               rpc::CallOptions options = {}) {
    const PingRequest request = with<PingRequest>(text);
    co_return co_await peers->call(server_transport->self(), fixture.endpoint(0), method, request,
                                   options);
  }
  double dials(const std::string& result) const {
    const std::string text = metrics->expose();
    const std::string line = "stoq_peers_connects_total{result=\"" + result + "\"} ";
    const auto at = text.find(line);
    return at == std::string::npos ? 0 : std::stod(text.substr(at + line.size()));
  }

  boost::asio::io_context context;
  Tally begun{context.get_executor()}, let_go{context.get_executor()},
      ended{context.get_executor()};
  base::SystemClock clock;
  base::SystemRng rng;
  std::unique_ptr<base::Metrics> metrics = base::make_prometheus_metrics();
  base::Executor executor;
  Fixture fixture;
  Transport* server_transport = nullptr;
  std::unique_ptr<Watched> watched;
  std::unique_ptr<rpc::Server> server;
  std::unique_ptr<rpc::Peers> peers;
  std::vector<std::string> seen;
  std::function<void(const std::string&)> served;  // Told of each request.
};

TYPED_TEST_SUITE_P(PeersSuite);

TYPED_TEST_P(PeersSuite, ConnectsOnceForAllCallersOfALane) {
  this->run([](auto& test) -> Task<> {
    test.start_server();
    base::TaskScope scope(test.executor);
    int answered = 0;
    for (int i = 0; i < 20; ++i) {
      scope.spawn([](auto& test, int number, int& count) -> Task<> {
        const auto& method = number % 2 == 0 ? kWork : kBulky;
        const auto reply = co_await test.call(method, std::to_string(number));
        if (reply && reply->payload() == std::to_string(number)) ++count;
      }(test, i, answered));
    }
    co_await scope.join();
    EXPECT_EQ(answered, 20);
    EXPECT_EQ(test.peers->connections(), 2u);
    EXPECT_EQ(test.dials("OK"), 2);
  });
}

TYPED_TEST_P(PeersSuite, CallersShareAFailureAndComeBackWhenThePeerDoes) {
  this->run(
      [](auto& test) -> Task<> {
        base::TaskScope scope(test.executor);
        int failed = 0;
        for (int i = 0; i < 5; ++i) {
          scope.spawn([](auto& test, int& count) -> Task<> {
            if (!co_await test.call(kWork, "x")) ++count;
          }(test, failed));
        }
        co_await scope.join();
        EXPECT_EQ(failed, 5);
        // Where an attempt fails before the next caller comes, those that follow wait for one more.
        EXPECT_LE(test.dials("Unavailable") + test.dials("TimedOut"), 2);
        // The time of this one is over before the next attempt.
        const auto hasty = co_await test.call(kWork, "x", {.timeout = 1ms});
        EXPECT_FALSE(hasty);
        EXPECT_THAT(hasty.error().hints.back(), HasSubstr("next attempt"));
        test.start_server();
        const auto reply = co_await test.call(kWork, "back");
        EXPECT_TRUE(reply) << reply.error().describe();
        EXPECT_THAT(test.seen, ::testing::ElementsAre("back"));
      },
      {.connect_timeout = 50ms, .backoff_min = 100ms});
}

TYPED_TEST_P(PeersSuite, AnIdleConnectionIsClosedAndComesBack) {
  this->run(
      [](auto& test) -> Task<> {
        test.start_server();
        EXPECT_TRUE(co_await test.call(kSafe, "one"));
        EXPECT_EQ(test.peers->connections(), 1u);
        while (test.peers->connections() > 0) co_await base::sleep_for(5ms);
        EXPECT_TRUE(co_await test.call(kSafe, "two"));
        EXPECT_THAT(test.seen, ::testing::ElementsAre("one", "two"));
        EXPECT_EQ(test.dials("OK"), 2);
      },
      {.idle_max = 20ms});
}

TYPED_TEST_P(PeersSuite, TheWrongNodeIsRefusedAtOnceUntilTheWaitIsOver) {
  this->run([](auto& test) -> Task<> {
    test.start_server();
    NodeId other;
    other.bytes[31] = 9;
    const PingRequest request = with<PingRequest>("x");
    const auto first =
        co_await test.peers->call(other, test.fixture.endpoint(0), kWork, request, {});
    EXPECT_EQ(first.error().code, Errc::NotVerified);
    const auto second =
        co_await test.peers->call(other, test.fixture.endpoint(0), kWork, request, {});
    EXPECT_EQ(second.error().code, Errc::NotVerified);
    EXPECT_THAT(second.error().hints.back(), HasSubstr("next attempt"));
    EXPECT_EQ(test.dials("NotVerified"), 1);
    EXPECT_TRUE(test.seen.empty());
  });
}

TYPED_TEST_P(PeersSuite, APeerThatStoppedIsFoundAgain) {
  this->run([](auto& test) -> Task<> {
    test.start_server();
    EXPECT_TRUE(co_await test.call(kWork, "one"));
    co_await test.restart_server();
    const auto reply = co_await test.call(kWork, "two");
    EXPECT_TRUE(reply) << reply.error().describe();
    EXPECT_THAT(test.seen, ::testing::ElementsAre("one", "two"));
  });
}

TYPED_TEST_P(PeersSuite, ThePeersAreBoundedAndTheOldestGivesWay) {
  this->run(
      [](auto& test) -> Task<> {
        test.start_server();
        EXPECT_TRUE(co_await test.call(kWork, "one"));
        EXPECT_TRUE(co_await test.call(kBulky, "two"));
        EXPECT_EQ(test.peers->connections(), 1u);
        EXPECT_TRUE(co_await test.call(kWork, "three"));
      },
      {.peers_max = 1});
}

TYPED_TEST_P(PeersSuite, StoppingLetsCallsEndAndTakesNoNewOnes) {
  this->run([](auto& test) -> Task<> {
    test.start_server();
    base::TaskScope scope(test.executor);
    std::string answer;
    scope.spawn([](auto& test, std::string& text) -> Task<> {
      const auto reply = co_await test.call(kSlow, "");
      if (reply) text = reply->payload();
    }(test, answer));
    co_await test.begun.reaches(1);
    scope.spawn([](auto& test) -> Task<> { co_await test.peers->stop(10s); }(test));
    Result<PingReply> late;
    while (late) late = co_await test.call(kWork, "late");
    EXPECT_EQ(late.error().code, Errc::Unavailable);
    EXPECT_EQ(late.error().message, "the node is stopping");
    EXPECT_EQ(test.peers->connections(), 1u);
    test.let_go.add();
    co_await scope.join();
    EXPECT_EQ(answer, "slow");
    EXPECT_EQ(test.peers->connections(), 0u);
  });
}

TYPED_TEST_P(PeersSuite, StoppingEndsWhatOutlivesItsGrace) {
  this->run([](auto& test) -> Task<> {
    test.start_server();
    base::TaskScope scope(test.executor);
    std::optional<base::Error> error;
    scope.spawn([](auto& test, std::optional<base::Error>& error) -> Task<> {
      const auto reply = co_await test.call(kSlow, "");
      if (!reply) error = reply.error();
    }(test, error));
    co_await test.begun.reaches(1);
    co_await test.peers->stop(1ms);
    co_await scope.join();
    EXPECT_TRUE(error);
    if (error) {
      EXPECT_EQ(error->code, Errc::Unavailable);
      EXPECT_THAT(error->message, HasSubstr("the node is stopping"));
    }
    co_await test.ended.reaches(1);
  });
}

TYPED_TEST_P(PeersSuite, ACallerThatGivesUpWaitingLeavesTheOthersAlone) {
  this->run([](auto& test) -> Task<> {
    base::TaskScope hasty(test.executor), patient(test.executor);
    const auto ask = [](auto& test, int& answered) -> Task<> {
      if (co_await test.call(kSafe, "x")) ++answered;
    };
    int answered = 0;
    test.start_server();
    hasty.spawn(ask(test, answered));
    patient.spawn(ask(test, answered));
    // Both have asked for the connection, and none is there.
    co_await boost::asio::post(test.executor, boost::asio::use_awaitable);
    hasty.cancel();
    co_await hasty.join();
    co_await patient.join();
    EXPECT_GE(answered, 1);
    EXPECT_EQ(test.peers->connections(), 1u);
  });
}

// The connection ends under a call: nobody knows whether it was served. One that may be served
// twice is made once more; any other is not.
TYPED_TEST_P(PeersSuite, OnlyAReplaySafeCallIsMadeOnceMore) {
  this->run([](auto& test) -> Task<> {
    test.start_server();
    int cuts = 0;
    test.served = [&](const std::string& text) {
      if (text == "cut" && ++cuts != 2) test.watched->made.back()->close("cut");
    };
    const auto safe = co_await test.call(kSafe, "cut");
    EXPECT_TRUE(safe) << safe.error().describe();
    EXPECT_EQ(cuts, 2);
    const auto other = co_await test.call(kWork, "cut");
    EXPECT_EQ(other.error().code, Errc::Unavailable);
    EXPECT_EQ(cuts, 3);
  });
}

REGISTER_TYPED_TEST_SUITE_P(PeersSuite, ConnectsOnceForAllCallersOfALane,
                            CallersShareAFailureAndComeBackWhenThePeerDoes,
                            AnIdleConnectionIsClosedAndComesBack,
                            TheWrongNodeIsRefusedAtOnceUntilTheWaitIsOver,
                            APeerThatStoppedIsFoundAgain, ThePeersAreBoundedAndTheOldestGivesWay,
                            StoppingLetsCallsEndAndTakesNoNewOnes, StoppingEndsWhatOutlivesItsGrace,
                            ACallerThatGivesUpWaitingLeavesTheOthersAlone,
                            OnlyAReplaySafeCallIsMadeOnceMore);

using QuicPeers = PeersSuite<QuicFixture>;

// What an idle connection costs its next caller: nothing but the first packet.
TEST_F(QuicPeers, AReplaySafeCallComesBackWithTheFirstPacket) {
  run(
      [](QuicPeers& test) -> Task<> {
        test.start_server();
        EXPECT_TRUE(co_await test.call(kSafe, "one"));
        while (test.peers->connections() > 0) co_await base::sleep_for(5ms);
        EXPECT_TRUE(co_await test.call(kSafe, "two"));
        EXPECT_EQ(test.watched->made.size(), 2u);
        EXPECT_THAT(test.watched->early, ::testing::ElementsAre(false, true));
        EXPECT_TRUE(test.watched->made.back()->stats().early_accepted);
        EXPECT_THAT(test.seen, ::testing::ElementsAre("one", "two"));
      },
      {.idle_max = 20ms});
}

// The server does not know its own tickets any more: what came early is sent again, and served
// once.
TEST_F(QuicPeers, AnEarlyRequestThatIsRejectedIsServedOnce) {
  run(
      [](QuicPeers& test) -> Task<> {
        test.start_server();
        EXPECT_TRUE(co_await test.call(kSafe, "one"));
        while (test.peers->connections() > 0) co_await base::sleep_for(5ms);
        co_await test.restart_server();
        const auto reply = co_await test.call(kSafe, "two");
        EXPECT_TRUE(reply) << reply.error().describe();
        EXPECT_THAT(test.watched->early, ::testing::ElementsAre(false, true));
        EXPECT_FALSE(test.watched->made.back()->stats().early_accepted);
        EXPECT_THAT(test.seen, ::testing::ElementsAre("one", "two"));
      },
      {.idle_max = 20ms});
}

INSTANTIATE_TYPED_TEST_SUITE_P(Memory, PeersSuite, MemoryFixture);
INSTANTIATE_TYPED_TEST_SUITE_P(Quic, PeersSuite, QuicFixture);

}  // namespace
}  // namespace stoq::testing
