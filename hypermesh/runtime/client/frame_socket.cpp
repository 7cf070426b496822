#include "runtime/client/frame_socket.hpp"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace hypermesh {

using keeper::kFrameFdsMax;
using keeper::kFrameHeaderBytes;

base::Result<bool> FrameReader::read(int socket) {
  std::array<std::uint8_t, 16'384> buffer;
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int) * kFrameFdsMax)> control;
  iovec part{buffer.data(), buffer.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  const ssize_t count = ::recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
  if (count < 0 && (errno == EAGAIN || errno == EINTR)) return errno == EINTR;
  if (count < 0) return base::fail_errno(errno, "cannot read from the keeper");
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header; header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    for (std::size_t i = 0; i < (header->cmsg_len - CMSG_LEN(0)) / sizeof(int); ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(header) + i * sizeof(int), sizeof fd);
      fds_.emplace_back(fd);
    }
  }
  if (count == 0) return base::fail(base::Errc::Unavailable, "the keeper closed the connection");
  bytes_.insert(bytes_.end(), buffer.begin(), buffer.begin() + count);
  return true;
}

base::Result<std::optional<Frame>> FrameReader::next() {
  const base::BytesView bytes(bytes_);
  if (bytes.size() < kFrameHeaderBytes) return std::optional<Frame>();
  Frame frame;
  TRY(frame.header, keeper::decode_header(bytes.first(kFrameHeaderBytes)));
  const std::size_t total = kFrameHeaderBytes + frame.header.body_bytes;
  if (bytes.size() < total) return std::optional<Frame>();
  if (fds_.size() < frame.header.fds)
    return base::fail(base::Errc::DataLoss, "a frame lacks its descriptors");
  frame.body.assign(bytes_.begin() + kFrameHeaderBytes,
                    bytes_.begin() + static_cast<std::ptrdiff_t>(total));
  for (std::size_t i = 0; i < frame.header.fds; ++i) {
    frame.fds.push_back(std::move(fds_.front()));
    fds_.pop_front();
  }
  bytes_.erase(bytes_.begin(), bytes_.begin() + static_cast<std::ptrdiff_t>(total));
  return std::optional<Frame>(std::move(frame));
}

FrameWriter::FrameWriter(keeper::FrameKind kind, std::uint64_t id, const base::Bytes& body,
                         std::vector<UniqueFd> with)
    : fds(std::move(with)) {
  const auto header = keeper::encode_header(
      {static_cast<std::uint32_t>(body.size()), kind, static_cast<std::uint8_t>(fds.size()), id});
  bytes.reserve(header.size() + body.size());
  bytes.insert(bytes.end(), header.begin(), header.end());
  bytes.insert(bytes.end(), body.begin(), body.end());
}

base::Result<bool> FrameWriter::write(int socket) {
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int) * kFrameFdsMax)> control{};
  iovec part{bytes.data() + sent, bytes.size() - sent};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (!fds.empty()) {
    message.msg_control = control.data();
    message.msg_controllen = CMSG_SPACE(sizeof(int) * fds.size());
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int) * fds.size());
    for (std::size_t i = 0; i < fds.size(); ++i) {
      const int fd = fds[i].get();
      std::memcpy(CMSG_DATA(header) + i * sizeof(int), &fd, sizeof fd);
    }
  }
  const ssize_t count = ::sendmsg(socket, &message, MSG_NOSIGNAL);
  if (count < 0 && (errno == EAGAIN || errno == EINTR)) return false;
  if (count < 0) return base::fail_errno(errno, "cannot write to the keeper");
  fds.clear();
  sent += static_cast<std::size_t>(count);
  return sent == bytes.size();
}

base::Result<UniqueFd> connect_unix(const std::string& path, bool blocking) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) {
    return base::fail(base::Errc::InvalidArgument,
                      fmt::format("the path of a socket is too long: {}", path));
  }
  std::memcpy(address.sun_path, path.c_str(), path.size());
  UniqueFd socket(
      ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | (blocking ? 0 : SOCK_NONBLOCK), 0));
  if (!socket ||
      ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    base::Error error =
        base::errno_error(errno, fmt::format("the keeper does not answer at {}", path));
    error.code = base::Errc::Unavailable;
    return std::unexpected(std::move(error));
  }
  return socket;
}

}  // namespace hypermesh
