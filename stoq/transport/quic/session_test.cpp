#include "transport/quic/session.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "transport/quic/testing/session_pair.hpp"

namespace stoq::quic {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
using testing::LinkFaults;
using testing::SessionPair;

base::Bytes pattern(std::size_t size) {
  base::Bytes bytes(size);
  base::SeededRng(size).fill(bytes);
  return bytes;
}

// Reads all there is of a stream into `into`.
void drain(testing::End& end, StreamState& stream, base::Bytes& into) {
  if (!end.session) return;
  for (auto bytes = end.session->read(stream); !bytes.empty(); bytes = end.session->read(stream))
    into.insert(into.end(), bytes.begin(), bytes.end());
}

std::shared_ptr<StreamState> open(testing::End& end, bool both = true, std::uint8_t priority = 1) {
  return *end.session->open_stream(both, priority, false);
}

void establish(SessionPair& pair) {
  pair.connect();
  ASSERT_TRUE(pair.run([&] {
    return pair.client.session->established() && pair.server.session &&
           pair.server.session->established();
  })) << pair.client.session->ended().value_or(base::Error{}).message;
}

TEST(Session, BothEndsKnowEachOther) {
  SessionPair pair;
  establish(pair);
  EXPECT_EQ(pair.client.session->peer(), pair.server_node.identity.id);
  EXPECT_EQ(pair.server.session->peer(), pair.client_node.identity.id);
  EXPECT_FALSE(pair.client.session->resumed());
  // One round trip: with 1 ms each way, the client is done after 2.
  EXPECT_LE(pair.now() - base::MonotonicTime(1000s), 4ms);
}

void transfer(SessionPair& pair, std::size_t bytes, base::Duration limit = 600s) {
  const auto sent = pattern(bytes);
  auto out = open(pair.client);
  pair.client.session->send(*out, base::BytesView(sent));
  pair.client.session->send_end(*out);
  base::Bytes received, echoed;
  bool answered = false;
  const bool done = pair.run(
      [&] {
        if (!pair.server.opened.empty()) {
          auto& in = *pair.server.opened.front();
          drain(pair.server, in, received);
          if (in.end_received && received.size() == bytes && !answered && pair.server.session) {
            answered = true;
            pair.server.session->send(in, base::Bytes(received));
            pair.server.session->send_end(in);
          }
        }
        drain(pair.client, *out, echoed);
        return (out->end_received && echoed.size() == bytes) || pair.client.session->ended();
      },
      limit);
  ASSERT_TRUE(done) << "received " << received.size() << ", echoed " << echoed.size();
  ASSERT_FALSE(pair.client.session->ended()) << pair.client.session->ended()->message;
  ASSERT_EQ(received, sent);
  ASSERT_EQ(echoed, sent);
}

TEST(Session, BytesAndTheirEndTravelBothWays) {
  for (const std::size_t bytes : {1u, 1200u, 65'536u, 5'000'000u}) {
    SessionPair pair;
    establish(pair);
    transfer(pair, bytes);
  }
}

TEST(Session, AThousandStreamsAtOnce) {
  SessionPair pair;
  establish(pair);
  std::vector<std::shared_ptr<StreamState>> streams;
  for (int i = 0; i < 3000; ++i) {
    const auto stream = *pair.client.session->open_stream(true, 1, false);
    if (!stream) {
      // The limit is reached: more once the first have ended.
      const int before = pair.client.more_streams;
      ASSERT_TRUE(pair.run([&] {
        for (auto& in : pair.server.opened) {
          if (in->released || !in->end_received) continue;
          (void)pair.server.session->read(*in);
          pair.server.session->send_end(*in);
          pair.server.session->release(*in);
        }
        return pair.client.more_streams > before;
      }));
      --i;
      continue;
    }
    pair.client.session->send(*stream, base::as_bytes(std::to_string(i)));
    pair.client.session->send_end(*stream);
    streams.push_back(stream);
  }
  EXPECT_GT(pair.client.more_streams, 0);
  EXPECT_EQ(streams.size(), 3000u);
}

TEST(Session, AWriterIsHeldBackByAReaderThatDoesNotRead) {
  SessionPair pair;
  establish(pair);
  auto out = open(pair.client);
  pair.client.session->send(*out, pattern(32 << 20));
  pair.settle(5s);
  ASSERT_EQ(pair.server.opened.size(), 1u);
  auto& in = *pair.server.opened.front();
  EXPECT_LE(in.in.size(), pair.server_options.stream_window);
  EXPECT_GT(out->out.unsent(), 30u << 20);
  base::Bytes received;
  EXPECT_TRUE(pair.run([&] {
    drain(pair.server, in, received);
    return received.size() == 32u << 20;
  }));
}

TEST(Session, ImportantStreamsGoFirst) {
  LinkFaults slow;
  slow.bytes_per_second = 1e6;
  SessionPair pair(1, slow);
  establish(pair);
  auto bulk = open(pair.client, false, 3);
  pair.client.session->send(*bulk, pattern(200'000));
  pair.settle(50ms);
  auto urgent = open(pair.client, false, 0);
  pair.client.session->send(*urgent, pattern(1000));
  pair.client.session->send_end(*urgent);
  ASSERT_TRUE(pair.run(
      [&] { return pair.server.opened.size() == 2 && pair.server.opened.back()->end_received; }));
  EXPECT_GT(bulk->out.unsent(), 0u);
}

TEST(Session, OneWayStreamsGoOneWay) {
  SessionPair pair;
  establish(pair);
  auto out = open(pair.client, false);
  pair.client.session->send(*out, base::as_bytes("once"));
  pair.client.session->send_end(*out);
  ASSERT_TRUE(pair.run(
      [&] { return !pair.server.opened.empty() && pair.server.opened.front()->end_received; }));
  auto& in = *pair.server.opened.front();
  EXPECT_EQ(base::as_text(pair.server.session->read(in)), "once");
  ASSERT_TRUE(pair.run([&] { return in.write_error.has_value(); }));
  EXPECT_EQ(in.write_error->code, base::Errc::FailedPrecondition);
  EXPECT_EQ(out->read_error->code, base::Errc::FailedPrecondition);
}

TEST(Session, OneWayStreamsMakeRoomForTheNext) {
  SessionPair pair;
  pair.server_options.streams_max = 10;
  establish(pair);
  int done = 0;
  for (int i = 0; i < 100; ++i) {
    auto out = *pair.client.session->open_stream(false, 1, false);
    if (!out) break;
    pair.client.session->send(*out, base::as_bytes("once"));
    pair.client.session->send_end(*out);
    pair.client.session->release(*out);
    pair.settle(100ms);
    auto in = pair.server.opened.back();
    EXPECT_EQ(base::as_text(pair.server.session->read(*in)), "once");
    pair.server.session->release(*in);
    pair.settle(100ms);
    ++done;
  }
  EXPECT_EQ(done, 100);
  EXPECT_EQ(pair.server.session->streams(), 0u);
  EXPECT_EQ(pair.client.session->streams(), 0u);
  EXPECT_EQ(pair.server.streams_closed, 100);
}

TEST(Session, AResetReachesTheOtherSideAndLeavesOtherStreams) {
  SessionPair pair;
  establish(pair);
  auto one = open(pair.client), two = open(pair.client);
  pair.client.session->send(*one, base::as_bytes("a"));
  pair.client.session->send(*two, base::as_bytes("b"));
  ASSERT_TRUE(pair.run([&] { return pair.server.opened.size() == 2; }));
  pair.client.session->reset(*one, 9);
  ASSERT_TRUE(pair.run([&] { return pair.server.opened[0]->read_error.has_value(); }));
  EXPECT_THAT(pair.server.opened[0]->read_error->message, HasSubstr("code 9"));
  EXPECT_FALSE(pair.server.opened[1]->read_error);
  EXPECT_FALSE(pair.server.session->ended());
}

// A stream too many ends at once and leaves nothing; the others go on.
TEST(Session, ARefusedStreamSaysSoAndLeavesTheOthers) {
  SessionPair pair;
  establish(pair);
  pair.server.streams_max = 1;
  auto one = open(pair.client);
  pair.client.session->send(*one, pattern(3000));
  ASSERT_TRUE(pair.run([&] { return pair.server.opened.size() == 1; }));
  auto two = open(pair.client), way = open(pair.client, false);
  for (auto& stream : {two, way}) pair.client.session->send(*stream, pattern(3000));
  ASSERT_TRUE(pair.run([&] { return two->read_error && two->write_error && way->write_error; }));
  for (const auto& error : {two->read_error, two->write_error, way->write_error})
    EXPECT_EQ(error->code, base::Errc::ResourceExhausted) << error->message;
  EXPECT_FALSE(one->read_error || one->write_error);
  pair.settle(1s);
  ASSERT_EQ(pair.server.session->streams(), 1u);
  EXPECT_EQ(pair.server.session->unread_bytes(), 3000u);
  EXPECT_EQ(pair.server.streams_closed, 0);
  // For as long as it likes: every refused stream makes room for the next.
  pair.client.session->release(*two);
  pair.client.session->release(*way);
  for (int i = 0; i < 5000; ++i) {
    auto more = *pair.client.session->open_stream(i % 2 == 0, 1, false);
    if (!more) {
      pair.settle(10ms);
      continue;
    }
    pair.client.session->send(*more, base::as_bytes("x"));
    pair.client.session->release(*more);
  }
  pair.settle(1s);
  EXPECT_FALSE(pair.client.session->ended());
  EXPECT_EQ(pair.server.session->streams(), 1u);
  EXPECT_LT(pair.client.session->streams(), 3u);
  (void)pair.server.session->read(*pair.server.opened.front());
  EXPECT_EQ(pair.server.session->unread_bytes(), 0u);
}

TEST(Session, WhoStopsReadingMayGoOnWriting) {
  SessionPair pair;
  establish(pair);
  auto out = open(pair.client);
  pair.client.session->send(*out, base::as_bytes("question"));
  ASSERT_TRUE(pair.run([&] { return !pair.server.opened.empty(); }));
  auto& in = *pair.server.opened.front();
  pair.server.session->stop_reading(in, 7);
  const auto answer = pattern(400'000);
  pair.server.session->send(in, base::BytesView(answer));
  pair.server.session->send_end(in);
  base::Bytes received;
  EXPECT_TRUE(pair.run([&] {
    drain(pair.client, *out, received);
    return out->end_received && received.size() >= answer.size();
  }));
  EXPECT_EQ(received, answer);
  EXPECT_FALSE(in.write_error);
  // The asker learns that nobody reads what it still says.
  pair.client.session->send(*out, pattern(1000));
  EXPECT_TRUE(pair.run([&] { return out->write_error.has_value(); }));
  EXPECT_EQ(out->write_error->code, base::Errc::Cancelled);
}

TEST(Session, DatagramsTravelWhole) {
  SessionPair pair;
  establish(pair);
  EXPECT_TRUE(pair.client.session->send_datagram(base::as_bytes("ping")));
  const auto largest = pattern(pair.client.session->datagram_bytes_max());
  EXPECT_GT(largest.size(), 1100u);
  EXPECT_TRUE(pair.client.session->send_datagram(largest));
  ASSERT_TRUE(pair.run([&] { return pair.server.datagrams.size() == 2; }));
  EXPECT_EQ(base::as_text(pair.server.datagrams[0]), "ping");
  EXPECT_EQ(pair.server.datagrams[1], largest);
}

TEST(Session, ClosingGivesItsReason) {
  SessionPair pair;
  establish(pair);
  auto stream = open(pair.client);
  pair.client.session->send(*stream, base::as_bytes("x"));
  ASSERT_TRUE(pair.run([&] { return !pair.server.opened.empty(); }));
  pair.server.session->close(0, "maintenance", pair.now());
  ASSERT_TRUE(pair.run([&] { return pair.client.session->ended().has_value(); }));
  EXPECT_EQ(pair.client.session->ended()->message, "maintenance");
  EXPECT_EQ(stream->read_error->code, base::Errc::Unavailable);
  ASSERT_TRUE(pair.run([&] { return pair.client.session->over() && pair.server.session->over(); }));
}

TEST(Session, AnIdleConnectionEndsAndKeepAliveKeepsIt) {
  SessionPair pair;
  establish(pair);
  ASSERT_TRUE(pair.run([&] { return pair.client.session->over(); }, 40s));
  EXPECT_THAT(pair.client.session->ended()->message, HasSubstr("30000 ms"));

  SessionPair kept;
  kept.client_options.keep_alive = 10s;
  establish(kept);
  kept.settle(600s);
  EXPECT_FALSE(kept.client.session->ended());
}

TEST(Session, WhoeverAwaitsAnAnswerKeepsTheConnection) {
  SessionPair pair;
  pair.server_options.idle_timeout = 15s;
  establish(pair);
  auto stream = open(pair.client);
  pair.client.session->send(*stream, base::as_bytes("tell me when it happens"));
  pair.settle(600s);
  ASSERT_FALSE(pair.client.session->ended());
  auto& in = *pair.server.opened.front();
  pair.server.session->send(in, base::as_bytes("it has"));
  pair.server.session->send_end(in);
  pair.client.session->send_end(*stream);
  ASSERT_TRUE(pair.run([&] { return stream->end_received && in.end_received; }));
  // And lets it go when nothing is awaited.
  base::Bytes answer;
  drain(pair.client, *stream, answer);
  ASSERT_TRUE(pair.run([&] { return pair.client.session->over(); }, 40s));
}

TEST(Session, KeysChangeUnderTheTransfer) {
  SessionPair pair;
  establish(pair);
  transfer(pair, 100'000);
  ASSERT_TRUE(pair.client.session->update_keys(pair.now()));
  pair.server.opened.clear();
  transfer(pair, 100'000);
  // Not while packets under the old keys may still be on their way.
  EXPECT_EQ(pair.server.session->update_keys(pair.now()).error().code,
            base::Errc::FailedPrecondition);
  pair.settle(1s);
  pair.server.opened.clear();
  transfer(pair, 100'000);
  EXPECT_TRUE(pair.server.session->update_keys(pair.now()));
  pair.server.opened.clear();
  transfer(pair, 100'000);
}

// --- refusals ---

TEST(Session, AnImpostorIsRefusedByTheClient) {
  SessionPair pair;
  pair.connect_to(pair.client_node.identity.id, nullptr);
  ASSERT_TRUE(pair.run([&] { return pair.client.session->ended().has_value(); }));
  EXPECT_EQ(pair.client.session->ended()->code, base::Errc::NotVerified);
  EXPECT_THAT(pair.client.session->ended()->message, HasSubstr("the node there is"));
  ASSERT_TRUE(pair.run([&] { return pair.server.session->ended().has_value(); }));
  EXPECT_EQ(pair.server.session->ended()->code, base::Errc::NotVerified);
  EXPECT_THAT(pair.server.session->ended()->message, HasSubstr("the node there is"));
}

TEST(Session, AnExpiredCertificateIsRefusedWithItsReasonOnBothSides) {
  SessionPair pair;
  (void)pair.client_node.leaves.current(pair.clock.wall());
  // The client's clock is the server's here, so its leaf must not be renewed: it gives an old one.
  struct Old final : CertificateProvider {
    std::shared_ptr<const CertificateChain> chain;
    base::Result<std::shared_ptr<const CertificateChain>> current(base::WallTime) override {
      return chain;
    }
  } old;
  old.chain = *pair.client_node.leaves.current(pair.clock.wall());
  TlsContext outdated({&old, &pair.client_node.verifier, &pair.client_node.replays, &pair.clock});
  pair.clock.jump(48h);
  pair.client.session =
      *Session::connect(pair.client, outdated, pair.rng, pair.client_options, pair.client_path(),
                        pair.server_node.identity.id, nullptr, pair.now());
  pair.client.dirty = true;
  ASSERT_TRUE(pair.run([&] { return pair.client.session->ended().has_value(); }));
  EXPECT_EQ(pair.client.session->ended()->code, base::Errc::NotVerified);
  EXPECT_THAT(pair.client.session->ended()->message, HasSubstr("expired at"));
  EXPECT_THAT(pair.server.session->ended()->message, HasSubstr("expired at"));
  pair.client.session.reset();
}

TEST(Session, AnotherProtocolIsRefused) {
  SessionPair pair;
  pair.client_options.alpn = {"other/9"};
  pair.connect();
  ASSERT_TRUE(pair.run([&] { return pair.client.session->ended().has_value(); }));
  EXPECT_EQ(pair.client.session->ended()->code, base::Errc::InvalidArgument);
}

TEST(Session, NobodyThere) {
  SessionPair pair(1, {.loss = 1});
  pair.connect();
  ASSERT_TRUE(pair.run([&] { return pair.client.session->over(); }));
  EXPECT_EQ(pair.client.session->ended()->code, base::Errc::TimedOut);
}

// --- resumption and early data ---

Resumption resumption_of(SessionPair& pair) {
  establish(pair);
  EXPECT_TRUE(pair.run([&] { return pair.client.resumption.has_value(); }));
  return *pair.client.resumption;
}

void reconnect(SessionPair& pair, const Resumption& resumption) {
  pair.server.session.reset();
  pair.server.opened.clear();
  pair.server.early_streams = 0;
  pair.connect(&resumption);
}

TEST(Session, AReplaySafeRequestTravelsWithTheFirstPacket) {
  SessionPair pair;
  const auto resumption = resumption_of(pair);
  reconnect(pair, resumption);
  EXPECT_TRUE(pair.client.session->early());
  EXPECT_FALSE(*pair.client.session->open_stream(true, 1, false));  // Not marked: it waits.
  const auto start = pair.now();
  auto request = *pair.client.session->open_stream(true, 1, true);
  ASSERT_TRUE(request);
  pair.client.session->send(*request, base::as_bytes("get"));
  pair.client.session->send_end(*request);
  ASSERT_TRUE(pair.run(
      [&] { return !pair.server.opened.empty() && pair.server.opened.front()->end_received; }));
  EXPECT_LT(pair.now() - start, 2ms);
  EXPECT_EQ(pair.server.early_streams, 1);
  // Who asks is known from the first handshake.
  EXPECT_EQ(pair.server.session->peer(), pair.client_node.identity.id);
  EXPECT_EQ(base::as_text(pair.server.session->read(*pair.server.opened.front())), "get");
  ASSERT_TRUE(pair.run([&] { return pair.client.session->established(); }));
  EXPECT_TRUE(pair.client.session->resumed());
  EXPECT_TRUE(pair.client.session->early_accepted());
}

TEST(Session, ARejectedEarlyRequestIsSentAgainOnce) {
  SessionPair pair;
  const auto resumption = resumption_of(pair);
  // The server forgot its ticket key: as after a restart.
  testing::Node restarted(pair.rng, pair.clock);
  pair.server.session.reset();
  pair.server.opened.clear();
  pair.connect(&resumption);
  auto one = *pair.client.session->open_stream(true, 1, true);
  auto two = *pair.client.session->open_stream(true, 1, true);
  const auto large = pattern(50'000);
  pair.client.session->send(*one, base::as_bytes("get"));
  pair.client.session->send_end(*one);
  pair.client.session->send(*two, base::BytesView(large));
  pair.client.session->send_end(*two);

  LeafRotation leaves(pair.server_node.identity, pair.rng, 24h);
  TlsContext fresh({&leaves, &pair.server_node.verifier, &pair.server_node.replays, &pair.clock});
  pair.server_tls = &fresh;
  base::Bytes first, second;
  ASSERT_TRUE(pair.run([&] {
    if (pair.server.opened.size() < 2) return false;
    drain(pair.server, *pair.server.opened[0], first);
    drain(pair.server, *pair.server.opened[1], second);
    return pair.server.opened[0]->end_received && pair.server.opened[1]->end_received;
  }));
  EXPECT_TRUE(pair.client.session->established());
  EXPECT_FALSE(pair.client.session->early_accepted());
  EXPECT_EQ(pair.server.early_streams, 0);
  if (pair.server.opened[0]->id > pair.server.opened[1]->id) std::swap(first, second);
  EXPECT_EQ(base::as_text(first), "get");
  EXPECT_EQ(second, large);
  pair.settle(1s);
  EXPECT_EQ(pair.server.opened.size(), 2u);
  pair.server.session.reset();
}

TEST(Session, ARecordedEarlyRequestIsServedOnce) {
  SessionPair pair;
  const auto resumption = resumption_of(pair);
  reconnect(pair, resumption);
  pair.recorded.clear();
  auto request = *pair.client.session->open_stream(true, 1, true);
  pair.client.session->send(*request, base::as_bytes("get"));
  ASSERT_TRUE(pair.run([&] { return pair.server.early_streams == 1; }));
  const auto flight = pair.recorded;

  // The attacker plays the client's datagrams to the server again.
  pair.client.session.reset();
  pair.server.session.reset();
  pair.server.opened.clear();
  pair.server.early_streams = 0;
  for (const auto& datagram : flight) {
    Path seen{SessionPair::address(2, 9292), SessionPair::address(9, 1234)};
    pair.to_server.send({seen, datagram}, pair.now());
  }
  pair.settle(5s);
  EXPECT_TRUE(pair.server.session);
  EXPECT_EQ(pair.server.early_streams, 0);
  EXPECT_TRUE(pair.server.opened.empty());
}

// --- addresses ---

TEST(Session, AClientThatMovesKeepsItsStreams) {
  SessionPair pair;
  establish(pair);
  pair.settle(100ms);
  pair.client_port = 40'001;
  ASSERT_TRUE(pair.client.session->migrate(pair.client_path(), pair.now()));
  transfer(pair, 3'000'000);
  ASSERT_FALSE(pair.server.paths.empty());
  EXPECT_EQ(ntohs(pair.server.paths.back().remote.sin6_port), 40'001);
}

TEST(Session, ANewPortFromATranslatorIsFollowed) {
  SessionPair pair;
  establish(pair);
  pair.settle(100ms);
  pair.translated = SessionPair::address(1, 50'123);
  transfer(pair, 3'000'000);
  ASSERT_FALSE(pair.server.paths.empty());
  EXPECT_EQ(ntohs(pair.server.paths.back().remote.sin6_port), 50'123);
}

// It has nothing to say, but the answer it waits for must find it.
TEST(Session, AClientThatMovesWhileItWaitsIsFound) {
  SessionPair pair;
  establish(pair);
  auto out = open(pair.client);
  pair.client.session->send(*out, base::as_bytes("question"));
  pair.settle(1s);
  ASSERT_EQ(pair.server.opened.size(), 1u);
  pair.gone.push_back(pair.client_path().local);
  pair.client_host = 3;
  ASSERT_TRUE(pair.client.session->migrate(pair.client_path(), pair.now()));
  pair.settle(1s);
  ASSERT_FALSE(pair.server.paths.empty());
  EXPECT_EQ(pair.server.paths.back().remote.sin6_addr.s6_addr[15], 3);
  const auto sent = pair.datagrams_sent();
  pair.server.session->send(*pair.server.opened.front(), base::as_bytes("answer"));
  const auto asked = pair.now();
  ASSERT_TRUE(pair.run([&] { return out->in.size() > 0; }));
  EXPECT_LT(pair.now() - asked, 2ms);
  pair.settle(20s);
  EXPECT_LT(pair.datagrams_sent() - sent, 10u);  // It told once, and does not go on telling.
}

// --- bad links ---

TEST(Session, ABlackHoleThatAppearsLaterIsNoticed) {
  SessionPair pair;
  establish(pair);
  transfer(pair, 1'000'000);
  ASSERT_GT(pair.client.session->datagram_bytes_max(), 1300u);
  const LinkFaults hole{.mtu_bytes = 1252};
  pair.to_server.set_faults(hole);
  pair.to_client.set_faults(hole);
  pair.server.opened.clear();
  auto start = pair.now();
  transfer(pair, 1'000'000);
  EXPECT_LT(pair.now() - start, 2s);
  // Small packets of others arrive all the time and hide that the large ones do not.
  pair.settle(20s);
  pair.server.opened.clear();
  auto chatter = open(pair.client, false, 0);
  const auto large = pattern(500'000);
  auto bulk = open(pair.client, false, 3);
  pair.client.session->send(*bulk, base::BytesView(large));
  pair.client.session->send_end(*bulk);
  start = pair.now();
  base::Bytes received;
  while (pair.now() - start < 10s && received.size() < large.size()) {
    pair.client.session->send(*chatter, base::as_bytes("x"));
    pair.settle(5ms);
    for (auto& in : pair.server.opened) {
      if (in->id == bulk->id) drain(pair.server, *in, received);
    }
  }
  EXPECT_EQ(received, large);
  EXPECT_LT(pair.client.session->datagram_bytes_max(), 1200u);
  // When the path takes large packets again, they are used again.
  pair.to_server.set_faults({});
  pair.settle(25s);
  pair.server.opened.clear();
  transfer(pair, 1000);
  EXPECT_GT(pair.client.session->datagram_bytes_max(), 1300u);
}

// A datagram that was taken while packets were larger must not stop what comes after it.
TEST(Session, ADatagramThatNoLongerFitsIsDropped) {
  SessionPair pair;
  establish(pair);
  transfer(pair, 1'000'000);
  pair.settle(1s);
  const auto large = pattern(pair.client.session->datagram_bytes_max());
  ASSERT_GT(large.size(), 1300u);
  ASSERT_TRUE(pair.client.session->send_datagram(large));
  pair.client_port = 40'001;
  ASSERT_TRUE(pair.client.session->migrate(pair.client_path(), pair.now()));
  pair.server.opened.clear();
  transfer(pair, 1000);
  EXPECT_TRUE(pair.server.datagrams.empty());
}

struct Weather {
  const char* name;
  LinkFaults faults;
};

class BadLink : public ::testing::TestWithParam<Weather> {};

TEST_P(BadLink, EqualBytesArriveWithABoundedNumberOfPackets) {
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    SessionPair pair(seed, GetParam().faults);
    pair.client_options.handshake_timeout = pair.server_options.handshake_timeout = 120s;
    pair.client_options.idle_timeout = pair.server_options.idle_timeout = 120s;
    establish(pair);
    if (::testing::Test::HasFatalFailure()) return;
    transfer(pair, 300'000);
    if (::testing::Test::HasFatalFailure()) return;
    // Twice 300 kB are 500 packets and about as many acknowledgements.
    EXPECT_LT(pair.datagrams_sent(), 4000u) << "seed " << seed;
  }
}

INSTANTIATE_TEST_SUITE_P(Links, BadLink,
                         ::testing::Values(Weather{"Loss1", {.loss = 0.01}},
                                           Weather{"Loss10", {.loss = 0.1}},
                                           Weather{"Reordering", {.jitter = 20ms}},
                                           Weather{"Duplication", {.duplication = 0.2}},
                                           Weather{"Corruption", {.corruption = 0.05}},
                                           Weather{"LongDelay", {.delay = 300ms}},
                                           Weather{"SmallMtu", {.mtu_bytes = 1250}},
                                           Weather{"Slow", {.bytes_per_second = 100e3}},
                                           Weather{"All",
                                                   {.loss = 0.02,
                                                    .duplication = 0.02,
                                                    .corruption = 0.02,
                                                    .delay = 20ms,
                                                    .jitter = 10ms,
                                                    .mtu_bytes = 1400,
                                                    .bytes_per_second = 1e6}}),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace stoq::quic
