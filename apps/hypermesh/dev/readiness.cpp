#include "dev/readiness.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "dev/files.hpp"

namespace cli::dev {
namespace {

constexpr std::size_t kAnswerBytesMax = 16u << 10;

base::Result<UniqueFd> connect_to(const std::filesystem::path& socket, int limit_ms) {
  // By way of the open folder: the address of a Unix socket has room for 107 characters.
  const UniqueFd folder(::open(socket.parent_path().c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!folder)
    return base::fail_errno(errno, fmt::format("cannot open {}", socket.parent_path().string()));
  const std::string near =
      fmt::format("/proc/self/fd/{}/{}", folder.get(), socket.filename().string());
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (near.size() >= sizeof address.sun_path) {
    return base::fail(base::Errc::InvalidArgument,
                      fmt::format("{} is too long a name", socket.filename().string()));
  }
  std::memcpy(address.sun_path, near.c_str(), near.size() + 1);
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) return base::fail_errno(errno, "cannot make a socket");
  const timeval limit{limit_ms / 1000, (limit_ms % 1000) * 1000};
  ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  ::setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return base::fail(base::Errc::Unavailable, fmt::format("nobody answers at {}: {}",
                                                           socket.string(), std::strerror(errno)));
  }
  return fd;
}

}  // namespace

bool accepts(const std::filesystem::path& socket) {
  return connect_to(socket, 1'000).has_value();
}

base::Result<> ask_ready(const std::filesystem::path& socket, int limit_ms) {
  TRY(const UniqueFd fd, connect_to(socket, limit_ms));
  constexpr std::string_view kRequest =
      "GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
  if (::send(fd.get(), kRequest.data(), kRequest.size(), MSG_NOSIGNAL) !=
      static_cast<ssize_t>(kRequest.size())) {
    return base::fail(base::Errc::Unavailable, fmt::format("{} takes no request", socket.string()));
  }
  std::string answer;
  char buffer[4096];
  while (answer.size() < kAnswerBytesMax) {
    const ssize_t got = ::recv(fd.get(), buffer, sizeof buffer, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    answer.append(buffer, static_cast<std::size_t>(got));
  }
  if (answer.starts_with("HTTP/1.1 200 ")) return {};
  if (!answer.starts_with("HTTP/1.1 ")) {
    return base::fail(base::Errc::Unavailable, fmt::format("{} gives no answer", socket.string()));
  }
  const auto body = answer.find("\r\n\r\n");
  std::string why = body == std::string::npos ? "" : answer.substr(body + 4);
  while (!why.empty() && (why.back() == '\n' || why.back() == '\r')) why.pop_back();
  return base::fail(base::Errc::FailedPrecondition,
                    fmt::format("not ready: {}", why.empty() ? answer.substr(9, 3) : why));
}

}  // namespace cli::dev
