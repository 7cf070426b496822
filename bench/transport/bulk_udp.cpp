// bulk_udp MIB: the kernel's part of bulk_stoq: the same bytes over UDP with GSO and GRO, 1452 a
// datagram, without a protocol. What is lost is not sent again. Prints as bulk_stoq, for the bytes
// that arrived.

#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "process.hpp"

namespace {

using namespace bench;

constexpr std::size_t kDatagramBytes = 1452, kBurstBytes = 44 * kDatagramBytes;
constexpr int kBufferBytes = 32 << 20;

int bound() {
  const int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  sockaddr_in6 address{};
  address.sin6_family = AF_INET6;
  address.sin6_addr = in6addr_loopback;
  must(fd >= 0 && bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0, "bind");
  for (const int option : {SO_RCVBUF, SO_RCVBUFFORCE, SO_SNDBUF, SO_SNDBUFFORCE})
    (void)setsockopt(fd, SOL_SOCKET, option, &kBufferBytes, sizeof kBufferBytes);
  return fd;
}

// As a node does, whose socket serves many peers: with addresses and what lies around.
ssize_t send(int fd, sockaddr_in6& to, const std::vector<char>& block) {
  iovec vector{const_cast<char*>(block.data()), block.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(std::uint16_t))]{};
  msghdr message{&to, sizeof to, &vector, 1, control, sizeof control, 0};
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_UDP;
  header->cmsg_type = UDP_SEGMENT;
  header->cmsg_len = CMSG_LEN(sizeof(std::uint16_t));
  const std::uint16_t segment = kDatagramBytes;
  std::memcpy(CMSG_DATA(header), &segment, sizeof segment);
  return sendmsg(fd, &message, 0);
}

ssize_t receive(int fd, std::vector<char>& block) {
  sockaddr_in6 from{};
  iovec vector{block.data(), block.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))];
  msghdr message{&from, sizeof from, &vector, 1, control, sizeof control, 0};
  return recvmsg(fd, &message, 0);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) die("usage: bulk_udp MIB");
  const auto bytes = std::strtoull(argv[1], nullptr, 10) << 20;
  const int receiver = bound(), sender = bound();
  sockaddr_in6 to{};
  socklen_t size = sizeof to;
  must(getsockname(receiver, reinterpret_cast<sockaddr*>(&to), &size) == 0, "getsockname");
  const int on = 1;
  must(setsockopt(receiver, SOL_UDP, UDP_GRO, &on, sizeof on) == 0, "UDP_GRO");

  Child child([&](Pipe& pipe) {
    pin(1);
    std::vector<char> block(65'536);
    std::uint64_t got = 0;
    pipe.put(0);
    const double before = cpu_seconds();
    for (;;) {
      const ssize_t more = receive(receiver, block);
      must(more > 0, "recv");
      if (more == 1) break;
      got += static_cast<std::uint64_t>(more);
    }
    pipe.put(cpu_seconds() - before);
    pipe.put(static_cast<double>(got));
  });
  pin(0);
  const std::vector<char> block(kBurstBytes, 'x');
  child.pipe().get();
  const double cpu = cpu_seconds(), wall = wall_seconds();
  for (std::uint64_t sent = 0; sent < bytes; sent += block.size())
    must(send(sender, to, block) >= 0, "send");
  const double cost = cpu_seconds() - cpu;
  // The end may be lost like anything else.
  while (!child.pipe().ready()) {
    (void)sendto(sender, "x", 1, 0, reinterpret_cast<sockaddr*>(&to), sizeof to);
    usleep(1000);
  }
  const double receiver_cpu = child.pipe().get();
  const double share = child.pipe().get() / static_cast<double>(bytes);
  std::printf("%.6f %.6f %.6f %.6f\n", static_cast<double>(bytes) * share * 8e-9, cost * share,
              receiver_cpu, wall_seconds() - wall);
  return 0;
}
