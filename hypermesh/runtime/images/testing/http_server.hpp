#pragma once

// A small HTTP/1.1 server on loopback that does what a script says, also what no server should do.

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "runtime/images/fd.hpp"

namespace hypermesh::testing {

struct ServedRequest {
  std::string method, path, body;
  std::map<std::string, std::string> headers;  ///< Names in lower case.
  std::string header(const std::string& name) const {
    const auto it = headers.find(name);
    return it == headers.end() ? std::string() : it->second;
  }
};

struct Reply {
  int status = 200;
  std::string body;
  std::vector<std::pair<std::string, std::string>> headers;
  std::optional<std::size_t> cut_after;  ///< Closes after so many bytes of the body.
  std::optional<std::size_t>
      stall_after;                 ///< Sends no more, and waits until the other side gives up.
  std::optional<std::string> raw;  ///< Sent instead of all the above.
};

class HttpServer {
 public:
  using Handler = std::function<Reply(const ServedRequest&)>;

  explicit HttpServer(Handler handler, bool ipv6 = false)
      : handler_(std::move(handler)), ipv6_(ipv6) {
    listener_ = Fd(socket(ipv6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in6 six{};
    sockaddr_in four{};
    six.sin6_family = AF_INET6;
    six.sin6_addr = in6addr_loopback;
    four.sin_family = AF_INET;
    four.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    auto* address = ipv6 ? reinterpret_cast<sockaddr*>(&six) : reinterpret_cast<sockaddr*>(&four);
    socklen_t size = ipv6 ? sizeof six : sizeof four;
    if (bind(listener_.get(), address, size) != 0 || listen(listener_.get(), 64) != 0) abort();
    getsockname(listener_.get(), address, &size);
    port_ = ntohs(ipv6 ? six.sin6_port : four.sin_port);
    thread_ = std::thread([this] { accept_all(); });
  }
  ~HttpServer() {
    stopping_ = true;
    shutdown(listener_.get(), SHUT_RDWR);
    thread_.join();
    {
      const std::lock_guard lock(mutex_);
      for (const int fd : open_) shutdown(fd, SHUT_RDWR);
    }
    for (auto& connection : connections_) connection.join();
  }

  std::uint16_t port() const { return port_; }
  /// "127.0.0.1:4711" or "[::1]:4711"
  std::string authority() const {
    return fmt::format("{}:{}", ipv6_ ? "[::1]" : "127.0.0.1", port_);
  }
  /// "GET /v2/..." of all requests so far.
  std::vector<ServedRequest> requests() const {
    const std::lock_guard lock(mutex_);
    return requests_;
  }

 private:
  void accept_all() {
    while (!stopping_) {
      const int fd = accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC);
      if (fd < 0) return;
      const std::lock_guard lock(mutex_);
      open_.push_back(fd);
      connections_.emplace_back([this, fd] {
        serve(fd);
        const std::lock_guard lock(mutex_);
        std::erase(open_, fd);
        close(fd);
      });
    }
  }

  static bool send_all(int fd, std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      bytes.remove_prefix(std::size_t(sent));
    }
    return true;
  }
  static void wait_for_end(int fd) {
    char rest[256];
    while (recv(fd, rest, sizeof rest, 0) > 0) {
    }
  }

  bool read_request(int fd, std::string& buffer, ServedRequest& out) {
    const auto more = [&] {
      char piece[4096];
      const ssize_t got = recv(fd, piece, sizeof piece, 0);
      if (got <= 0) return false;
      buffer.append(piece, std::size_t(got));
      return true;
    };
    std::size_t end;
    while ((end = buffer.find("\r\n\r\n")) == std::string::npos) {
      if (!more()) return false;
    }
    std::size_t at = buffer.find("\r\n");
    const std::string first = buffer.substr(0, at);
    out.method = first.substr(0, first.find(' '));
    out.path = first.substr(out.method.size() + 1, first.rfind(' ') - out.method.size() - 1);
    while (at < end) {
      const std::size_t next = buffer.find("\r\n", at + 2);
      const std::string line = buffer.substr(at + 2, next - at - 2);
      const auto colon = line.find(':');
      std::string name = line.substr(0, colon);
      std::ranges::transform(name, name.begin(),
                             [](char c) { return c >= 'A' && c <= 'Z' ? char(c + 32) : c; });
      out.headers[name] = line.substr(std::min(line.size(), colon + 2));
      at = next;
    }
    buffer.erase(0, end + 4);
    const std::string length = out.header("content-length");
    const std::size_t size = length.empty() ? 0 : std::stoul(length);
    while (buffer.size() < size) {
      if (!more()) return false;
    }
    out.body = buffer.substr(0, size);
    buffer.erase(0, size);
    return true;
  }

  void serve(int fd) {
    std::string buffer;
    while (true) {
      ServedRequest request;
      if (!read_request(fd, buffer, request)) return;
      {
        const std::lock_guard lock(mutex_);
        requests_.push_back(request);
      }
      const Reply reply = handler_(request);
      if (reply.raw) {
        send_all(fd, *reply.raw);
        return;
      }
      std::string head =
          fmt::format("HTTP/1.1 {} X\r\nContent-Length: {}\r\n", reply.status, reply.body.size());
      for (const auto& [name, value] : reply.headers)
        head += fmt::format("{}: {}\r\n", name, value);
      head += "\r\n";
      const std::string_view body =
          request.method == "HEAD" ? std::string_view() : std::string_view(reply.body);
      if (!send_all(fd, head + std::string(
                                   body.substr(0, std::min(reply.cut_after.value_or(SIZE_MAX),
                                                           reply.stall_after.value_or(SIZE_MAX))))))
        return;
      if (reply.stall_after) wait_for_end(fd);
      if (reply.cut_after || reply.stall_after) return;
    }
  }

  Handler handler_;
  const bool ipv6_;
  Fd listener_;
  std::uint16_t port_ = 0;
  std::atomic<bool> stopping_ = false;
  mutable std::mutex mutex_;
  std::vector<ServedRequest> requests_;  // Guarded by mutex_, as all below.
  std::vector<int> open_;
  std::vector<std::thread> connections_;
  std::thread thread_;
};

}  // namespace hypermesh::testing
