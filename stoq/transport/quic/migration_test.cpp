#include <gmock/gmock.h>

#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "transport/quic/quic_connection.hpp"
#include "transport/quic/testing/loopback_test.hpp"
#include "transport/quic/testing/udp_proxy.hpp"

namespace stoq {
namespace {

using namespace std::chrono_literals;
using quic::testing::UdpProxy;
using testing::loopback;

class MigrationTest : public testing::LoopbackTest {
 public:
  // Half of `text`, then `between`, then the rest; gives what came back.
  static base::Task<base::Result<std::string>> ask_around(Connection& connection, std::string text,
                                                          std::function<void()> between) {
    CO_TRY(const auto stream, co_await connection.open_stream());
    const auto half = text.size() / 2;
    CO_TRY_DO(co_await stream->write(base::as_bytes(std::string_view(text).substr(0, half))));
    std::string answer;
    while (answer.size() < half / 2) {
      CO_TRY(const auto bytes, co_await stream->read());
      answer += base::as_text(bytes);
    }
    between();
    CO_TRY_DO(co_await stream->write(base::as_bytes(std::string_view(text).substr(half))));
    stream->close_write();
    for (;;) {
      CO_TRY(const auto bytes, co_await stream->read());
      if (bytes.empty()) co_return answer;
      answer += base::as_text(bytes);
    }
  }
  static std::string text() {
    std::string made(300'000, ' ');
    for (std::size_t i = 0; i < made.size(); ++i) made[i] = static_cast<char>('a' + i * 7 % 26);
    return made;
  }
};

TEST_F(MigrationTest, AStreamGoesOnFromAnotherPort) {
  run([](MigrationTest& test) -> base::Task<> {
    auto& server = test.server_.start(test.executor());
    auto& client = test.client_.start(test.executor());
    auto listener = *server.listen(loopback(0), {});
    int accepted = 0;
    base::TaskScope scope(test.executor());
    scope.spawn(serve(*listener, accepted));
    auto connection = *co_await client.connect(listener->endpoint(), server.self(), {});
    EXPECT_EQ(*co_await ask(*connection, "x"), "x");
    auto& state = static_cast<quic::QuicConnection&>(*connection).state();
    const auto before = state.session->path();
    sockaddr_in6 any{};
    any.sin6_family = AF_INET6;
    std::shared_ptr<quic::UdpSocket> socket = *quic::UdpSocket::open(any, {});
    const auto answer = co_await ask_around(*connection, text(), [&] {
      const auto moved = state.endpoint.lock()->migrate(*state.session, socket);
      EXPECT_TRUE(moved) << moved.error().describe();
    });
    EXPECT_TRUE(answer && *answer == text());
    EXPECT_FALSE(state.session->path() == before);
    EXPECT_EQ(state.session->path().local.sin6_port, socket->local().sin6_port);
    EXPECT_EQ(accepted, 1);
    connection.reset();
    listener.reset();
    co_await scope.join();
  }(*this));
}

TEST_F(MigrationTest, AStreamGoesOnBehindATranslatorThatForgetsItsPort) {
  for (const unsigned cores : {1u, 2u}) {
    QuicTransportOptions options;
    options.cores = cores;
    run([](MigrationTest& test, QuicTransportOptions options) -> base::Task<> {
      auto& server = test.server_.start(test.executor(), options);
      auto& client = test.client_.start(test.executor());
      auto listener = *server.listen(loopback(0), {});
      base::TaskScope scope(test.executor());
      scope.spawn(serve_on_cores(*listener));
      UdpProxy proxy(test.executor(), listener->endpoint());
      auto connection = *co_await client.connect(proxy.endpoint(), server.self(), {});
      EXPECT_EQ(*co_await ask(*connection, "x"), "x");
      for (int i = 0; i < 3; ++i) {
        const auto answer = co_await ask_around(*connection, text(), [&] { proxy.rebind(); });
        EXPECT_TRUE(answer && *answer == text());
      }
      connection.reset();
      proxy.stop();
      listener.reset();
      co_await scope.join();
    }(*this, options));
    context_.restart();
  }
}

}  // namespace
}  // namespace stoq
