#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "transport/quic/testing/session_pair.hpp"

// Transfers over links that are bad in every way at once, each drawn from a seed. A few hundred
// seeds by default; STOQ_SEEDS=n runs n of them, STOQ_SEED=n that one alone.

namespace stoq::quic {
namespace {

using namespace std::chrono_literals;
using testing::End;
using testing::LinkFaults;
using testing::SessionPair;

enum class Move : std::uint8_t { None, Port, Address, AddressGone, TranslatedPort, Translated };

struct Scenario {
  LinkFaults to_server, to_client;
  Congestion congestion = Congestion::Cubic;
  std::size_t streams = 1, bytes = 0;  // The bytes of each stream, and as many back.
  Move move = Move::None;
  std::size_t hole_bytes = 0;  // Larger packets vanish from the middle of the transfer on; 0: none.
};

class Draw {
 public:
  explicit Draw(std::uint64_t seed) : rng_(seed ^ 0x5eed) {}
  bool one_in(std::uint64_t n) { return rng_.below(n) == 0; }
  double between(double low, double high) {
    return low * std::pow(high / low, static_cast<double>(rng_.below(1'000'000)) / 1e6);
  }
  std::uint64_t below(std::uint64_t n) { return rng_.below(n); }

  LinkFaults faults() {
    LinkFaults made;
    if (one_in(2)) made.loss = between(0.001, 0.1);
    if (one_in(4)) made.duplication = between(0.001, 0.1);
    if (one_in(4)) made.corruption = between(0.001, 0.05);
    made.delay = base::Duration(static_cast<std::int64_t>(between(0.1e6, 100e6)));
    if (one_in(3))
      made.jitter = base::Duration(
          static_cast<std::int64_t>(static_cast<double>(made.delay.count()) * between(0.01, 1)));
    if (one_in(3)) made.bytes_per_second = between(50e3, 10e6);
    if (one_in(4)) made.forgery = between(0.001, 0.3);
    if (one_in(4)) made.mtu_bytes = 1200 + below(300);
    return made;
  }

  Scenario scenario() {
    Scenario made;
    made.to_server = faults();
    made.to_client = faults();
    if (one_in(3)) made.congestion = Congestion::Bbr;
    made.streams = 1 + below(4);
    made.bytes = static_cast<std::size_t>(between(1, 200'000));
    made.move = static_cast<Move>(below(6));
    if (one_in(3)) made.hole_bytes = 1200 + below(250);
    return made;
  }

 private:
  base::SeededRng rng_;
};

base::Bytes pattern(std::size_t size, std::uint64_t seed) {
  base::Bytes bytes(size);
  base::SeededRng(seed).fill(bytes);
  return bytes;
}

void drain(Session& session, StreamState& stream, base::Bytes& into) {
  for (auto bytes = session.read(stream); !bytes.empty(); bytes = session.read(stream))
    into.insert(into.end(), bytes.begin(), bytes.end());
}

class Transfer {
 public:
  Transfer(std::uint64_t seed, const Scenario& scenario)
      : scenario_(scenario), pair_(seed), seed_(seed) {
    pair_.to_server.set_faults(scenario.to_server);
    pair_.to_client.set_faults(scenario.to_client);
    for (SessionOptions* options : {&pair_.client_options, &pair_.server_options}) {
      options->congestion = scenario.congestion;
      options->handshake_timeout = options->idle_timeout = 120s;
    }
    // A translator's new address reaches the server with the client's next packet only.
    pair_.client_options.keep_alive = 5s;
  }

  void run() {
    pair_.connect();
    ASSERT_TRUE(pair_.run([&] { return ended() || both_established(); }, 120s));
    ASSERT_FALSE(ended()) << why() << "\n" << describe();
    for (std::size_t i = 0; i < scenario_.streams; ++i) {
      Lane lane{
          .out = *pair_.client.session->open_stream(true, static_cast<std::uint8_t>(i % 4), false),
          .sent = pattern(scenario_.bytes, seed_ + i)};
      pair_.client.session->send(*lane.out, base::BytesView(lane.sent));
      pair_.client.session->send_end(*lane.out);
      lanes_.push_back(std::move(lane));
    }
    const bool done = pair_.run(
        [&] {
          serve();
          return ended() || all_echoed();
        },
        1200s);
    ASSERT_FALSE(ended()) << why() << "\n" << describe();
    ASSERT_TRUE(done) << describe();
    for (const Lane& lane : lanes_) ASSERT_EQ(lane.echoed, lane.sent);
    bound();
    complete_ = true;
  }
  bool complete() const { return complete_; }

 private:
  struct Lane {
    std::shared_ptr<StreamState> out;
    base::Bytes sent, received, echoed;
    bool answered = false;
  };

  bool ended() const {
    return pair_.client.session->ended() ||
           (pair_.server.session && pair_.server.handshakes > 0 && pair_.server.session->ended());
  }
  std::string why() const {
    std::string text;
    for (const End* end : {&pair_.client, &pair_.server}) {
      if (end->session && end->session->ended())
        text += (end == &pair_.client ? "client: " : "server: ") + end->session->ended()->message;
    }
    return text;
  }
  bool both_established() const {
    return pair_.client.session->established() && pair_.server.session &&
           pair_.server.session->established();
  }

  void serve() {
    std::size_t received = 0;
    for (auto& in : pair_.server.opened) {
      Lane& lane = lanes_[static_cast<std::size_t>(in->id) / 4];
      drain(*pair_.server.session, *in, lane.received);
      received += lane.received.size();
      if (!in->end_received || lane.answered || lane.received.size() < lane.sent.size()) continue;
      ASSERT_EQ(lane.received, lane.sent);
      lane.answered = true;
      pair_.server.session->send(*in, base::Bytes(lane.received));
      pair_.server.session->send_end(*in);
    }
    for (Lane& lane : lanes_) drain(*pair_.client.session, *lane.out, lane.echoed);
    if (2 * received >= scenario_.streams * scenario_.bytes) middle();
  }

  bool all_echoed() const {
    return std::ranges::all_of(lanes_, [](const Lane& lane) {
      return lane.out->end_received && lane.echoed.size() == lane.sent.size();
    });
  }

  // What happens in the middle of the transfer.
  void middle() {
    if (scenario_.hole_bytes > 0) {
      scenario_.to_server.mtu_bytes = scenario_.to_client.mtu_bytes = scenario_.hole_bytes;
      pair_.to_server.set_faults(scenario_.to_server);
      pair_.to_client.set_faults(scenario_.to_client);
      scenario_.hole_bytes = 0;
    }
    switch (std::exchange(moved_, true) ? Move::None : scenario_.move) {
      case Move::None:
        break;
      case Move::TranslatedPort:
        pair_.translated = SessionPair::address(1, 50'123);
        break;
      case Move::Translated:
        pair_.translated = SessionPair::address(77, 50'124);
        break;
      case Move::Port:
      case Move::Address:
      case Move::AddressGone: {
        const auto before = pair_.client_path();
        if (scenario_.move != Move::Port) pair_.client_host = 3;
        pair_.client_port = 40'001;
        if (!pair_.client.session->migrate(pair_.client_path(), pair_.now())) {
          // The handshake is not confirmed yet: asked again at the next turn.
          pair_.client_host = before.local.sin6_addr.s6_addr[15];
          pair_.client_port = ntohs(before.local.sin6_port);
          moved_ = false;
        } else if (scenario_.move == Move::AddressGone) {
          pair_.gone.push_back(before.local);
        }
      }
    }
  }

  // What tells one scenario from another, for who has to find a fault in it.
  std::string describe() const {
    const auto link = [](const LinkFaults& faults) {
      return fmt::format(
          "loss {:.3f} dup {:.3f} corr {:.3f} delay {:.1f} jitter {:.1f} rate {:.0f} mtu {} "
          "forgery {:.3f}",
          faults.loss, faults.duplication, faults.corruption,
          static_cast<double>(faults.delay.count()) / 1e6,
          static_cast<double>(faults.jitter.count()) / 1e6, faults.bytes_per_second,
          faults.mtu_bytes, faults.forgery);
    };
    return fmt::format(
        "{} streams of {} bytes, move {}, hole {}, {}; to the server: {}; to the client: {}",
        scenario_.streams, scenario_.bytes, static_cast<int>(scenario_.move), hole_bytes_,
        scenario_.congestion == Congestion::Bbr ? "BBR" : "CUBIC", link(scenario_.to_server),
        link(scenario_.to_client));
  }

  // A packet is sent again for each time it is lost, and once more when its acknowledgement is
  // late; what changes in the middle costs at most what is under way, each way.
  void bound() const {
    double lost = 0;
    bool reordered = false, slow = false;
    for (const LinkFaults* faults : {&scenario_.to_server, &scenario_.to_client}) {
      lost = std::max(lost, faults->loss + faults->corruption);
      reordered |= faults->jitter > base::Duration::zero();
      slow |= faults->bytes_per_second > 0;
    }
    constexpr double kFramesAndAcknowledgements = 0.12, kHandshakeAndProbes = 64e3;
    const double payload = 2.0 * static_cast<double>(scenario_.streams * scenario_.bytes);
    const int flights = (scenario_.move != Move::None) + (hole_bytes_ > 0) + slow;
    const double allowed =
        payload * (1 + kFramesAndAcknowledgements) * (1 + 3 * lost + (reordered ? 0.25 : 0)) +
        flights * std::min(payload / 2, 256e3) + kHandshakeAndProbes;
    const double sent =
        static_cast<double>(pair_.to_server.bytes_sent + pair_.to_client.bytes_sent);
    EXPECT_LE(sent, allowed) << describe();
  }

  Scenario scenario_;
  SessionPair pair_;
  std::uint64_t seed_;
  std::size_t hole_bytes_ = scenario_.hole_bytes;
  std::vector<Lane> lanes_;
  bool moved_ = false, complete_ = false;
};

std::uint64_t number(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text != nullptr ? std::strtoull(text, nullptr, 10) : otherwise;
}

TEST(SessionSeeds, EveryTransferEndsWithEqualBytes) {
  const auto only = number("STOQ_SEED", 0);
  const auto first = only != 0 ? only : 1;
  const auto last = only != 0 ? only : number("STOQ_SEEDS", 300);
  std::uint64_t failed = 0;
  for (auto seed = first; seed <= last; ++seed) {
    SCOPED_TRACE("STOQ_SEED=" + std::to_string(seed));
    Transfer transfer(seed, Draw(seed).scenario());
    transfer.run();
    if (!transfer.complete() && ++failed > 3) break;
  }
}

}  // namespace
}  // namespace stoq::quic
