#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "transport/quic/qlog_file.hpp"
#include "transport/quic/testing/session_pair.hpp"

namespace stoq::quic {
namespace {

using namespace std::chrono_literals;
using testing::LinkFaults;
using testing::SessionPair;

constexpr std::size_t kBytes = 2'000'000;

// Carries kBytes from the client to the server.
void carry(SessionPair& pair) {
  pair.connect();
  ASSERT_TRUE(pair.run([&] { return pair.client.session->established(); }));
  const auto stream = *pair.client.session->open_stream(true, 1, false);
  pair.client.session->send(*stream, base::Bytes(kBytes));
  pair.client.session->send_end(*stream);
  std::size_t received = 0;
  ASSERT_TRUE(pair.run(
      [&] {
        if (pair.server.opened.empty()) return false;
        auto& in = *pair.server.opened.front();
        for (auto bytes = pair.server.session->read(in); !bytes.empty();
             bytes = pair.server.session->read(in))
          received += bytes.size();
        return received == kBytes;
      },
      600s));
}

TEST(SessionStats, APerfectPathLosesNothing) {
  SessionPair pair;
  carry(pair);
  const auto stats = pair.client.session->stats();
  EXPECT_GT(stats.bytes_sent, kBytes);
  EXPECT_LT(stats.bytes_resent, kBytes / 100);
  EXPECT_GE(stats.rtt_min, 2ms);
  EXPECT_LT(stats.rtt_min, 3ms);
  EXPECT_GE(stats.handshake, 2ms);
  EXPECT_GT(stats.packet_bytes, 1200u);
  EXPECT_EQ(stats.cipher, "AES-128-GCM");
  EXPECT_FALSE(stats.resumed);
  EXPECT_EQ(stats.keys_renewed, 0u);
  EXPECT_GE(pair.server.session->stats().bytes_received, kBytes);
}

// Also when whoever reads takes longer than ngtcp2 would delay an acknowledgement.
TEST(SessionStats, AnAnswerCarriesTheAcknowledgement) {
  SessionPair pair;
  pair.connect();
  ASSERT_TRUE(pair.run([&] { return pair.client.session->established(); }));
  const auto stream = *pair.client.session->open_stream(true, 1, false);
  pair.client.session->send(*stream, base::Bytes(10));
  ASSERT_TRUE(pair.run([&] { return !pair.server.opened.empty(); }));
  auto& answers = *pair.server.opened.front();
  pair.settle(1s);
  constexpr std::size_t kRounds = 50;
  const auto before = pair.datagrams_sent();
  for (std::size_t i = 0; i < kRounds; ++i) {
    pair.client.session->send(*stream, base::Bytes(10));
    ASSERT_TRUE(pair.run([&] { return answers.in.size() > 0; }));
    pair.clock.advance(300us);
    EXPECT_FALSE(pair.server.session->read(answers).empty());
    pair.settle(100us);
    pair.server.session->send(answers, base::Bytes(10));
    ASSERT_TRUE(pair.run([&] { return stream->in.size() > 0; }));
    pair.clock.advance(300us);
    EXPECT_FALSE(pair.client.session->read(*stream).empty());
  }
  // Now and then the timer runs out in between.
  EXPECT_LT(pair.datagrams_sent() - before, 2 * kRounds + kRounds / 2);
  // What nobody answers is acknowledged soon.
  pair.settle(10ms);
  const auto at_rest = pair.datagrams_sent();
  pair.client.session->send(*stream, base::Bytes(10));
  pair.settle(10ms);
  EXPECT_EQ(pair.datagrams_sent(), at_rest + 2);
}

TEST(SessionStats, WhatIsLostIsSentAgainAndCounted) {
  SessionPair pair(7, LinkFaults{.loss = 0.05});
  carry(pair);
  const auto stats = pair.client.session->stats();
  EXPECT_GT(stats.bytes_resent, kBytes / 50);
  EXPECT_LT(stats.bytes_resent, kBytes / 5);
  EXPECT_GT(stats.congestion_events, 0u);
}

TEST(SessionStats, KeysAreRenewedWhenTheirLifeIsOver) {
  SessionPair pair(3, LinkFaults{.loss = 0.02});
  pair.client_options.key_life = pair.server_options.key_life = 20ms;
  carry(pair);
  // Whoever is first renews those of both.
  EXPECT_GT(pair.client.session->stats().keys_renewed, 0u);
  EXPECT_GT(pair.server.session->stats().keys_renewed, 0u);
}

TEST(Qlog, TellsOfThePackets) {
  struct Kept final : Qlog {
    explicit Kept(std::string& text) : text(text) {}
    void write(base::BytesView bytes) override { text += base::as_text(bytes); }
    std::string& text;
  };
  std::string text;
  {
    SessionPair pair;
    pair.client_options.qlog = [&](const ConnectionId&, bool server) {
      EXPECT_FALSE(server);
      return std::make_unique<Kept>(text);
    };
    carry(pair);
  }
  EXPECT_THAT(text, ::testing::StartsWith("\x1e{\"qlog_format\":\"JSON-SEQ\""));
  EXPECT_THAT(text, ::testing::HasSubstr("\"name\":\"transport:packet_sent\""));
}

TEST(Qlog, AFileForEachConnectionThatDoesNotReplaceAnother) {
  char folder[] = "/tmp/hypermesh-qlog-XXXXXX";
  ASSERT_NE(mkdtemp(folder), nullptr);
  const auto make = qlog_files(folder);
  const ConnectionId id{2, {0xab, 0xcd}};
  const auto file = make(id, true);
  ASSERT_NE(file, nullptr);
  EXPECT_EQ(make(id, true), nullptr);
  EXPECT_NE(make(id, false), nullptr);
  file->write(base::as_bytes("{}"));
  EXPECT_TRUE(std::filesystem::exists(std::string(folder) + "/abcd_server.sqlog"));
  std::filesystem::remove_all(folder);
  EXPECT_EQ(make(id, true), nullptr);
}

TEST(Session, WhoeverAnswersMayBeAskedWhoItIs) {
  SessionPair pair;
  pair.connect_to(std::nullopt);
  ASSERT_TRUE(pair.run([&] { return pair.client.session->established(); }));
  EXPECT_EQ(pair.client.session->peer(), pair.server_node.identity.id);
}

}  // namespace
}  // namespace stoq::quic
