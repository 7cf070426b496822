#include "session/net.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <utility>

namespace cli {
namespace {

using base::Errc;
using base::Result;
using SteadyClock = std::chrono::steady_clock;

class Socket {
 public:
  Socket() = default;
  explicit Socket(int fd) : fd_(fd) {}
  Socket(Socket&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Socket& operator=(Socket&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Socket() {
    if (fd_ >= 0) close(fd_);
  }
  int get() const { return fd_; }

 private:
  int fd_ = -1;
};

std::string show(const std::string& address, std::uint16_t port) {
  return address.find(':') != std::string::npos ? fmt::format("[{}]:{}", address, port)
                                                : fmt::format("{}:{}", address, port);
}

// A deadline for everything that one question takes.
class Deadline {
 public:
  explicit Deadline(base::Duration limit)
      : end_(SteadyClock::now() + std::chrono::duration_cast<SteadyClock::duration>(limit)) {}
  // Waits for `events`. False: the time is over.
  bool wait(int fd, short events) const {
    for (;;) {
      const auto left =
          std::chrono::ceil<std::chrono::milliseconds>(end_ - SteadyClock::now()).count();
      if (left <= 0) return false;
      pollfd ready{fd, events, 0};
      const int count = poll(&ready, 1, static_cast<int>(left));
      if (count > 0) return true;
      if (count == 0 || errno != EINTR) return false;
    }
  }

 private:
  SteadyClock::time_point end_;
};

Result<Socket> connect_to(const std::string& address, std::uint16_t port, int type,
                          const Deadline& deadline) {
  addrinfo hints{};
  hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
  hints.ai_socktype = type;
  addrinfo* found = nullptr;
  if (const int code = getaddrinfo(address.c_str(), std::to_string(port).c_str(), &hints, &found);
      code != 0) {
    return base::fail(Errc::InvalidArgument,
                      fmt::format("\"{}\" is not an address: {}", address, gai_strerror(code)));
  }
  Socket made(socket(found->ai_family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const int result = made.get() < 0 ? -1 : connect(made.get(), found->ai_addr, found->ai_addrlen);
  const int reason = errno;
  freeaddrinfo(found);
  if (result != 0 && reason != EINPROGRESS) return base::fail_errno(reason, show(address, port));
  if (result == 0) return made;
  if (!deadline.wait(made.get(), POLLOUT))
    return base::fail(Errc::TimedOut, fmt::format("{}: no answer", show(address, port)));
  int error = 0;
  socklen_t size = sizeof error;
  getsockopt(made.get(), SOL_SOCKET, SO_ERROR, &error, &size);
  if (error != 0) return base::fail_errno(error, show(address, port));
  return made;
}

Result<> send_all(const Socket& to, base::BytesView bytes, const Deadline& deadline) {
  while (!bytes.empty()) {
    const ssize_t sent = send(to.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent > 0) {
      bytes = bytes.subspan(static_cast<std::size_t>(sent));
    } else if (errno == EAGAIN || errno == EINTR) {
      if (!deadline.wait(to.get(), POLLOUT)) return base::fail(Errc::TimedOut, "no answer");
    } else {
      return base::fail_errno(errno, "cannot send");
    }
  }
  return {};
}

// Up to `wanted` bytes; fewer at the end of the stream.
Result<base::Bytes> receive(const Socket& from, std::size_t wanted, const Deadline& deadline) {
  base::Bytes bytes(wanted);
  std::size_t count = 0;
  while (count < wanted) {
    const ssize_t got = recv(from.get(), bytes.data() + count, wanted - count, 0);
    if (got == 0) break;
    if (got > 0) {
      count += static_cast<std::size_t>(got);
    } else if (errno == EAGAIN || errno == EINTR) {
      if (!deadline.wait(from.get(), POLLIN)) return base::fail(Errc::TimedOut, "no answer");
    } else {
      return base::fail_errno(errno, "cannot receive");
    }
  }
  bytes.resize(count);
  return bytes;
}

}  // namespace

Result<ProbeAnswer> probe_http(const std::string& address, std::uint16_t port,
                               base::Duration limit) {
  const auto start = SteadyClock::now();
  const Deadline deadline(limit);
  TRY(const Socket socket, connect_to(address, port, SOCK_STREAM, deadline));
  ProbeAnswer answer;
  answer.took = SteadyClock::now() - start;
  const std::string request =
      fmt::format("GET / HTTP/1.1\r\nHost: {}\r\nUser-Agent: hm\r\nConnection: close\r\n\r\n",
                  show(address, port));
  // "HTTP/1.1 200"
  constexpr std::size_t kStatusBytes = 12;
  if (!send_all(socket, base::as_bytes(request), deadline)) return answer;
  const auto head = receive(socket, kStatusBytes, deadline);
  // A service balanced to nobody accepts and closes: that is no answer.
  if (head && head->empty())
    return base::fail(Errc::Unavailable, fmt::format("{} closed the connection without an answer",
                                                     show(address, port)));
  if (!head && head.error().code != Errc::TimedOut) return std::unexpected(head.error());
  if (!head || head->size() < kStatusBytes || !base::as_text(*head).starts_with("HTTP/1."))
    return answer;
  answer.kind = ProbeAnswer::Kind::Http;
  answer.status = std::atoi(std::string(base::as_text(*head).substr(9)).c_str());
  answer.took = SteadyClock::now() - start;
  return answer;
}

Result<base::Bytes> ask_udp(const std::string& address, std::uint16_t port,
                            base::BytesView question, base::Duration limit) {
  constexpr std::size_t kDatagramMax = 65535;
  constexpr int kTries = 3;  // datagrams get lost
  base::Error last =
      base::make_error(Errc::TimedOut, fmt::format("{}: no answer", show(address, port)));
  for (int attempt = 0; attempt < kTries; ++attempt) {
    const Deadline deadline(limit / kTries);
    TRY(const Socket socket, connect_to(address, port, SOCK_DGRAM, deadline));
    TRY_DO(send_all(socket, question, deadline));
    base::Bytes answer(kDatagramMax);
    while (deadline.wait(socket.get(), POLLIN)) {
      const ssize_t got = recv(socket.get(), answer.data(), answer.size(), 0);
      if (got < 0 && errno != EAGAIN && errno != EINTR) {
        last = base::errno_error(errno, show(address, port));
        break;
      }
      if (got < 2 || answer[0] != question[0] || answer[1] != question[1]) continue;
      answer.resize(static_cast<std::size_t>(got));
      return answer;
    }
  }
  return std::unexpected(std::move(last));
}

Result<base::Bytes> ask_dns_tcp(const std::string& address, std::uint16_t port,
                                base::BytesView question, base::Duration limit) {
  const Deadline deadline(limit);
  TRY(const Socket socket, connect_to(address, port, SOCK_STREAM, deadline));
  base::ByteWriter writer;
  writer.u16(static_cast<std::uint16_t>(question.size()));
  writer.raw(question);
  TRY_DO(send_all(socket, writer.view(), deadline));
  TRY(const base::Bytes length, receive(socket, 2, deadline));
  if (length.size() < 2)
    return base::fail(Errc::Unavailable, fmt::format("{} closed the connection without an answer",
                                                     show(address, port)));
  return receive(socket, static_cast<std::size_t>(length[0]) << 8 | length[1], deadline);
}

}  // namespace cli
