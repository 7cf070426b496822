#include "transport/quic/udp_socket.hpp"

#include <fmt/format.h>
#include <netinet/udp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace stoq::quic {

using base::Errc;
using base::Result;

namespace {

constexpr std::size_t kBurstBytes = 65'536;
// Without GRO: datagrams in one call, and room for each.
constexpr std::size_t kMany = 64, kDatagramBytes = 9'216;

struct alignas(cmsghdr) Control {
  char bytes[CMSG_SPACE(sizeof(in6_pktinfo)) + CMSG_SPACE(sizeof(int)) + CMSG_SPACE(sizeof(int)) +
             CMSG_SPACE(sizeof(std::uint16_t))];
};

template <class T>
void put(msghdr& message, int level, int type, const T& value) {
  auto* header =
      reinterpret_cast<cmsghdr*>(static_cast<char*>(message.msg_control) + message.msg_controllen);
  header->cmsg_level = level;
  header->cmsg_type = type;
  header->cmsg_len = CMSG_LEN(sizeof value);
  std::memcpy(CMSG_DATA(header), &value, sizeof value);
  message.msg_controllen += CMSG_SPACE(sizeof value);
}

// What the kernel tells about a message beside its bytes.
struct Around {
  Path path;
  std::uint8_t ecn = 0;
  std::size_t segment_bytes = 0;
};

Around around(msghdr& message, const sockaddr_in6& from, const sockaddr_in6& local) {
  Around found;
  found.path.remote = from;
  found.path.local = local;
  for (cmsghdr* at = CMSG_FIRSTHDR(&message); at != nullptr; at = CMSG_NXTHDR(&message, at)) {
    if (at->cmsg_level == IPPROTO_IPV6 && at->cmsg_type == IPV6_PKTINFO) {
      in6_pktinfo info;
      std::memcpy(&info, CMSG_DATA(at), sizeof info);
      found.path.local.sin6_addr = info.ipi6_addr;
    } else if (at->cmsg_level == IPPROTO_IPV6 && at->cmsg_type == IPV6_TCLASS) {
      int traffic_class;
      std::memcpy(&traffic_class, CMSG_DATA(at), sizeof traffic_class);
      found.ecn = static_cast<std::uint8_t>(traffic_class & 3);
    } else if (at->cmsg_level == SOL_UDP && at->cmsg_type == UDP_GRO) {
      int bytes;
      std::memcpy(&bytes, CMSG_DATA(at), sizeof bytes);
      found.segment_bytes = static_cast<std::size_t>(bytes);
    }
  }
  return found;
}

void set(int fd, int level, int option, int value) {
  // What a kernel does not know costs speed only.
  (void)setsockopt(fd, level, option, &value, sizeof value);
}

}  // namespace

Result<std::unique_ptr<UdpSocket>> UdpSocket::open(const sockaddr_in6& address,
                                                   const Options& options) {
  const int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_UDP);
  if (fd < 0) return base::fail_errno(errno, "a UDP socket");
  std::unique_ptr<UdpSocket> made(new UdpSocket(fd, address));
  set(fd, IPPROTO_IPV6, IPV6_V6ONLY, options.only_v6 ? 1 : 0);
  set(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
  set(fd, IPPROTO_IPV6, IPV6_RECVTCLASS, 1);
  // QUIC finds the path's limit itself (RFC 9000, section 14): no fragments.
  set(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_PROBE);
  set(fd, IPPROTO_IPV6, IPV6_DONTFRAG, 1);
  for (const int force : {SO_RCVBUF, SO_RCVBUFFORCE})
    set(fd, SOL_SOCKET, force, options.buffer_bytes);
  for (const int force : {SO_SNDBUF, SO_SNDBUFFORCE})
    set(fd, SOL_SOCKET, force, options.buffer_bytes);
  if (options.reuse_port) {
    const int on = 1;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) != 0)
      return base::fail_errno(errno, "several sockets on one port");
  }
  if (bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    const int error = errno;
    const auto what = fmt::format("UDP port {}", ntohs(address.sin6_port));
    if (error == EADDRINUSE)
      return base::fail(Errc::FailedPrecondition, what + " is in use by another program");
    if (error == EADDRNOTAVAIL)
      return base::fail(Errc::FailedPrecondition, what + ": the address is not of this machine");
    return base::fail_errno(error, what);
  }
  socklen_t size = sizeof made->local_;
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&made->local_), &size) != 0)
    return base::fail_errno(errno, "a UDP socket's address");
  if (options.offload) {
    const int on = 1;
    made->gro_ = setsockopt(fd, SOL_UDP, UDP_GRO, &on, sizeof on) == 0;
    int segment = 0;
    size = sizeof segment;
    made->gso_ = getsockopt(fd, SOL_UDP, UDP_SEGMENT, &segment, &size) == 0;
  }
  made->buffer_.resize(made->gro_ ? kBurstBytes : kMany * kDatagramBytes);
  return made;
}

Result<sockaddr_in6> UdpSocket::local_towards(const sockaddr_in6& to) const {
  if (!IN6_IS_ADDR_UNSPECIFIED(&local_.sin6_addr)) return local_;
  // Connecting a UDP socket sends nothing; it looks up the route.
  const int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, IPPROTO_UDP);
  if (fd < 0) return base::fail_errno(errno, "a UDP socket");
  set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
  sockaddr_in6 found{};
  socklen_t size = sizeof found;
  const bool known = connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0 &&
                     getsockname(fd, reinterpret_cast<sockaddr*>(&found), &size) == 0;
  const int error = errno;
  close(fd);
  if (!known)
    return base::fail(Errc::Unavailable,
                      fmt::format("no way to the peer: {}", std::strerror(error)));
  found.sin6_port = local_.sin6_port;
  return found;
}

UdpSocket::~UdpSocket() {
  close(fd_);
}

UdpSocket::Sent UdpSocket::send(Burst& burst) {
  bool in_pieces = !gso_, refused = false, no_way = false;
  while (burst.bytes > 0) {
    const bool together = !in_pieces && burst.bytes > burst.segment_bytes;
    const std::size_t bytes = together ? burst.bytes : std::min(burst.bytes, burst.segment_bytes);
    iovec vector{burst.data, bytes};
    Control control;
    msghdr message{};
    message.msg_name = &burst.path.remote;
    message.msg_namelen = sizeof burst.path.remote;
    message.msg_iov = &vector;
    message.msg_iovlen = 1;
    message.msg_control = control.bytes;
    if (!IN6_IS_ADDR_UNSPECIFIED(&burst.path.local.sin6_addr)) {
      in6_pktinfo info{};
      info.ipi6_addr = burst.path.local.sin6_addr;
      put(message, IPPROTO_IPV6, IPV6_PKTINFO, info);
    }
    if (burst.ecn != 0) put(message, IPPROTO_IPV6, IPV6_TCLASS, static_cast<int>(burst.ecn));
    if (together)
      put(message, SOL_UDP, UDP_SEGMENT, static_cast<std::uint16_t>(burst.segment_bytes));
    if (message.msg_controllen == 0) message.msg_control = nullptr;
    if (sendmsg(fd_, &message, 0) < 0) {
      if (errno == EINTR) continue;
      if (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS) return Sent::Blocked;
      // A device without segmentation says so only now, but an address that we no longer have is
      // EINVAL as well: the pieces tell.
      if (together && (errno == EIO || errno == EINVAL || errno == EOPNOTSUPP)) {
        in_pieces = refused = true;
        continue;
      }
      // Too large for the path, no route, refused by a filter: lost.
      no_way |= errno == EINVAL || errno == EADDRNOTAVAIL || errno == ENETUNREACH ||
                errno == EHOSTUNREACH || errno == ENETDOWN;
    } else if (refused) {
      gso_ = false;
    }
    burst.data += bytes;
    burst.bytes -= bytes;
  }
  return no_way ? Sent::NoWay : Sent::All;
}

bool UdpSocket::receive(const Handler& handler, int calls_max, std::size_t bytes_max) {
  std::size_t bytes = 0;
  for (int call = 0; call < calls_max && bytes < bytes_max; ++call) {
    const std::size_t more = gro_ ? receive_burst(handler) : receive_many(handler);
    if (more == 0) return false;
    bytes += more;
  }
  return true;
}

namespace {

// An ICMP error about an earlier datagram concerns no socket that serves many peers, and an empty
// datagram nobody: there may be more behind them.
constexpr std::size_t kNothingYet = 1;

std::size_t after_failure(int error) {
  return error == EINTR || error == ECONNREFUSED ? kNothingYet : 0;
}

}  // namespace

std::size_t UdpSocket::receive_burst(const Handler& handler) {
  sockaddr_in6 from;
  iovec vector{buffer_.data(), buffer_.size()};
  Control control;
  msghdr message{};
  message.msg_name = &from;
  message.msg_namelen = sizeof from;
  message.msg_iov = &vector;
  message.msg_iovlen = 1;
  message.msg_control = control.bytes;
  message.msg_controllen = sizeof control.bytes;
  const ssize_t got = recvmsg(fd_, &message, 0);
  if (got < 0) return after_failure(errno);
  if (got == 0) return kNothingYet;
  const auto size = static_cast<std::size_t>(got);
  const Around found = around(message, from, local_);
  handler(found.path, found.ecn, base::BytesView(buffer_).first(size),
          found.segment_bytes != 0 ? found.segment_bytes : size);
  return size;
}

std::size_t UdpSocket::receive_many(const Handler& handler) {
  sockaddr_in6 from[kMany];
  iovec vectors[kMany];
  Control controls[kMany];
  mmsghdr messages[kMany];
  for (std::size_t i = 0; i < kMany; ++i) {
    vectors[i] = {buffer_.data() + i * kDatagramBytes, kDatagramBytes};
    messages[i] = {};
    messages[i].msg_hdr.msg_name = &from[i];
    messages[i].msg_hdr.msg_namelen = sizeof from[i];
    messages[i].msg_hdr.msg_iov = &vectors[i];
    messages[i].msg_hdr.msg_iovlen = 1;
    messages[i].msg_hdr.msg_control = controls[i].bytes;
    messages[i].msg_hdr.msg_controllen = sizeof controls[i].bytes;
  }
  const int got = recvmmsg(fd_, messages, kMany, 0, nullptr);
  if (got < 0) return after_failure(errno);
  std::size_t bytes = 0;
  for (int i = 0; i < got; ++i) {
    const std::size_t size = messages[i].msg_len;
    if ((messages[i].msg_hdr.msg_flags & MSG_TRUNC) != 0 || size == 0) continue;
    bytes += size;
    const Around found = around(messages[i].msg_hdr, from[i], local_);
    handler(found.path, found.ecn, {static_cast<const std::uint8_t*>(vectors[i].iov_base), size},
            size);
  }
  return got < static_cast<int>(kMany) ? 0 : std::max(bytes, kNothingYet);
}

}  // namespace stoq::quic
