#include <gmock/gmock.h>

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

}  // namespace
}  // namespace stoq
