#pragma once

#include <base/testing/manual_clock.hpp>

#include "identity/leaf_certificate.hpp"
#include "transport/quic/testing/virtual_link.hpp"

namespace stoq::quic::testing {

/// A node's part of a test: an identity and what TLS needs of it.
struct Node {
  Node(base::Rng& rng, const base::Clock& clock, base::Duration leaf_life = std::chrono::hours(24))
      : identity(Identity::generate(rng)),
        leaves(identity, rng, leaf_life),
        tls({&leaves, &verifier, &replays, &clock}) {}

  Identity identity;
  LeafRotation leaves;
  IdentityVerifier verifier;
  ReplayStore replays;
  TlsContext tls;
};

/// One end: a host with one session, which takes notes of what it is told.
class End final : public SessionHost {
 public:
  explicit End(base::Rng& rng) : rng_(rng) {}

  void issue(Session&, ConnectionId& id, std::uint8_t* token, std::size_t bytes) override {
    id.datalen = bytes;
    rng_.fill({id.data, bytes});
    rng_.fill({token, NGTCP2_STATELESS_RESET_TOKENLEN});
  }
  void retire(Session&, const ConnectionId&) override {}
  void wants_write(Session&) override { dirty = true; }
  void established(Session&) override { ++handshakes; }
  bool stream_opened(Session&, std::shared_ptr<StreamState> stream) override {
    if (opened.size() >= streams_max) return false;
    if (session && !session->established()) ++early_streams;
    opened.push_back(std::move(stream));
    return true;
  }
  void stream_closed(Session&) override { ++streams_closed; }
  void streams_available(Session&) override { ++more_streams; }
  void datagram_received(Session&, base::BytesView bytes) override {
    datagrams.emplace_back(bytes.begin(), bytes.end());
  }
  void resumption_ready(Session& of) override { resumption = of.resumption(); }
  base::Bytes address_token(const Path&) override { return {}; }
  void path_changed(Session&, const Path& path) override { paths.push_back(path); }

  std::unique_ptr<Session> session;
  bool dirty = false;
  int handshakes = 0, more_streams = 0, early_streams = 0, streams_closed = 0;
  std::size_t streams_max = 1 << 20;
  std::vector<std::shared_ptr<StreamState>> opened;
  std::vector<base::Bytes> datagrams;
  std::vector<Path> paths;
  std::optional<Resumption> resumption;

 private:
  base::Rng& rng_;
};

/// A client and a server in virtual time, with a link each way. One seed decides everything but
/// the keys that GnuTLS draws.
class SessionPair {
 public:
  explicit SessionPair(std::uint64_t seed = 1, LinkFaults faults = {})
      : rng(seed), to_server(rng, faults), to_client(rng, faults) {
    clock.set(base::MonotonicTime(std::chrono::seconds(1000)),
              *base::parse_rfc3339("2026-11-21T12:00:00Z"));
  }

  Path client_path() const { return {address(client_host, client_port), address(2, 9292)}; }

  void connect(const Resumption* resumption = nullptr) {
    connect_to(server_node.identity.id, resumption);
  }
  void connect_to(const std::optional<NodeId>& expected, const Resumption* resumption = nullptr) {
    client.session = *Session::connect(client, client_node.tls, rng, client_options, client_path(),
                                       expected, resumption, clock.now());
    client.dirty = true;
  }

  base::MonotonicTime now() const { return clock.now(); }

  /// Lets time pass until `done` or until `limit` of it is over. False when it was not done.
  bool run(const std::function<bool()>& done, base::Duration limit = std::chrono::seconds(60)) {
    const auto until = now() + limit;
    while (!done()) {
      const bool client_wrote = flush(client, to_server), server_wrote = flush(server, to_client);
      if (client_wrote || server_wrote) continue;
      const auto next = std::min({to_server.next(), to_client.next(), due(client), due(server)});
      if (next > until) {
        clock.advance_to(until);
        return done();
      }
      clock.advance_to(std::max(next, now()));
      while (auto datagram = to_server.take(now())) receive_at_server(*datagram);
      while (auto datagram = to_client.take(now())) {
        if (client.session) client.session->receive(datagram->path, 0, datagram->bytes, now());
      }
      for (End* end : {&client, &server}) {
        if (end->session && due(*end) <= now()) end->session->handle_timeout(now());
      }
    }
    return true;
  }
  void settle(base::Duration for_how_long) {
    run([] { return false; }, for_how_long);
  }

  static sockaddr_in6 address(std::uint8_t host, std::uint16_t port) {
    sockaddr_in6 made{};
    made.sin6_family = AF_INET6;
    made.sin6_addr.s6_addr[0] = 0xfd;
    made.sin6_addr.s6_addr[15] = host;
    made.sin6_port = htons(port);
    return made;
  }

  base::SeededRng rng;
  base::ManualClock clock;
  Node client_node{rng, clock}, server_node{rng, clock};
  SessionOptions client_options, server_options;
  End client{rng}, server{rng};
  VirtualLink to_server, to_client;
  TlsContext* server_tls = &server_node.tls;  ///< Another one after a restart.
  std::uint8_t client_host = 1;
  std::uint16_t client_port = 40'000;
  std::vector<sockaddr_in6> gone;  ///< Addresses that the client had: nothing leaves or arrives.
  std::optional<sockaddr_in6> translated;  ///< What an address translator makes of the client's.
  std::size_t datagrams_sent() const { return to_server.datagrams_sent + to_client.datagrams_sent; }
  /// The client's first datagram, as an attacker would record it.
  std::vector<base::Bytes> recorded;

 private:
  static base::MonotonicTime due(const End& end) {
    return end.session ? end.session->next_timeout() : base::MonotonicTime::max();
  }

  static bool same(const sockaddr_in6& a, const sockaddr_in6& b) {
    return Path{a, a} == Path{b, b};
  }

  // The path of a datagram as its receiver sees it; empty when it can reach nobody.
  std::optional<Path> route(bool from_client, const Path& path) const {
    Path seen{path.remote, path.local};
    if (from_client && translated) seen.remote = *translated;
    if (!from_client && translated) {
      if (!same(path.remote, *translated)) return std::nullopt;
      seen.local = client_path().local;
    }
    const auto& ours = from_client ? path.local : seen.local;
    for (const auto& address : gone) {
      if (same(address, ours)) return std::nullopt;
    }
    return seen;
  }

  bool flush(End& end, VirtualLink& link) {
    if (!end.dirty || !end.session) return false;
    end.dirty = false;
    base::Bytes buffer(Burst::kBytesMax);
    Burst burst;
    burst.data = buffer.data();
    while (end.session->write(burst, now())) {
      for (std::size_t at = 0; at < burst.bytes; at += burst.segment_bytes) {
        const auto size = std::min(burst.segment_bytes, burst.bytes - at);
        base::Bytes bytes(buffer.begin() + static_cast<std::ptrdiff_t>(at),
                          buffer.begin() + static_cast<std::ptrdiff_t>(at + size));
        if (&end == &client) recorded.push_back(bytes);
        if (const auto seen = route(&end == &client, burst.path))
          link.send({*seen, std::move(bytes)}, now());
      }
    }
    return true;
  }

  void receive_at_server(const VirtualLink::Datagram& datagram) {
    if (!server.session) {
      ngtcp2_pkt_hd header;
      if (ngtcp2_accept(&header, datagram.bytes.data(), datagram.bytes.size()) != 0) return;
      auto made = Session::accept(server, *server_tls, rng, server_options, datagram.path,
                                  {header.scid, header.dcid, std::nullopt, {}}, now());
      if (!made) return;
      server.session = *std::move(made);
    }
    server.session->receive(datagram.path, 0, datagram.bytes, now());
    // A damaged first packet begins nothing.
    if (server.session->over() && server.handshakes == 0) server.session.reset();
  }
};

}  // namespace stoq::quic::testing
