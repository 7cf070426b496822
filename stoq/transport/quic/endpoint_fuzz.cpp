// Datagrams into an endpoint that listens: which connection, core, version and token they are of.
// Each is two bytes of length and the bytes; where the length's first bit is set, they are changes
// to a client's first datagram.
#include <boost/asio/io_context.hpp>

#include "transport/quic/quic_transport.hpp"
#include "transport/quic/testing/session_pair.hpp"

namespace {

using namespace stoq;
using namespace stoq::quic;
using namespace std::chrono_literals;

sockaddr_in6 loopback(std::uint16_t port) {
  sockaddr_in6 made{};
  made.sin6_family = AF_INET6;
  made.sin6_addr.s6_addr[15] = 1;
  made.sin6_port = port;
  return made;
}

struct World {
  World() {
    for (unsigned core = 0; core < 2; ++core) {
      endpoints.push_back(std::make_shared<QuicEndpoint>(context.get_executor(), shared, core));
      shared.endpoints.push_back(endpoints.back());
    }
    auto acceptor = std::make_shared<Acceptor>();
    acceptor->accepted = [](std::shared_ptr<ConnectionState>) {};
    sockaddr_in6 at = loopback(0);
    for (auto& endpoint : endpoints) {
      std::shared_ptr<UdpSocket> socket = *UdpSocket::open(at, {.reuse_port = true});
      at = socket->local();
      endpoint->add_socket(std::move(socket), acceptor);
    }
    here = at;
    // Where answers go; nobody reads them.
    sink = *UdpSocket::open(loopback(0), {});
    stoq::quic::testing::SessionPair pair(3);
    pair.connect_to(node.identity.id);
    pair.settle(0s);
    first = pair.recorded.front();
  }

  boost::asio::io_context context;
  base::SystemClock clock;
  base::SeededRng rng{1};
  stoq::quic::testing::Node node{rng, clock};
  Shared shared{node.tls,
                clock,
                base::Bytes(32, 7),
                {.handshake_timeout = 100ms},
                {.connections_max = 64, .answers_per_source_per_second = 1e9}};
  std::vector<std::shared_ptr<QuicEndpoint>> endpoints;
  sockaddr_in6 here{};
  std::unique_ptr<UdpSocket> sink;
  base::Bytes first;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static World world;
  base::BytesView left(data, size);
  while (left.size() >= 3) {
    const std::size_t length =
        std::min<std::size_t>((left[0] & 0x07) * 256u + left[1], left.size() - 2);
    const bool changes = (left[0] & 0x80) != 0;
    const unsigned core = (left[0] >> 6) & 1;
    const auto bytes = left.subspan(2, length);
    left = left.subspan(2 + length);
    base::Bytes datagram(bytes.begin(), bytes.end());
    if (changes) {
      datagram = world.first;
      for (std::size_t i = 0; i + 2 < bytes.size(); i += 3)
        datagram[(bytes[i] * 256u + bytes[i + 1]) % datagram.size()] ^= bytes[i + 2];
    }
    world.endpoints[core]->take_over(world.here.sin6_port, {world.here, world.sink->local()}, 0,
                                     std::move(datagram));
  }
  world.context.poll();
  world.context.restart();
  const auto usage = world.endpoints[0]->usage();
  if (usage.connections > 64 || usage.ids > 64 * 10) abort();
  return 0;
}
