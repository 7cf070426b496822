#include <gmock/gmock.h>

#include <atomic>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "transport/quic/quic_connection.hpp"
#include "transport/quic/testing/loopback_test.hpp"
#include "transport/quic/testing/udp_proxy.hpp"

// What a server's peers may cost it: over loopback, where ::1 and every address of 127.0.0.0/8 is
// a source of its own.

namespace stoq {
namespace {

using namespace std::chrono_literals;
using quic::testing::UdpProxy;
using ::testing::HasSubstr;
using testing::loopback;
using testing::LoopbackNode;

Endpoint loopback_v4(std::uint16_t port, std::uint8_t host = 1) {
  Endpoint made;
  made.address = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127, 0, 0, host};
  made.port = port;
  return made;
}

class ProtectionTest : public testing::LoopbackTest {
 public:
  // Waits for what others bring about.
  base::Task<> until(std::function<bool()> done) {
    while (!done()) co_await boost::asio::post(context_, boost::asio::use_awaitable);
  }
  static QuicTransportOptions both_families() {
    QuicTransportOptions options;
    options.ipv4 = true;
    return options;
  }
  static Endpoint anywhere() { return {}; }

  LoopbackNode good_{rng_, clock_};
};

// One source asks for thousands of handshakes; another one is served as ever.
TEST_F(ProtectionTest, AFloodOfHandshakesFromOneSourceLeavesTheOthersTheirService) {
  run([](ProtectionTest& test) -> base::Task<> {
    constexpr int kHandshakes = 10'000, kAtOnce = 50;
    constexpr std::size_t kPerSource = 100;
    auto options = both_families();
    options.limits.connections_per_source_max = kPerSource;
    options.limits.handshakes_per_source_per_second = 50;
    options.limits.handshakes_burst = 200;
    options.limits.answers_per_source_per_second = 1e6;  // So that the attacker need not wait.
    auto& server = test.server_.start(test.executor(), options);
    auto& attacker = test.client_.start(test.executor());
    auto& good = test.good_.start(test.executor(), both_families());
    auto listener = *server.listen(anywhere(), {});
    const auto port = listener->endpoint().port;
    int accepted = 0;
    base::TaskScope scope(test.executor());
    scope.spawn(serve(*listener, accepted));

    const auto known = *co_await good.connect(loopback_v4(port), server.self(), {});
    int left = kHandshakes, refused = 0;
    std::vector<std::shared_ptr<Connection>> held;
    base::TaskScope flood(test.executor());
    for (int i = 0; i < kAtOnce; ++i) {
      flood.spawn([](QuicTransport& attacker, NodeId server, std::uint16_t port, int& left,
                     int& refused, std::vector<std::shared_ptr<Connection>>& held) -> base::Task<> {
        while (left-- > 0) {
          auto connection = co_await attacker.connect(loopback(port), server, {});
          if (connection) {
            held.push_back(*std::move(connection));
          } else {
            EXPECT_THAT(connection.error().message, HasSubstr("limit of connections"));
            ++refused;
          }
        }
      }(attacker, server.self(), port, left, refused, held));
    }
    int served = 0;
    std::size_t most = 0;
    while (left > 0) {
      EXPECT_EQ(*co_await ask(*known, "x"), "x");
      auto fresh = co_await good.connect(loopback_v4(port), server.self(), {});
      EXPECT_TRUE(fresh) << fresh.error().describe();
      if (!fresh) break;
      EXPECT_EQ(*co_await ask(**fresh, "y"), "y");
      ++served;
      most = std::max(most, server.usage().core.connections);
    }
    co_await flood.join();
    EXPECT_GT(served, 10);
    EXPECT_LE(held.size(), kPerSource);
    EXPECT_EQ(held.size() + static_cast<std::size_t>(refused), kHandshakes);
    EXPECT_LE(most, 2 * kPerSource);
    const auto usage = server.usage();
    EXPECT_LE(usage.sources, 2u);
    EXPECT_LE(usage.core.ids, usage.core.connections * 9);
    held.clear();
    listener.reset();
    co_await scope.join();
    test.good_.transport.reset();
  }(*this));
}

TEST_F(ProtectionTest, StreamsOfASourceAreLimitedOverAllItsConnections) {
  run([](ProtectionTest& test) -> base::Task<> {
    auto options = both_families();
    options.limits.streams_per_source_max = 3;
    auto& server = test.server_.start(test.executor(), options);
    auto& client = test.client_.start(test.executor());
    auto& good = test.good_.start(test.executor(), both_families());
    auto listener = *server.listen(anywhere(), {});
    const auto port = listener->endpoint().port;
    int accepted = 0;
    base::TaskScope scope(test.executor());
    scope.spawn(serve(*listener, accepted));
    const auto one = *co_await client.connect(loopback(port), server.self(), {});
    const auto two = *co_await client.connect(loopback(port), server.self(), {});
    const auto three = *co_await client.connect(loopback(port), server.self(), {});
    const auto other = *co_await good.connect(loopback_v4(port), server.self(), {});
    std::vector<std::unique_ptr<Stream>> held;
    for (Connection* connection : {one.get(), two.get(), three.get()}) {
      held.push_back(*co_await connection->open_stream());
      EXPECT_TRUE(co_await held.back()->write(base::as_bytes("x")));
      EXPECT_EQ(base::as_text(*co_await held.back()->read()), "x");
    }
    const auto refused = co_await ask(*two, "y");
    EXPECT_EQ(refused.error().code, base::Errc::ResourceExhausted) << refused.error().describe();
    EXPECT_EQ(*co_await ask(*other, "z"), "z");
    co_await test.until([&] { return server.usage().core.streams == 3; });
    held.clear();
    co_await test.until([&] { return server.usage().core.streams == 0; });
    EXPECT_EQ(*co_await ask(*two, "y"), "y");
    listener.reset();
    co_await scope.join();
    test.good_.transport.reset();
  }(*this));
}

TEST_F(ProtectionTest, WhatNobodyReadsIsBoundedAndTheSourceWithMostPays) {
  run([](ProtectionTest& test) -> base::Task<> {
    auto options = both_families();
    options.limits.unread_bytes_max = 2 << 20;
    auto& server = test.server_.start(test.executor(), options);
    auto& client = test.client_.start(test.executor());
    auto& good = test.good_.start(test.executor(), both_families());
    auto listener = *server.listen(anywhere(), {});
    const auto port = listener->endpoint().port;
    const auto write = [](Connection& connection, std::size_t bytes) -> base::Task<> {
      auto stream = co_await connection.open_stream();
      if (stream) (void)co_await (*stream)->write(base::Bytes(bytes));
    };
    const auto quiet = *co_await good.connect(loopback_v4(port), server.self(), {});
    std::vector<std::shared_ptr<Connection>> ours{*co_await listener->accept()}, theirs;
    co_await write(*quiet, 200'000);
    base::TaskScope writers(test.executor());
    for (int i = 0; i < 3; ++i) {
      theirs.push_back(*co_await client.connect(loopback(port), server.self(), {}));
      ours.push_back(*co_await listener->accept());
      for (int stream = 0; stream < 4; ++stream) writers.spawn(write(*theirs.back(), 1 << 20));
    }
    int ended = 0;
    std::string reason;
    base::TaskScope watch(test.executor());
    for (const auto& connection : theirs) {
      watch.spawn([](Connection& of, int& ended, std::string& reason) -> base::Task<> {
        reason = co_await of.closed();
        ++ended;
      }(*connection, ended, reason));
    }
    co_await test.until([&] { return ended > 0; });
    EXPECT_THAT(reason, HasSubstr("unread"));
    EXPECT_LE(server.usage().core.unread_bytes, options.limits.unread_bytes_max);
    EXPECT_GE(server.usage().core.unread_bytes, 200'000u);
    EXPECT_TRUE(co_await quiet->open_stream());
    for (const auto& connection : theirs) connection->close("enough");
    co_await watch.join();
    co_await writers.join();
    test.good_.transport.reset();
  }(*this));
}

TEST_F(ProtectionTest, IdleConnectionsOfWhoHasManyMakeRoom) {
  run([](ProtectionTest& test) -> base::Task<> {
    auto options = both_families();
    options.limits.connections_max = 10;
    options.limits.crowded_share = 0.8;
    options.limits.idle_before_eviction = 0s;
    auto& server = test.server_.start(test.executor(), options);
    auto& client = test.client_.start(test.executor());
    auto& good = test.good_.start(test.executor(), both_families());
    auto listener = *server.listen(anywhere(), {});
    const auto port = listener->endpoint().port;
    int accepted = 0;
    base::TaskScope scope(test.executor());
    scope.spawn(serve(*listener, accepted));
    std::vector<std::shared_ptr<Connection>> idle, used;
    for (int i = 0; i < 8; ++i)
      idle.push_back(*co_await client.connect(loopback(port), server.self(), {}));
    for (int i = 0; i < 3; ++i) {
      auto made = co_await good.connect(loopback_v4(port), server.self(), {});
      EXPECT_TRUE(made) << made.error().describe();
      if (!made) break;
      EXPECT_EQ(*co_await ask(**made, "x"), "x");
      used.push_back(*std::move(made));
      // Until it has said good-bye to the one that went.
      co_await test.until([&] { return server.usage().connections < 10; });
    }
    EXPECT_EQ(co_await idle.front()->closed(), "an idle connection made room");
    for (const auto& connection : used) EXPECT_EQ(*co_await ask(*connection, "y"), "y");
    used.clear();
    idle.clear();
    listener.reset();
    co_await scope.join();
    test.good_.transport.reset();
  }(*this));
}

TEST_F(ProtectionTest, APeerThatVanishesLeavesNothing) {
  run([](ProtectionTest& test) -> base::Task<> {
    QuicTransportOptions options;
    options.session.idle_timeout = 300ms;
    options.session.handshake_timeout = 300ms;
    auto& server = test.server_.start(test.executor(), options);
    auto& client = test.client_.start(test.executor());
    auto listener = *server.listen(loopback(0), {});
    int accepted = 0;
    base::TaskScope scope(test.executor());
    scope.spawn(serve(*listener, accepted));
    UdpProxy proxy(test.executor(), listener->endpoint());
    std::vector<std::shared_ptr<Connection>> connections;
    std::vector<std::unique_ptr<Stream>> streams;
    for (int i = 0; i < 5; ++i) {
      connections.push_back(*co_await client.connect(proxy.endpoint(), server.self(), {}));
      streams.push_back(*co_await connections.back()->open_stream());
      EXPECT_TRUE(co_await streams.back()->write(base::Bytes(5000)));
      EXPECT_TRUE(co_await streams.back()->read());
    }
    // One more never ends its handshake: its first flight arrives, whatever the others still say,
    // and no answer.
    proxy.to_server = [first = true](base::Bytes bytes) mutable {
      std::vector<base::Bytes> out;
      const bool initial = (bytes.at(0) & 0x80) != 0;
      if (initial && std::exchange(first, false)) out.push_back(std::move(bytes));
      return out;
    };
    proxy.to_client = [](const base::Bytes&) { return std::vector<base::Bytes>(); };
    EXPECT_FALSE(co_await client.connect(proxy.endpoint(), server.self(), {.timeout = 100ms}));
    proxy.stop();
    EXPECT_GT(server.usage().core.ids, 5u);
    co_await test.until([&] { return server.usage().core.connections == 0; });
    const auto usage = server.usage();
    EXPECT_EQ(usage.core.ids, 0u);
    EXPECT_EQ(usage.connections, 0u);
    EXPECT_EQ(usage.handshakes, 0u);
    EXPECT_LE(usage.sources, 1u);
    streams.clear();
    connections.clear();
    listener.reset();
    co_await scope.join();
  }(*this));
}

// --- forgers and recorders ---

TEST_F(ProtectionTest, ARecordedFirstFlightIsServedOnce) {
  for (const unsigned cores : {1u, 3u}) {
    boost::asio::io_context context;
    QuicTransportOptions options;
    options.cores = cores;
    auto& server = server_.start(context.get_executor(), options);
    auto& client = client_.start(context.get_executor());
    bool done = false;
    boost::asio::co_spawn(
        context,
        [&]() -> base::Task<> {
          auto listener = *server.listen(loopback(0), {});
          std::atomic<int> requests = 0, connections = 0;
          base::TaskScope scope(context.get_executor());
          scope.spawn([](Listener& listener, std::atomic<int>& requests,
                         std::atomic<int>& connections) -> base::Task<> {
            for (;;) {
              auto connection = co_await listener.accept();
              if (!connection) co_return;
              ++connections;
              boost::asio::co_spawn((*connection)->executor(),
                                    [](std::shared_ptr<Connection> connection,
                                       std::atomic<int>& requests) -> base::Task<> {
                                      for (;;) {
                                        auto stream = co_await connection->accept_stream();
                                        if (!stream) co_return;
                                        const auto bytes = co_await (*stream)->read();
                                        if (!bytes || bytes->empty()) continue;
                                        ++requests;
                                        (void)co_await (*stream)->write(*bytes);
                                        (*stream)->close_write();
                                      }
                                    }(*std::move(connection), requests),
                                    boost::asio::detached);
            }
          }(*listener, requests, connections));
          UdpProxy proxy(context.get_executor(), listener->endpoint());
          {
            auto first = co_await client.connect(proxy.endpoint(), server.self(), {});
            EXPECT_EQ(*co_await ask(**first, "one"), "one");
          }
          std::vector<base::Bytes> flight;
          proxy.to_server = [&](base::Bytes bytes) {
            flight.push_back(bytes);
            std::vector<base::Bytes> out;
            out.push_back(std::move(bytes));
            return out;
          };
          proxy.rebind();
          std::shared_ptr<Connection> early =
              *co_await client.connect(proxy.endpoint(), server.self(), {.early = true});
          EXPECT_EQ(*co_await ask(*early, "early", {.replay_safe = true}), "early");
          auto& state = static_cast<quic::QuicConnection&>(*early).state();
          while (!state.established) co_await state.changed.wait();
          EXPECT_TRUE(state.session->early_accepted());
          const auto recorded = flight;
          EXPECT_EQ(requests, 2);
          const int before = connections;
          // While the connection lives, and after it; from its own port, and from others.
          for (int round = 0; round < 4; ++round) {
            if (round == 2) early.reset();
            if (round % 2 == 1) proxy.rebind();
            for (const auto& datagram : recorded) proxy.inject(datagram);
            for (int turn = 0; turn < 2000; ++turn)
              co_await boost::asio::post(context, boost::asio::use_awaitable);
          }
          EXPECT_EQ(requests, 2);
          EXPECT_EQ(connections, before);
          proxy.stop();
          listener.reset();
          co_await scope.join();
          server_.transport.reset();
          client_.transport.reset();
          done = true;
        },
        [](std::exception_ptr thrown) {
          if (thrown) std::rethrow_exception(thrown);
        });
    context.run();
    EXPECT_TRUE(done);
  }
}

TEST_F(ProtectionTest, EmptyAndShortDatagramsAreNothing) {
  run([](ProtectionTest& test) -> base::Task<> {
    for (const bool offload : {true, false}) {
      QuicTransportOptions options;
      options.offload = offload;
      auto& server = test.server_.start(test.executor(), options);
      auto& client = test.client_.start(test.executor());
      auto listener = *server.listen(loopback(0), {});
      int accepted = 0;
      base::TaskScope scope(test.executor());
      scope.spawn(serve(*listener, accepted));
      UdpProxy proxy(test.executor(), listener->endpoint());
      for (std::size_t size = 0; size < 64; ++size) {
        for (const std::uint8_t first : {0x00, 0x40, 0x80, 0xc0, 0xff})
          proxy.inject(base::Bytes(size, first));
      }
      {
        auto connection = co_await client.connect(proxy.endpoint(), server.self(), {});
        EXPECT_EQ(*co_await ask(**connection, "x"), "x");
        for (std::size_t size = 0; size < 64; ++size) proxy.inject(base::Bytes(size, 0x41));
        EXPECT_EQ(*co_await ask(**connection, "y"), "y");
      }
      proxy.stop();
      listener.reset();
      co_await scope.join();
    }
  }(*this));
}

// Every look at the wall clock finds it a minute later, or an hour earlier.
TEST_F(ProtectionTest, AWallClockThatJumpsKeepsNobodyOut) {
  struct Jumping final : base::Clock {
    base::MonotonicTime now() const override { return std::chrono::steady_clock::now(); }
    base::WallTime wall() const override {
      const int look = ++looks;
      return start + (look % 20 == 0 ? -1h : look * 1min);
    }
    const base::WallTime start = std::chrono::system_clock::now();
    mutable std::atomic<int> looks = 0;
  } clock;
  LoopbackNode jumping(rng_, clock);
  run([](ProtectionTest& test, LoopbackNode& jumping) -> base::Task<> {
    QuicTransportOptions options;
    options.limits.handshakes_before_retry = 0;
    auto& server = jumping.start(test.executor(), options);
    auto& client = test.client_.start(test.executor());
    auto listener = *server.listen(loopback(0), {});
    int accepted = 0, refused = 0;
    base::TaskScope scope(test.executor());
    scope.spawn(serve(*listener, accepted));
    for (int i = 0; i < 40; ++i) {
      auto connection = co_await client.connect(listener->endpoint(), server.self(), {});
      if (!connection) {
        // Whose leaf is of an hour ago, or to come, is told so, and comes in at the next try.
        EXPECT_EQ(connection.error().code, base::Errc::NotVerified)
            << connection.error().describe();
        ++refused;
        continue;
      }
      const auto answer = co_await ask(**connection, "x");
      if (!answer) {
        EXPECT_EQ(answer.error().code, base::Errc::NotVerified) << answer.error().describe();
        ++refused;
      }
    }
    EXPECT_LT(refused, 20);
    listener.reset();
    co_await scope.join();
    jumping.transport.reset();
  }(*this, jumping));
}

}  // namespace
}  // namespace stoq
