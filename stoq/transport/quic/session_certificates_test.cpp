#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "identity/authority.hpp"
#include "identity/testing/test_authority.hpp"
#include "transport/quic/testing/session_pair.hpp"

// What certificates a session takes, and what both ends hear of it.

namespace stoq::quic {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
using testing::Node;
using testing::SessionPair;

struct Shown final : CertificateProvider {
  base::Result<std::shared_ptr<const CertificateChain>> current(base::WallTime) override {
    if (!chain) return base::fail(base::Errc::Unavailable, "none now");
    return chain;
  }
  void show(std::vector<base::Bytes> certificates, base::Bytes key) {
    auto made = std::make_shared<CertificateChain>();
    made->certificates = std::move(certificates);
    made->private_key = base::SecretBytes(std::move(key));
    chain = std::move(made);
  }
  void show(const CertificateChain& of) {
    const auto key = of.private_key.view();
    show(of.certificates, base::Bytes(key.begin(), key.end()));
  }
  std::shared_ptr<const CertificateChain> chain;
};

struct Revoked final : RevocationCheck {
  bool revoked(const NodeId& node) override { return bad == node; }
  std::optional<NodeId> bad;
};

// One of the ends shows what the case makes of a good certificate; the other refuses it.
struct Case {
  const char* name;
  std::function<void(SessionPair&, const Identity&, Shown&, Revoked&)> make;
  const char* reason;
};

class Refusals : public ::testing::TestWithParam<std::tuple<Case, bool>> {};

base::Bytes key_of(const CertificateChain& chain) {
  const auto key = chain.private_key.view();
  return {key.begin(), key.end()};
}

TEST_P(Refusals, BothEndsHearWhy) {
  const auto& [one, by_client] = GetParam();
  SessionPair pair;
  Shown shown;
  Revoked revoked;
  Node& liar = by_client ? pair.server_node : pair.client_node;
  Node& judge = by_client ? pair.client_node : pair.server_node;
  one.make(pair, liar.identity, shown, revoked);
  IdentityVerifier strict(&revoked);
  TlsContext lying({&shown, &liar.verifier, &liar.replays, &pair.clock});
  TlsContext judging({&judge.leaves, &strict, &judge.replays, &pair.clock});
  pair.server_tls = by_client ? &lying : &judging;
  auto session =
      Session::connect(pair.client, by_client ? judging : lying, pair.rng, pair.client_options,
                       pair.client_path(), pair.server_node.identity.id, nullptr, pair.now());
  ASSERT_TRUE(session) << session.error().describe();
  pair.client.session = *std::move(session);
  pair.client.dirty = true;
  ASSERT_TRUE(pair.run([&] {
    return pair.client.session->ended() && pair.server.session && pair.server.session->ended();
  }));
  for (const testing::End* end : {&pair.client, &pair.server}) {
    EXPECT_EQ(end->session->ended()->code, base::Errc::NotVerified)
        << end->session->ended()->describe();
    EXPECT_THAT(end->session->ended()->message, HasSubstr(one.reason));
    EXPECT_TRUE(end->opened.empty());
  }
  EXPECT_EQ(pair.server.handshakes * (by_client ? 0 : 1), 0);
  pair.client.session.reset();
  pair.server.session.reset();
}

std::vector<Case> cases() {
  return {
      {"Expired",
       [](SessionPair& pair, const Identity& identity, Shown& shown, Revoked&) {
         shown.show(issue_leaf(identity, pair.rng, pair.clock.wall() - 48h, 24h));
       },
       "expired at"},
      {"NotYetValid",
       [](SessionPair& pair, const Identity& identity, Shown& shown, Revoked&) {
         shown.show(issue_leaf(identity, pair.rng, pair.clock.wall() + 48h, 24h));
       },
       "valid from"},
      {"Revoked",
       [](SessionPair& pair, const Identity& identity, Shown& shown, Revoked& revoked) {
         shown.show(issue_leaf(identity, pair.rng, pair.clock.wall(), 24h));
         revoked.bad = identity.id;
       },
       "is revoked"},
      {"Forged",
       [](SessionPair& pair, const Identity& identity, Shown& shown, Revoked&) {
         const auto chain = issue_leaf(identity, pair.rng, pair.clock.wall(), 24h);
         auto der = chain.certificates.front();
         der.back() ^= 1;  // The signature's last byte.
         shown.show({der}, key_of(chain));
       },
       "not signed by its identity"},
      {"OfAnAuthority",
       [](SessionPair& pair, const Identity& identity, Shown& shown, Revoked&) {
         const auto now = pair.clock.wall();
         const stoq::testing::TestAuthority authority(now - 1h, now + 1h);
         const auto leaf = authority.issue(identity.id, now - 1h, now + 1h);
         shown.show({leaf.der()}, leaf.key_der());
       },
       "names no identity"},
      {"Oversized",
       [](SessionPair& pair, const Identity&, Shown& shown, Revoked&) {
         const auto now = pair.clock.wall();
         const stoq::testing::TestAuthority authority(now - 1h, now + 1h);
         std::string names = "DNS:a";
         for (int i = 0; i < 300; ++i) names += ",DNS:a-rather-long-name-of-nobody.example";
         const auto leaf = authority.issue({.names = names, .from = now - 1h, .until = now + 1h});
         shown.show({leaf.der()}, leaf.key_der());
       },
       "at most 4096 are read"},
  };
}

INSTANTIATE_TEST_SUITE_P(Certificates, Refusals,
                         ::testing::Combine(::testing::ValuesIn(cases()), ::testing::Bool()),
                         [](const auto& info) {
                           return std::string(std::get<0>(info.param).name) +
                                  (std::get<1>(info.param) ? "OfTheServer" : "OfTheClient");
                         });

// What a node itself cannot show is said to it, and nobody else hears of it.
TEST(SessionCertificates, WhatCannotBeShownIsRefusedBeforeAHandshake) {
  SessionPair pair;
  Shown shown;
  const auto try_it = [&] {
    TlsContext tls({&shown, &pair.client_node.verifier, &pair.client_node.replays, &pair.clock});
    const auto session =
        Session::connect(pair.client, tls, pair.rng, pair.client_options, pair.client_path(),
                         pair.server_node.identity.id, nullptr, pair.now());
    return session ? "shown" : session.error().describe();
  };
  EXPECT_THAT(try_it(), HasSubstr("none now"));
  const auto good = issue_leaf(pair.client_node.identity, pair.rng, pair.clock.wall(), 24h);
  const auto other = issue_leaf(pair.server_node.identity, pair.rng, pair.clock.wall(), 24h);
  shown.show(good.certificates, key_of(other));
  EXPECT_THAT(try_it(), HasSubstr("does not go with its private key"));
  shown.show({base::Bytes(500, 0x30)}, key_of(good));
  EXPECT_THAT(try_it(), HasSubstr("the certificate to show"));
  shown.show({}, key_of(good));
  EXPECT_THAT(try_it(), HasSubstr("the certificate to show"));
  shown.show(good.certificates, base::Bytes(10));
  EXPECT_THAT(try_it(), HasSubstr("the private key"));
}

TEST(SessionCertificates, AnEndlessChainIsRefused) {
  SessionPair pair;
  Shown shown;
  const auto good = issue_leaf(pair.server_node.identity, pair.rng, pair.clock.wall(), 24h);
  shown.show(std::vector<base::Bytes>(200, good.certificates.front()), key_of(good));
  pair.server_options.certificates = &shown;
  pair.connect();
  ASSERT_TRUE(pair.run([&] { return pair.client.session->ended().has_value(); }));
  EXPECT_THAT(pair.client.session->ended()->message, HasSubstr("200 certificates"));
  pair.server.session.reset();
}

// A ticket gives what its first handshake gave only as long as that would be given now.
TEST(SessionCertificates, ATicketOfARevokedOrExpiredNodeResumesNothing) {
  for (const bool expired : {false, true}) {
    SessionPair pair;
    Revoked revoked;
    IdentityVerifier strict(&revoked);
    TlsContext judging({&pair.server_node.leaves, &strict, &pair.server_node.replays, &pair.clock});
    pair.server_tls = &judging;
    pair.connect();
    ASSERT_TRUE(pair.run([&] { return pair.client.resumption.has_value(); }));
    const auto resumption = *pair.client.resumption;
    pair.server.session.reset();
    pair.server.opened.clear();
    if (expired) {
      pair.clock.jump(30h);
    } else {
      revoked.bad = pair.client_node.identity.id;
    }
    pair.connect(&resumption);
    auto request = *pair.client.session->open_stream(true, 1, true);
    pair.client.session->send(*request, base::as_bytes("get"));
    ASSERT_TRUE(pair.run([&] {
      return pair.client.session->ended() && pair.server.session && pair.server.session->ended();
    }));
    for (const testing::End* end : {&pair.client, &pair.server})
      EXPECT_THAT(end->session->ended()->message, HasSubstr(expired ? "expired at" : "is revoked"));
    EXPECT_TRUE(pair.server.opened.empty());
    // Without it, a node whose leaf was renewed comes in; a revoked one does not.
    pair.server.session.reset();
    pair.connect();
    ASSERT_TRUE(pair.run([&] {
      return pair.client.session->ended() || (pair.server.session && pair.server.handshakes > 1);
    }));
    EXPECT_EQ(pair.client.session->ended().has_value(), !expired);
    pair.server.session.reset();
    pair.client.session.reset();
  }
}

TEST(SessionCertificates, NodesOfAnInjectedAuthorityKnowEachOther) {
  for (const bool ed25519 : {true, false}) {
    SessionPair pair;
    const auto now = pair.clock.wall();
    const stoq::testing::TestAuthority authority(now - 1h, now + 1000h, ed25519);
    struct Source final : AuthoritySource {
      base::Result<std::shared_ptr<const Authorities>> authorities(base::WallTime) override {
        return trusted;
      }
      std::shared_ptr<const Authorities> trusted;
    } source;
    source.trusted = std::make_shared<const Authorities>(Authorities{authority.der()});
    AuthorityVerifier verifier(source);
    Shown client, server;
    const auto a = authority.issue(pair.client_node.identity.id, now - 1h, now + 1h);
    const auto b = authority.issue(pair.server_node.identity.id, now - 1h, now + 1h);
    client.show({a.der()}, a.key_der());
    server.show({b.der()}, b.key_der());
    TlsContext client_tls({&client, &verifier, &pair.client_node.replays, &pair.clock});
    TlsContext server_tls({&server, &verifier, &pair.server_node.replays, &pair.clock});
    pair.server_tls = &server_tls;
    const auto connect = [&](const NodeId& expected) {
      pair.server.session.reset();
      pair.client.session =
          *Session::connect(pair.client, client_tls, pair.rng, pair.client_options,
                            pair.client_path(), expected, nullptr, pair.now());
      pair.client.dirty = true;
    };
    connect(pair.server_node.identity.id);
    ASSERT_TRUE(pair.run([&] {
      return pair.client.session->ended() ||
             (pair.client.session->established() && pair.server.session->established());
    }));
    ASSERT_FALSE(pair.client.session->ended()) << pair.client.session->ended()->describe();
    EXPECT_EQ(pair.client.session->peer(), pair.server_node.identity.id);
    EXPECT_EQ(pair.server.session->peer(), pair.client_node.identity.id);
    connect(pair.client_node.identity.id);
    ASSERT_TRUE(pair.run([&] { return pair.client.session->ended().has_value(); }));
    EXPECT_THAT(pair.client.session->ended()->message, HasSubstr("the node there is"));
    pair.client.session.reset();
    pair.server.session.reset();
  }
}

}  // namespace
}  // namespace stoq::quic
