#pragma once

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>

#include "etcd_session.hpp"

namespace bench {

/// "127.0.0.1:2379".
inline base::Result<sockaddr_in> parse_endpoint(const std::string& text) {
  const std::size_t colon = text.rfind(':');
  sockaddr_in address{.sin_family = AF_INET};
  std::uint16_t port = 0;
  const char* const end = text.data() + text.size();
  if (colon == text.npos ||
      inet_pton(AF_INET, text.substr(0, colon).c_str(), &address.sin_addr) != 1 ||
      std::from_chars(text.data() + colon + 1, end, port).ptr != end || port == 0)
    return base::fail(base::Errc::InvalidArgument,
                      fmt::format("{} is no endpoint; give addresses of IPv4 with their ports, as "
                                  "127.0.0.1:2379",
                                  text));
  address.sin_port = htons(port);
  return address;
}

class Socket {
 public:
  Socket() : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {}
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  ~Socket() {
    if (fd_ >= 0) close(fd_);
  }
  int fd() const { return fd_; }

 private:
  int fd_;
};

/// A session with its socket, in an epoll that calls it by a number.
class EtcdConnection {
 public:
  /// `endpoint`: "127.0.0.1:2379". `ended`: as EtcdSession's.
  EtcdConnection(const std::string& endpoint, EtcdSession::Ended ended)
      : endpoint_(endpoint), session_(endpoint, std::move(ended)) {}

  base::Result<> connect(int epoll, std::uint32_t number) {
    TRY(const sockaddr_in address, parse_endpoint(endpoint_));
    const int on = 1;
    epoll_event events{.events = EPOLLIN, .data = {.u32 = number}};
    if (socket_.fd() < 0 ||
        ::connect(socket_.fd(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
        setsockopt(socket_.fd(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0 ||
        epoll_ctl(epoll, EPOLL_CTL_ADD, socket_.fd(), &events) != 0)
      return base::fail_errno(errno, "cannot connect to " + endpoint_);
    return {};
  }

  base::Result<> begin(const Operation& operation) { return named(session_.begin(operation)); }

  /// What has come, as far as it fits into `room`.
  base::Result<> receive(std::span<std::uint8_t> room) {
    const ssize_t bytes = recv(socket_.fd(), room.data(), room.size(), MSG_DONTWAIT);
    if (bytes == 0)
      return base::fail(base::Errc::Unavailable, endpoint_ + " has closed a connection");
    if (bytes < 0) {
      if (errno == EAGAIN) return {};
      return base::fail_errno(errno, "cannot receive from " + endpoint_);
    }
    return named(session_.receive(room.first(static_cast<std::size_t>(bytes))));
  }

  /// All that there is to send, or as much as the socket takes, and the rest when it takes more.
  base::Result<> send(int epoll, std::uint32_t number) {
    for (;;) {
      TRY(const base::BytesView bytes, named(session_.to_send()));
      if (bytes.empty()) return watch(epoll, number, false);
      const ssize_t gone =
          ::send(socket_.fd(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      if (gone < 0 && errno == EAGAIN) return watch(epoll, number, true);
      if (gone < 0) return base::fail_errno(errno, "cannot send to " + endpoint_);
      session_.sent(static_cast<std::size_t>(gone));
    }
  }

 private:
  template <class T>
  base::Result<T> named(base::Result<T> result) const {
    if (!result) return std::unexpected(base::wrap(std::move(result).error(), endpoint_));
    return result;
  }

  base::Result<> watch(int epoll, std::uint32_t number, bool room) {
    if (room == watched_for_room_) return {};
    watched_for_room_ = room;
    epoll_event events{.events = EPOLLIN | (room ? EPOLLOUT : 0u), .data = {.u32 = number}};
    if (epoll_ctl(epoll, EPOLL_CTL_MOD, socket_.fd(), &events) != 0)
      return base::fail_errno(errno, "epoll_ctl");
    return {};
  }

  std::string endpoint_;
  Socket socket_;
  EtcdSession session_;
  bool watched_for_room_ = false;
};

}  // namespace bench
