#include <fcntl.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <sched.h>
#include <unistd.h>

#include <boost/asio/use_awaitable.hpp>
#include <cstdlib>

#include "transport/quic/quic_connection.hpp"
#include "transport/quic/testing/loopback_test.hpp"

// A client and a server in two network namespaces with a cable between them; the client's address
// is taken away in the middle of a stream. Needs root.

namespace stoq {
namespace {

using namespace std::chrono_literals;

class AddressTest : public testing::LoopbackTest {
 public:
  // Only the thread that calls it is moved; this program has one.
  void SetUp() override {
    if (unshare(CLONE_NEWNET) != 0) GTEST_SKIP() << "no network namespaces";
    there_ = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    ASSERT_EQ(unshare(CLONE_NEWNET), 0);
    here_ = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    const auto far = fmt::format("/proc/{}/fd/{}", getpid(), there_);
    sh("ip link set lo up");
    sh(fmt::format("ip link add near type veth peer name far netns {}", far));
    sh("ip link set near up");
    sh("ip -6 addr add fd00:1::1/64 dev near nodad");
    sh(fmt::format("nsenter --net={} ip link set far up", far));
    sh(fmt::format("nsenter --net={} ip -6 addr add fd00:1::9/64 dev far nodad", far));
  }
  void TearDown() override {
    for (const int fd : {here_, there_}) {
      if (fd >= 0) close(fd);
    }
  }
  static void sh(const std::string& command) {
    EXPECT_EQ(std::system(command.c_str()), 0) << command;
  }
  void enter(int space) { ASSERT_EQ(setns(space, CLONE_NEWNET), 0); }
  static base::Task<> pause(base::Duration time) {
    boost::asio::steady_timer timer(co_await boost::asio::this_coro::executor);
    timer.expires_after(std::chrono::duration_cast<boost::asio::steady_timer::duration>(time));
    (void)co_await timer.async_wait(base::use_result);
  }

  int here_ = -1, there_ = -1;
};

TEST_F(AddressTest, AStreamGoesOnFromTheMachinesNewAddress) {
  run([](AddressTest& test) -> base::Task<> {
    auto& server = test.server_.start(test.executor());
    auto& client = test.client_.start(test.executor());
    Endpoint far{.address = {0xfd, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9}, .port = 0};
    test.enter(test.there_);
    auto listener = *server.listen(far, {});
    test.enter(test.here_);
    far.port = listener->endpoint().port;
    int accepted = 0;
    base::TaskScope scope(test.executor());
    scope.spawn(serve(*listener, accepted));
    auto connection = *co_await client.connect(far, server.self(), {});
    auto& state = static_cast<quic::QuicConnection&>(*connection).state();
    EXPECT_EQ(*co_await ask(*connection, "x"), "x");
    auto stream = *co_await connection->open_stream();
    const auto say = [&](std::string text) -> base::Task<> {
      const auto written = co_await stream->write(base::as_bytes(text));
      EXPECT_TRUE(written) << written.error().describe();
      std::string answer;
      while (answer.size() < text.size()) {
        const auto bytes = co_await stream->read();
        EXPECT_TRUE(bytes) << bytes.error().describe();
        if (!bytes || bytes->empty()) co_return;
        answer += base::as_text(*bytes);
      }
      EXPECT_EQ(answer, text);
    };
    co_await say(std::string(100'000, 'a'));
    // Another address takes the place of the old one.
    sh("ip -6 addr add fd00:1::2/64 dev near nodad");
    sh("ip -6 addr del fd00:1::1/64 dev near");
    co_await say(std::string(100'000, 'b'));
    EXPECT_EQ(state.session->path().local.sin6_addr.s6_addr[15], 2);
    // For a while there is none at all.
    sh("ip -6 addr del fd00:1::2/64 dev near");
    base::TaskScope later(test.executor());
    later.spawn([]() -> base::Task<> {
      co_await pause(300ms);
      sh("ip -6 addr add fd00:1::3/64 dev near nodad");
    }());
    co_await say(std::string(100'000, 'c'));
    EXPECT_EQ(state.session->path().local.sin6_addr.s6_addr[15], 3);
    co_await later.join();
    EXPECT_EQ(accepted, 1);
    stream.reset();
    connection.reset();
    listener.reset();
    co_await scope.join();
  }(*this));
}

}  // namespace
}  // namespace stoq
