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

// What stays from input to input.
struct World {
  World() {
    stoq::quic::testing::SessionPair pair(3);
    pair.connect_to(node.identity.id);
    pair.settle(0s);
    first = pair.recorded.front();
  }

  base::SystemClock clock;
  base::SeededRng rng{1};
  stoq::quic::testing::Node node{rng, clock};
  // Where answers go; nobody reads them.
  std::unique_ptr<UdpSocket> sink = *UdpSocket::open(loopback(0), {});
  base::Bytes first;
};

struct Server {
  explicit Server(World& world)
      : shared(world.node.tls, world.clock, base::Bytes(32, 7), {},
               {.answers_per_source_per_second = 1e9}) {
    auto acceptor = std::make_shared<Acceptor>();
    acceptor->accepted = [](std::shared_ptr<ConnectionState>) {};
    for (unsigned core = 0; core < 2; ++core) {
      endpoints.push_back(std::make_shared<QuicEndpoint>(context.get_executor(), shared, core));
      shared.endpoints.push_back(endpoints.back());
      std::shared_ptr<UdpSocket> socket = *UdpSocket::open(here, {.reuse_port = true});
      here = socket->local();
      endpoints.back()->add_socket(std::move(socket), acceptor);
    }
  }

  boost::asio::io_context context;
  Shared shared;
  std::vector<std::shared_ptr<QuicEndpoint>> endpoints;
  sockaddr_in6 here = loopback(0);
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static World world;
  Server server(world);
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
    server.endpoints[core]->take_over(server.here.sin6_port, {server.here, world.sink->local()}, 0,
                                      std::move(datagram));
  }
  server.context.poll();
  for (const auto& endpoint : server.endpoints) {
    const auto usage = endpoint->usage();
    if (usage.connections > size / 3 || usage.ids > 10 * usage.connections) abort();
  }
  return 0;
}
