#include "transport/quic/steering.hpp"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <base/random.hpp>

#include "transport/quic/udp_socket.hpp"

namespace stoq::quic {
namespace {

TEST(Steering, EveryDatagramReachesTheCoreInItsConnectionId) {
  constexpr unsigned kCores = 3;
  sockaddr_in6 address{};
  address.sin6_family = AF_INET6;
  address.sin6_addr.s6_addr[15] = 1;
  std::vector<std::unique_ptr<UdpSocket>> sockets;
  for (unsigned core = 0; core < kCores; ++core) {
    auto socket = UdpSocket::open(address, {.reuse_port = true});
    ASSERT_TRUE(socket) << socket.error().describe();
    address = (*socket)->local();
    sockets.push_back(*std::move(socket));
  }
  ASSERT_TRUE(steer_by_connection_id(sockets[1]->fd(), kCores));

  base::SeededRng rng(1);
  unsigned expected[kCores]{}, received[kCores]{};
  for (int i = 0; i < 300; ++i) {
    std::uint8_t packet[60];
    rng.fill(packet);
    const bool long_header = rng.below(2) == 0;
    packet[0] = static_cast<std::uint8_t>(long_header ? packet[0] | 0x80 : packet[0] & 0x7f);
    ++expected[packet[long_header ? 6 : 1] % kCores];
    // From another port each time: the kernel's own hash would scatter them.
    const int from = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    EXPECT_EQ(sendto(from, packet, sizeof packet, 0, reinterpret_cast<sockaddr*>(&address),
                     sizeof address),
              static_cast<ssize_t>(sizeof packet));
    close(from);
  }
  for (unsigned core = 0; core < kCores; ++core) {
    const auto count = [&](const Path&, std::uint8_t, base::BytesView datagram, std::size_t) {
      ++received[core];
      EXPECT_EQ(datagram[(datagram[0] & 0x80) != 0 ? 6 : 1] % kCores, core);
    };
    while (sockets[core]->receive(count, 1, 1)) {
    }
    EXPECT_EQ(received[core], expected[core]);
  }
}

}  // namespace
}  // namespace stoq::quic
