#pragma once

#include <sys/socket.h>
#include <unistd.h>

#include <base/bytes.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <cstring>
#include <functional>
#include <memory>
#include <stoq/transport.hpp>
#include <vector>

namespace stoq::quic::testing {

/// Stands between one client and its server, on loopback: records, changes, drops, and takes
/// another port towards the server, as an address translator does.
class UdpProxy {
 public:
  /// Gives what goes on instead of a datagram; none: it is lost.
  using Filter = std::function<std::vector<base::Bytes>(base::Bytes datagram)>;

  UdpProxy(const base::Executor& executor, const Endpoint& server)
      : executor_(executor), server_(native(server)) {
    front_ = open({});
    back_ = open(server_);
    listen(front_, [this](base::Bytes bytes, const sockaddr_in6& from) {
      client_ = from;
      const auto out = through(to_server, std::move(bytes));
      for (const auto& each : out) send(back_->fd, each, nullptr);
    });
    listen_back();
  }
  ~UdpProxy() { stop(); }
  UdpProxy(const UdpProxy&) = delete;
  UdpProxy& operator=(const UdpProxy&) = delete;

  /// Where the client connects to.
  Endpoint endpoint() const {
    sockaddr_in6 local{};
    socklen_t size = sizeof local;
    getsockname(front_->fd, reinterpret_cast<sockaddr*>(&local), &size);
    Endpoint made;
    made.address[15] = 1;
    made.port = ntohs(local.sin6_port);
    return made;
  }
  /// Goes on from another port; what still comes to the old one is lost.
  void rebind() {
    back_->descriptor.close();
    back_ = open(server_);
    listen_back();
  }
  void stop() {
    for (const auto& socket : {front_, back_}) socket->descriptor.close();
  }
  void inject(base::BytesView bytes) { send(back_->fd, bytes, nullptr); }

  Filter to_server, to_client;

 private:
  struct Socket {
    Socket(const base::Executor& executor, int fd) : fd(fd), descriptor(executor, fd) {}
    int fd;
    boost::asio::posix::stream_descriptor descriptor;
  };
  using Handler = std::function<void(base::Bytes, const sockaddr_in6&)>;

  static sockaddr_in6 native(const Endpoint& endpoint) {
    sockaddr_in6 made{};
    made.sin6_family = AF_INET6;
    std::memcpy(&made.sin6_addr, endpoint.address.data(), 16);
    made.sin6_port = htons(endpoint.port);
    return made;
  }

  std::shared_ptr<Socket> open(const sockaddr_in6& peer) {
    const int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    sockaddr_in6 any{};
    any.sin6_family = AF_INET6;
    any.sin6_addr.s6_addr[15] = 1;
    bind(fd, reinterpret_cast<sockaddr*>(&any), sizeof any);
    if (peer.sin6_port != 0)
      (void)connect(fd, reinterpret_cast<const sockaddr*>(&peer), sizeof peer);
    return std::make_shared<Socket>(executor_, fd);
  }
  void listen_back() {
    listen(back_, [this](base::Bytes bytes, const sockaddr_in6&) {
      const auto out = through(to_client, std::move(bytes));
      for (const auto& each : out) send(front_->fd, each, &client_);
    });
  }
  static std::vector<base::Bytes> through(const Filter& filter, base::Bytes bytes) {
    if (filter) return filter(std::move(bytes));
    std::vector<base::Bytes> same;
    same.push_back(std::move(bytes));
    return same;
  }
  static void send(int fd, base::BytesView bytes, const sockaddr_in6* to) {
    (void)sendto(fd, bytes.data(), bytes.size(), 0, reinterpret_cast<const sockaddr*>(to),
                 to != nullptr ? sizeof *to : 0);
  }
  static void listen(const std::shared_ptr<Socket>& socket, Handler handler) {
    socket->descriptor.async_wait(
        boost::asio::posix::stream_descriptor::wait_read,
        [socket, handler = std::move(handler)](const boost::system::error_code& error) {
          if (error) return;
          for (;;) {
            base::Bytes bytes(65'536);
            sockaddr_in6 from{};
            socklen_t size = sizeof from;
            const ssize_t got = recvfrom(socket->fd, bytes.data(), bytes.size(), 0,
                                         reinterpret_cast<sockaddr*>(&from), &size);
            if (got < 0) break;
            bytes.resize(static_cast<std::size_t>(got));
            handler(std::move(bytes), from);
            if (!socket->descriptor.is_open()) return;
          }
          listen(socket, handler);
        });
  }

  base::Executor executor_;
  sockaddr_in6 server_, client_{};
  std::shared_ptr<Socket> front_, back_;
};

}  // namespace stoq::quic::testing
