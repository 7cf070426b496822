#include "link.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <deque>
#include <map>
#include <random>
#include <vector>

namespace bench {

namespace {

constexpr std::size_t kDatagramBytesMax = 65'536;
constexpr int kBufferBytes = 8 << 20;
constexpr int kDatagramsPerTurn = 64;

sockaddr_in6 loopback_address(std::uint16_t port) {
  sockaddr_in6 made{};
  made.sin6_family = AF_INET6;
  made.sin6_addr = in6addr_loopback;
  made.sin6_port = htons(port);
  return made;
}

int bound(int type, std::uint16_t& port) {
  const int fd = socket(AF_INET6, type | SOCK_CLOEXEC, 0);
  sockaddr_in6 address = loopback_address(0);
  socklen_t size = sizeof address;
  must(fd >= 0 && bind(fd, reinterpret_cast<sockaddr*>(&address), size) == 0 &&
           getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) == 0,
       "a link's socket");
  for (const int option : {SO_RCVBUF, SO_RCVBUFFORCE, SO_SNDBUF, SO_SNDBUFFORCE})
    (void)setsockopt(fd, SOL_SOCKET, option, &kBufferBytes, sizeof kBufferBytes);
  port = ntohs(address.sin6_port);
  return fd;
}

// Waits for any of `fds` until `until`; to the microsecond, as the delay is measured.
void wait(std::vector<pollfd>& fds, double until) {
  timespec limit{}, *limited = nullptr;
  if (until > 0) {
    const double left = std::max(0.0, until - wall_seconds());
    limit.tv_sec = static_cast<time_t>(left);
    limit.tv_nsec = static_cast<long>((left - static_cast<double>(limit.tv_sec)) * 1e9);
    limited = &limit;
  }
  (void)ppoll(fds.data(), fds.size(), limited, nullptr);
}

struct Waiting {
  double due;
  int fd;
  sockaddr_in6 to;
  std::vector<char> bytes;
};

void serve_udp(int front, const sockaddr_in6& server, const LinkOptions& options) {
  prctl(PR_SET_TIMERSLACK, 1);
  std::map<std::uint16_t, int> behind;  // A socket towards the server for each client's port.
  std::vector<pollfd> fds{{front, POLLIN, 0}};
  std::vector<sockaddr_in6> clients{server};
  std::deque<Waiting> waiting;
  std::mt19937_64 random(1);
  std::uniform_real_distribution<> uniform;
  std::vector<char> buffer(kDatagramBytesMax);
  for (;;) {
    wait(fds, waiting.empty() ? 0 : waiting.front().due);
    for (std::size_t i = 0; i < fds.size(); ++i) {
      if ((fds[i].revents & POLLIN) == 0) continue;
      for (int n = 0; n < kDatagramsPerTurn; ++n) {
        sockaddr_in6 from{};
        socklen_t size = sizeof from;
        const ssize_t got = recvfrom(fds[i].fd, buffer.data(), buffer.size(), MSG_DONTWAIT,
                                     reinterpret_cast<sockaddr*>(&from), &size);
        if (got < 0) break;
        int out = front;
        sockaddr_in6 to = clients[i];
        if (i == 0) {
          to = server;
          auto [place, added] = behind.try_emplace(from.sin6_port, -1);
          if (added) {
            std::uint16_t port = 0;
            place->second = bound(SOCK_DGRAM, port);
            fds.push_back({place->second, POLLIN, 0});
            clients.push_back(from);
          }
          out = place->second;
        }
        if (options.loss > 0 && uniform(random) < options.loss) continue;
        waiting.push_back({wall_seconds() + options.delay_seconds,
                           out,
                           to,
                           {buffer.data(), buffer.data() + got}});
      }
    }
    while (!waiting.empty() && waiting.front().due <= wall_seconds()) {
      Waiting& first = waiting.front();
      (void)sendto(first.fd, first.bytes.data(), first.bytes.size(), 0,
                   reinterpret_cast<sockaddr*>(&first.to), sizeof first.to);
      waiting.pop_front();
    }
  }
}

// Until either side closes.
void carry(int client, int server, const LinkOptions& options) {
  std::vector<pollfd> fds{{client, POLLIN, 0}, {server, POLLIN, 0}};
  std::deque<Waiting> waiting;
  std::vector<char> buffer(kDatagramBytesMax);
  const double held_until = wall_seconds() + options.first_bytes_held_seconds;
  for (;;) {
    wait(fds, waiting.empty() ? 0 : waiting.front().due);
    for (int i = 0; i < 2; ++i) {
      if ((fds[i].revents & (POLLIN | POLLHUP | POLLERR)) == 0) continue;
      const ssize_t got = recv(fds[i].fd, buffer.data(), buffer.size(), MSG_DONTWAIT);
      if (got <= 0) return;
      waiting.push_back({std::max(held_until, wall_seconds()) + options.delay_seconds,
                         fds[1 - i].fd,
                         {},
                         {buffer.data(), buffer.data() + got}});
    }
    while (!waiting.empty() && waiting.front().due <= wall_seconds()) {
      (void)send(waiting.front().fd, waiting.front().bytes.data(), waiting.front().bytes.size(),
                 MSG_NOSIGNAL);
      waiting.pop_front();
    }
  }
}

void serve_tcp(int listener, const sockaddr_in6& server, const LinkOptions& options) {
  prctl(PR_SET_TIMERSLACK, 1);
  for (;;) {
    const int client = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    const int behind = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    must(client >= 0 && behind >= 0 &&
             connect(behind, reinterpret_cast<const sockaddr*>(&server), sizeof server) == 0,
         "a link's connection");
    const int on = 1;
    for (const int fd : {client, behind}) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    carry(client, behind, options);
    close(client);
    close(behind);
  }
}

}  // namespace

UdpLink::UdpLink(std::uint16_t to, const LinkOptions& options) {
  const int fd = bound(SOCK_DGRAM, port_);
  child_ = std::make_unique<Child>([&](Pipe&) { serve_udp(fd, loopback_address(to), options); });
  close(fd);
}

TcpLink::TcpLink(std::uint16_t to, const LinkOptions& options) {
  const int fd = bound(SOCK_STREAM, port_);
  must(listen(fd, 16) == 0, "listen");
  child_ = std::make_unique<Child>([&](Pipe&) { serve_tcp(fd, loopback_address(to), options); });
  close(fd);
}

}  // namespace bench
