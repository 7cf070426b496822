#include "transport/quic/quic_transport.hpp"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <ngtcp2/ngtcp2_crypto.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/ip/udp.hpp>
#include <cstring>

#include "transport/quic/quic_connection.hpp"
#include "transport/quic/reset_token.hpp"
#include "transport/quic/testing/loopback_test.hpp"
#include "transport/transport_suite.hpp"

namespace stoq {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
using testing::loopback;
using testing::QuicFixture;

using QuicTransportTest = testing::LoopbackTest;

TEST_F(QuicTransportTest, TheSecondConnectionAsksWithItsFirstPacket) {
  run([](QuicTransportTest& test) -> base::Task<> {
    auto& server = test.server_.start(test.executor());
    auto& client = test.client_.start(test.executor());
    auto listener = *server.listen(loopback(0), {});
    int accepted = 0;
    base::TaskScope scope(test.executor());
    scope.spawn(serve(*listener, accepted));
    {
      auto first = co_await client.connect(listener->endpoint(), server.self(), {});
      EXPECT_EQ(*co_await ask(**first, "one"), "one");
    }
    auto second = co_await client.connect(listener->endpoint(), server.self(), {.early = true});
    auto& state = static_cast<quic::QuicConnection&>(**second).state();
    EXPECT_FALSE(state.established);
    EXPECT_TRUE(state.session->early());
    EXPECT_EQ(*co_await ask(**second, "two", {.replay_safe = true}), "two");
    EXPECT_TRUE(state.session->early_accepted());
    // What is not replay-safe waits for the handshake, and then goes as well.
    EXPECT_EQ(*co_await ask(**second, "three"), "three");
    listener.reset();
    co_await scope.join();
  }(*this));
}

TEST_F(QuicTransportTest, BeyondItsLimitAServerRefusesAndSaysSo) {
  run([](QuicTransportTest& test) -> base::Task<> {
    QuicTransportOptions options;
    options.limits.connections_max = 2;
    auto& server = test.server_.start(test.executor(), options);
    auto& client = test.client_.start(test.executor());
    auto listener = *server.listen(loopback(0), {});
    auto one = co_await client.connect(listener->endpoint(), server.self(), {});
    auto two = co_await client.connect(listener->endpoint(), server.self(), {});
    EXPECT_TRUE(one && two);
    auto three = co_await client.connect(listener->endpoint(), server.self(), {});
    EXPECT_EQ(three.error().code, base::Errc::Unavailable);
    EXPECT_THAT(three.error().message, HasSubstr("limit of connections"));
    // Whoever ends makes room, though the end itself is answered for a while.
    (*one)->close("done");
    auto first = co_await (co_await listener->accept()).value()->closed();
    EXPECT_EQ(first, "done");
    EXPECT_TRUE(co_await client.connect(listener->endpoint(), server.self(), {}));
  }(*this));
}

TEST_F(QuicTransportTest, UnderLoadAClientProvesItsAddressFirst) {
  run([](QuicTransportTest& test) -> base::Task<> {
    QuicTransportOptions options;
    options.limits.handshakes_before_retry = 0;
    auto& server = test.server_.start(test.executor(), options);
    auto& client = test.client_.start(test.executor());
    auto listener = *server.listen(loopback(0), {});
    int accepted = 0;
    base::TaskScope scope(test.executor());
    scope.spawn(serve(*listener, accepted));
    auto one = co_await client.connect(listener->endpoint(), server.self(), {});
    EXPECT_TRUE(one);
    if (one) {
      EXPECT_EQ(*co_await ask(**one, "x"), "x");
    }
    listener.reset();
    co_await scope.join();
  }(*this));
}

// Every connection stays on the core that the kernel steers it to, and all are served.
TEST_F(QuicTransportTest, ConnectionsSpreadOverTheCores) {
  run([](QuicTransportTest& test) -> base::Task<> {
    QuicTransportOptions options;
    options.cores = 3;
    auto& server = test.server_.start(test.executor(), options);
    auto& client = test.client_.start(test.executor());
    auto listener = *server.listen(loopback(0), {});
    base::TaskScope scope(test.executor());
    scope.spawn(serve_on_cores(*listener));
    std::vector<std::shared_ptr<Connection>> connections;
    for (int i = 0; i < 30; ++i) {
      auto connection = co_await client.connect(listener->endpoint(), server.self(), {});
      EXPECT_TRUE(connection) << connection.error().describe();
      if (!connection) continue;
      const std::string text(10'000, static_cast<char>('a' + i % 26));
      EXPECT_EQ(*co_await ask(**connection, text), text);
      connections.push_back(*std::move(connection));
    }
    EXPECT_EQ(server.totals().misdirected, 0u);
    connections.clear();
    listener.reset();
    co_await scope.join();
  }(*this));
}

// A plain socket beside the transports.
struct RawSocket {
  explicit RawSocket(const Endpoint& to) {
    fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    sockaddr_in6 address{};
    address.sin6_family = AF_INET6;
    std::memcpy(&address.sin6_addr, to.address.data(), 16);
    address.sin6_port = htons(to.port);
    EXPECT_EQ(connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  }
  ~RawSocket() { close(fd); }
  void send(base::BytesView bytes) const {
    EXPECT_EQ(::send(fd, bytes.data(), bytes.size(), 0), static_cast<ssize_t>(bytes.size()));
  }
  // What has arrived by now.
  base::Bytes receive() const {
    base::Bytes bytes(2000);
    const ssize_t got = recv(fd, bytes.data(), bytes.size(), MSG_DONTWAIT);
    bytes.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
    return bytes;
  }
  int fd;
};

TEST_F(QuicTransportTest, PacketsOfNobodyAreAnsweredByAResetThatIsShorter) {
  auto& server = server_.start(executor());
  auto listener = *server.listen(loopback(0), {});
  base::Sha256 hash;
  hash.update(base::as_bytes("stoq stateless reset"));
  hash.update(server_.identity.key.seed());
  const auto secret = hash.finish();
  // The last is as small as one byte of a stream makes it.
  for (const std::size_t size : {1200U, 100U, 41U}) {
    const RawSocket stranger(listener->endpoint());
    base::Bytes packet(size);
    rng_.fill(packet);
    packet[0] = 0x40 | (packet[0] & 0x3f);  // A short header.
    stranger.send(packet);
    const auto answer = [&] {
      for (;;) {
        if (auto bytes = stranger.receive(); !bytes.empty()) return bytes;
        context_.run_one();
      }
    }();
    EXPECT_LT(answer.size(), packet.size());
    quic::ConnectionId id;
    ngtcp2_cid_init(&id, packet.data() + 1, 18);
    std::uint8_t token[quic::kResetTokenBytes];
    quic::reset_token(token, secret, {id.data, id.datalen});
    EXPECT_EQ(base::to_hex(base::BytesView(answer).last(16)), base::to_hex(token));
  }
  listener.reset();
  server_.transport.reset();
}

// Hands datagrams on to `to`, and the answers back.
struct Relay {
  using Socket = boost::asio::ip::udp::socket;
  using Address = boost::asio::ip::udp::endpoint;
  static Address address(const Endpoint& of) {
    return {boost::asio::ip::address_v6::loopback(), of.port};
  }

  Relay(const base::Executor& executor, const Endpoint& first)
      : front(executor, address(loopback(0))),
        back(executor, address(loopback(0))),
        to(address(first)),
        scope(executor) {
    scope.spawn(pass(front, client, back, to));
    scope.spawn(pass(back, from, front, client));
  }
  static base::Task<> pass(Socket& in, Address& sender, Socket& out, const Address& receiver) {
    base::Bytes bytes(2000);
    for (;;) {
      const auto [error, size] =
          co_await in.async_receive_from(boost::asio::buffer(bytes), sender, base::use_result);
      if (error) co_return;
      (void)co_await out.async_send_to(boost::asio::buffer(bytes, size), receiver,
                                       base::use_result);
    }
  }

  Socket front, back;
  Address client, from, to;
  base::TaskScope scope;
};

TEST_F(QuicTransportTest, AConnectionThatItsServerLostWithItsProcessEndsAtOnce) {
  run([](QuicTransportTest& test) -> base::Task<> {
    auto& server = test.server_.start(test.executor());
    auto& client = test.client_.start(test.executor());
    auto listener = *server.listen(loopback(0), {});
    int accepted = 0;
    base::TaskScope scope(test.executor());
    scope.spawn(serve(*listener, accepted));
    Relay relay(test.executor(), listener->endpoint());
    auto connection =
        co_await client.connect(loopback(relay.front.local_endpoint().port()), server.self(), {});
    EXPECT_TRUE(connection) << connection.error().describe();
    EXPECT_EQ(*co_await ask(**connection, "one"), "one");

    const auto seed = test.server_.identity.key.seed();
    QuicTransport anew(
        test.executor(),
        {server.self(), &test.server_.leaves, &test.server_.verifier, &test.server_.clock,
         base::SecretBytes(base::Bytes(seed.begin(), seed.end()))},
        {});
    auto again = *anew.listen(loopback(0), {});
    relay.to = Relay::address(again->endpoint());
    EXPECT_FALSE(co_await ask(**connection, "two"));
    EXPECT_THAT(co_await (*connection)->closed(), HasSubstr("no longer knows the connection"));
    // Another one is not mistaken for it.
    auto next =
        co_await client.connect(loopback(relay.front.local_endpoint().port()), server.self(), {});
    EXPECT_TRUE(next) << next.error().describe();
    again.reset();
    listener.reset();
    relay.scope.cancel();
    co_await relay.scope.join();
    co_await scope.join();
  }(*this));
}

TEST_F(QuicTransportTest, AnotherVersionIsToldWhichOneWeSpeak) {
  auto& server = server_.start(executor());
  auto listener = *server.listen(loopback(0), {});
  const RawSocket stranger(listener->endpoint());
  base::Bytes packet(1200);
  packet[0] = 0xc0;
  packet[1] = packet[2] = packet[3] = packet[4] = 0x5a;
  packet[5] = 8;
  packet[14] = 8;
  stranger.send(packet);
  base::Bytes answer;
  while (answer.empty()) {
    context_.run_one();
    answer = stranger.receive();
  }
  ASSERT_GE(answer.size(), 27u);
  EXPECT_EQ(base::to_hex(base::BytesView(answer).last(4)), "00000001");
  // Too short for a first packet: an attacker would have it answered by more than it sent.
  packet.resize(300);
  stranger.send(packet);
  packet.resize(1200);
  packet[0] = 0xff;
  stranger.send(packet);
  answer.clear();
  while (answer.empty()) {
    context_.run_one();
    answer = stranger.receive();
  }
  EXPECT_TRUE(stranger.receive().empty());
  listener.reset();
  server_.transport.reset();
}

}  // namespace

namespace testing {
INSTANTIATE_TYPED_TEST_SUITE_P(Quic, TransportSuite, QuicFixture);
}

}  // namespace stoq
