#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "transport/quic/testing/session_pair.hpp"

// What a session bears: peers that say half a word, forgers, clocks that jump.

namespace stoq::quic {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
using testing::LinkFaults;
using testing::SessionPair;

constexpr LinkFaults kDead{.loss = 1};

void establish(SessionPair& pair) {
  pair.connect();
  ASSERT_TRUE(pair.run([&] {
    return pair.client.session->established() && pair.server.session &&
           pair.server.session->established();
  })) << pair.client.session->ended().value_or(base::Error{}).message;
}

// One request and its answer.
bool works(SessionPair& pair, std::size_t bytes = 20'000) {
  pair.server.opened.clear();
  auto out = *pair.client.session->open_stream(true, 1, false);
  if (!out) return false;
  base::Bytes sent(bytes), received;
  pair.rng.fill(sent);
  pair.client.session->send(*out, base::BytesView(sent));
  pair.client.session->send_end(*out);
  return pair.run([&] {
    if (pair.server.opened.empty() || !pair.server.session) return false;
    auto& in = *pair.server.opened.front();
    for (auto got = pair.server.session->read(in); !got.empty();
         got = pair.server.session->read(in))
      received.insert(received.end(), got.begin(), got.end());
    return in.end_received && received == sent;
  });
}

// Who has not proved its address is sent at most three times what it sent (RFC 9000, section 8.1),
// however long its chain of certificates makes the answer.
TEST(SessionAbuse, AStrangersAddressIsNotFloodedByUs) {
  struct Long final : CertificateProvider {
    explicit Long(CertificateProvider& leaf) : leaf(leaf) {}
    base::Result<std::shared_ptr<const CertificateChain>> current(base::WallTime now) override {
      TRY(const auto chain, leaf.current(now));
      auto longer = std::make_shared<CertificateChain>();
      for (int i = 0; i < 12; ++i) longer->certificates.push_back(chain->certificates.front());
      const auto key = chain->private_key.view();
      longer->private_key = base::SecretBytes(base::Bytes(key.begin(), key.end()));
      return longer;
    }
    CertificateProvider& leaf;
  };
  SessionPair pair;
  Long chain(pair.server_node.leaves);
  pair.server_options.certificates = &chain;
  pair.connect();
  pair.run([&] { return pair.to_server.bytes_delivered > 0; });
  pair.to_server.set_faults(kDead);
  pair.settle(60s);
  EXPECT_GT(pair.to_client.bytes_sent, 1200u);
  EXPECT_LE(pair.to_client.bytes_sent, 3 * pair.to_server.bytes_delivered);
  pair.server.session.reset();
}

TEST(SessionAbuse, AServerWaitsForAHandshakeAsLongAsItLikesNotAsTheClientDoes) {
  SessionPair pair;
  pair.client_options.handshake_timeout = 600s;
  pair.server_options.handshake_timeout = 2s;
  pair.to_client.set_faults(kDead);
  pair.connect();
  ASSERT_TRUE(pair.run([&] { return pair.server.session != nullptr; }));
  const auto start = pair.now();
  const Session* const first = pair.server.session.get();
  // The client asks again and again; that does not keep it alive.
  ASSERT_TRUE(pair.run([&] { return pair.server.session.get() != first || first->over(); }));
  EXPECT_LE(pair.now() - start, 2100ms);
}

TEST(SessionAbuse, ForgedResetsAndGarbageEndNothing) {
  SessionPair pair;
  establish(pair);
  ASSERT_TRUE(works(pair));
  base::SeededRng rng(7);
  for (int i = 0; i < 20'000; ++i) {
    base::Bytes bytes(21 + rng.below(1300));
    rng.fill(bytes);
    // Short headers, as a reset has; long ones of our version.
    if (i % 3 == 0) bytes[0] = static_cast<std::uint8_t>(0x40 | (bytes[0] & 0x3f));
    if (i % 3 == 1) {
      bytes[0] |= 0xc0;
      bytes[1] = bytes[2] = bytes[3] = 0;
      bytes[4] = static_cast<std::uint8_t>(i % 2);
    }
    const Path at_client = pair.client_path(), at_server{at_client.remote, at_client.local};
    pair.client.session->receive(at_client, 0, bytes, pair.now());
    pair.server.session->receive(at_server, 0, bytes, pair.now());
  }
  EXPECT_FALSE(pair.client.session->ended());
  EXPECT_FALSE(pair.server.session->ended());
  EXPECT_TRUE(works(pair));
}

TEST(SessionAbuse, ChangedCopiesOfEveryPacketEndNothing) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    SessionPair pair(seed, {.forgery = 0.5});
    pair.connect();
    const bool joined = pair.run([&] {
      return pair.client.session->ended() ||
             (pair.client.session->established() && pair.server.session &&
              pair.server.session->established());
    });
    ASSERT_TRUE(joined);
    ASSERT_FALSE(pair.client.session->ended()) << pair.client.session->ended()->message;
    EXPECT_TRUE(works(pair, 200'000)) << "seed " << seed;
  }
}

TEST(SessionAbuse, AStreamThatIsNeverReadCostsOneWindow) {
  SessionPair pair;
  pair.server_options.streams_max = 50;
  establish(pair);
  for (int i = 0; i < 200; ++i) {
    auto out = *pair.client.session->open_stream(true, 1, false);
    if (!out) break;
    pair.client.session->send(*out, base::Bytes(1 << 20));
    pair.settle(5ms);
  }
  pair.settle(5s);
  EXPECT_LE(pair.server.session->streams(), 50u);
  EXPECT_LE(pair.server.session->unread_bytes(), pair.server_options.connection_window);
  EXPECT_FALSE(pair.server.session->ended());
}

// --- clocks ---

TEST(SessionAbuse, AWallClockThatJumpsEndsNoConnection) {
  SessionPair pair;
  establish(pair);
  for (const auto jump : {10 * 365 * 24h, -20 * 365 * 24h, 1h, -1h}) {
    pair.clock.jump(jump);
    EXPECT_TRUE(works(pair));
    // A new handshake brings leaves that are valid by the clock of now.
    pair.server.session.reset();
    establish(pair);
    EXPECT_TRUE(works(pair));
  }
}

TEST(SessionAbuse, AProcessThatStoodStillGoesOnOrSaysThatItWasTooLong) {
  SessionPair pair;
  establish(pair);
  auto out = *pair.client.session->open_stream(true, 1, false);
  pair.client.session->send(*out, base::Bytes(500'000));
  pair.settle(2ms);
  pair.clock.advance(20s);  // Less than the idle timeout; every timer is due at once.
  EXPECT_TRUE(works(pair));
  // More than it: it ends, on each side by itself.
  pair.clock.advance(300s);
  pair.client.session->handle_timeout(pair.now());
  ASSERT_TRUE(pair.client.session->ended());
  EXPECT_THAT(pair.client.session->ended()->message, HasSubstr("nothing was heard"));
  EXPECT_TRUE(pair.run([&] { return pair.server.session->over(); }));
}

}  // namespace
}  // namespace stoq::quic
