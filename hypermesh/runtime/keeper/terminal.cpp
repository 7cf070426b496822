#include "runtime/keeper/terminal.hpp"

#include <fmt/format.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace hypermesh::keeper {
namespace {

constexpr auto kTimeLimit = std::chrono::seconds(10);

}  // namespace

base::Result<TerminalSocket> TerminalSocket::open(std::string path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  BASE_ASSERT(path.size() < sizeof address.sun_path, "the path of a socket is too long");
  std::memcpy(address.sun_path, path.c_str(), path.size());
  UniqueFd listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  ::unlink(path.c_str());
  if (!listener ||
      ::bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      ::listen(listener.get(), 1) != 0) {
    return base::fail_errno(errno, fmt::format("cannot listen at {}", path));
  }
  return TerminalSocket(std::move(path), std::move(listener));
}

TerminalSocket::~TerminalSocket() {
  if (!path_.empty()) ::unlink(path_.c_str());
}

Job<base::Result<UniqueFd>> TerminalSocket::receive(Loop& loop) {
  if (!co_await loop.ready(listener_.get(), EPOLLIN, kTimeLimit)) {
    co_return base::fail(base::Errc::TimedOut, "the OCI runtime sent no terminal");
  }
  const UniqueFd peer(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!peer || !co_await loop.ready(peer.get(), EPOLLIN, kTimeLimit)) {
    co_return base::fail(base::Errc::TimedOut, "the OCI runtime sent no terminal");
  }
  std::array<char, 256> data{};
  iovec part{data.data(), data.size()};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  if (::recvmsg(peer.get(), &message, MSG_CMSG_CLOEXEC) < 0)
    co_return base::fail_errno(errno, "cannot receive a terminal");
  const cmsghdr* header = CMSG_FIRSTHDR(&message);
  if (!header || header->cmsg_type != SCM_RIGHTS || header->cmsg_len < CMSG_LEN(sizeof(int))) {
    co_return base::fail(base::Errc::Internal,
                         "the OCI runtime sent something else than a terminal");
  }
  int fd = -1;
  std::memcpy(&fd, CMSG_DATA(header), sizeof fd);
  co_return UniqueFd(fd);
}

void set_terminal_size(int terminal, std::uint16_t rows, std::uint16_t columns) {
  winsize size{};
  size.ws_row = rows;
  size.ws_col = columns;
  ::ioctl(terminal, TIOCSWINSZ, &size);
}

}  // namespace hypermesh::keeper
