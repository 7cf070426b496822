#include "datapath/netlink_socket.hpp"

#include <fmt/format.h>
#include <linux/netlink.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <cerrno>

#include "datapath/namespaces.hpp"

namespace hypermesh::datapath {
namespace {

// The kernel fills at most 32 KiB a datagram for a dump unless one offers more (netlink(7)).
constexpr std::size_t kDatagramBytesMax = 64 * 1024;
// The kernel answers from within the send; a missing answer is a lost one, and waiting for ever
// helps nobody.
constexpr timeval kAnswerTimeout{5, 0};

base::Error as_error(const NetlinkAnswer& answer, const std::string& what) {
  base::Error error = base::errno_error(answer.error_number, what);
  if (!answer.reason.empty()) error.message += fmt::format(" ({})", answer.reason);
  return error;
}

}  // namespace

base::Result<NetlinkSocket> NetlinkSocket::open(int protocol) {
  UniqueFd fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol));
  if (!fd) return base::fail_errno(errno, "cannot open a netlink socket");
  const int on = 1;
  // Both only improve error texts; an old kernel without them answers all the same.
  (void)::setsockopt(fd.get(), SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof on);
  (void)::setsockopt(fd.get(), SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof on);
  if (::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &kAnswerTimeout, sizeof kAnswerTimeout) !=
      0) {
    return base::fail_errno(errno, "cannot set the timeout of a netlink socket");
  }
  sockaddr_nl self{};
  self.nl_family = AF_NETLINK;
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&self), sizeof self) != 0) {
    return base::fail_errno(errno, "cannot bind a netlink socket");
  }
  return NetlinkSocket(std::move(fd));
}

base::Result<NetlinkSocket> NetlinkSocket::open_in(int netns, int protocol) {
  TRY(const InNetworkNamespace inside, InNetworkNamespace::enter(netns));
  return open(protocol);
}

base::Result<std::uint32_t> NetlinkSocket::write(const NetlinkBatch& batch) {
  const std::uint32_t first = next_sequence_;
  next_sequence_ += static_cast<std::uint32_t>(batch.size());
  const base::Bytes bytes = batch.numbered(first);
  sockaddr_nl kernel{};
  kernel.nl_family = AF_NETLINK;
  ssize_t sent;
  do {
    sent = ::sendto(fd_.get(), bytes.data(), bytes.size(), 0,
                    reinterpret_cast<const sockaddr*>(&kernel), sizeof kernel);
  } while (sent < 0 && errno == EINTR);
  if (sent < 0) return base::fail_errno(errno, "cannot send to the kernel's netlink");
  return first;
}

base::Result<base::BytesView> NetlinkSocket::read() {
  buffer_.resize(kDatagramBytesMax);
  for (;;) {
    sockaddr_nl from{};
    iovec part{buffer_.data(), buffer_.size()};
    msghdr header{};
    header.msg_name = &from;
    header.msg_namelen = sizeof from;
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    const ssize_t got = ::recvmsg(fd_.get(), &header, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
      return base::fail(base::Errc::TimedOut, "the kernel's netlink did not answer");
    }
    if (got < 0) return base::fail_errno(errno, "cannot read from the kernel's netlink");
    if (from.nl_pid != 0) continue;  // another process may write to us; only the kernel is port 0
    if ((header.msg_flags & MSG_TRUNC) != 0) {
      return base::fail(base::Errc::DataLoss,
                        fmt::format("netlink answer above {} bytes", buffer_.size()));
    }
    return base::BytesView(buffer_).first(static_cast<std::size_t>(got));
  }
}

base::Result<> NetlinkSocket::send(const NetlinkBatch& batch, const TakeMessage& take) {
  TRY(const std::uint32_t first, write(batch));
  base::Result<> outcome;
  for (std::size_t answered = 0; answered < batch.size();) {
    TRY(const base::BytesView datagram, read());
    NetlinkReader reader(datagram);
    for (;;) {
      TRY(const auto message, reader.next());
      if (!message) break;
      if (message->sequence - first >= batch.size()) continue;  // of a request that was given up
      if (message->type != NLMSG_ERROR) {
        if (take && outcome) outcome = take(*message);
        continue;
      }
      if (message->sequence - first != answered) {
        return base::fail(base::Errc::DataLoss,
                          fmt::format("netlink: answer to message {} of {}, {} awaited",
                                      message->sequence - first + 1, batch.size(), answered + 1));
      }
      TRY(const NetlinkAnswer answer, parse_answer(*message));
      if (answer.error_number != 0 && outcome) {
        outcome = std::unexpected(as_error(answer, batch.what(answered)));
      }
      ++answered;
    }
  }
  return outcome;
}

base::Result<> NetlinkSocket::dump(const NetlinkBatch& request, const TakeMessage& take) {
  BASE_ASSERT(request.size() == 1, "one dump at a time");
  TRY(const std::uint32_t sequence, write(request));
  bool interrupted = false;
  base::Result<> outcome;
  // Reads to the end even after an error, so that the next request finds the socket empty.
  for (;;) {
    TRY(const base::BytesView datagram, read());
    NetlinkReader reader(datagram);
    for (;;) {
      TRY(const auto message, reader.next());
      if (!message) break;
      if (message->sequence != sequence) continue;  // of a request that was given up
      interrupted = interrupted || (message->flags & NLM_F_DUMP_INTR) != 0;
      if (message->type == NLMSG_ERROR) {
        TRY(const NetlinkAnswer answer, parse_answer(*message));
        if (answer.error_number == 0) continue;
        return std::unexpected(as_error(answer, request.what(0)));
      }
      if (message->type == NLMSG_DONE) {
        if (outcome && interrupted) {
          return base::fail(base::Errc::Conflict,
                            request.what(0) + ": the table changed while it was read");
        }
        return outcome;
      }
      if (outcome) outcome = take(*message);
    }
  }
}

}  // namespace hypermesh::datapath
