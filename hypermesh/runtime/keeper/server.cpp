#include "runtime/keeper/server.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace hypermesh::keeper {
namespace {

using base::Errc;

constexpr std::size_t kReadBytes = 64u << 10;
constexpr std::size_t kWaitingFdsMax = 64;  // received, and not yet taken by a whole frame

struct Outgoing {
  base::Bytes bytes;
  std::size_t sent = 0;
  std::vector<UniqueFd> fds;  ///< Go with the first byte.
};

}  // namespace

struct Server::Connection {
  ConnectionId id = 0;
  UniqueFd socket;
  bool greeted = false;
  base::Bytes incoming;
  std::deque<UniqueFd> fds;
  std::deque<Outgoing> outgoing;
  std::size_t outgoing_bytes = 0;
  std::size_t requests = 0;
};

Server::Server(ServerOptions options, Loop& loop, base::Log log)
    : options_(std::move(options)), loop_(loop), log_(std::move(log)) {
  if (::getrandom(&incarnation_, sizeof incarnation_, 0) != sizeof incarnation_)
    incarnation_ = static_cast<std::uint64_t>(::getpid());
}

Server::~Server() {
  close();
}

void Server::close() {
  while (!connections_.empty()) drop(*connections_.begin()->second, "the keeper ends");
  if (listener_) {
    loop_.unwatch(listener_.get());
    listener_.reset();
    ::unlink(options_.socket_path.c_str());
  }
}

base::Result<> Server::serve(Keeper& keeper) {
  keeper_ = &keeper;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (options_.socket_path.size() >= sizeof address.sun_path) {
    return base::fail(Errc::InvalidArgument,
                      fmt::format("the path of the socket is longer than {} bytes: {}",
                                  sizeof address.sun_path - 1, options_.socket_path));
  }
  std::memcpy(address.sun_path, options_.socket_path.c_str(), options_.socket_path.size());
  // The lock on the state folder is held: a socket that is there already is a dead one.
  ::unlink(options_.socket_path.c_str());
  listener_.reset(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const mode_t before = ::umask(0177);
  const bool bound =
      listener_ &&
      ::bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  const int why = errno;
  ::umask(before);
  if (!bound)
    return base::fail_errno(why, fmt::format("cannot listen at {}", options_.socket_path));
  TRY_DO(give_socket());
  if (::listen(listener_.get(), 16) != 0)
    return base::fail_errno(errno, fmt::format("cannot listen at {}", options_.socket_path));
  return loop_.watch(listener_.get(), EPOLLIN, [this](std::uint32_t) { accept_clients(); });
}

/// The folder may be the client's own, who could have put something else in the socket's place.
base::Result<> Server::give_socket() {
  const UniqueFd socket(::open(options_.socket_path.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  struct stat status{};
  if (!socket || ::fstat(socket.get(), &status) != 0)
    return base::fail_errno(errno, fmt::format("cannot listen at {}", options_.socket_path));
  if (!S_ISSOCK(status.st_mode) || status.st_nlink != 1 || status.st_uid != ::geteuid()) {
    return base::fail(Errc::FailedPrecondition,
                      fmt::format("another program replaced {}", options_.socket_path));
  }
  if (::fchownat(socket.get(), "", options_.client_uid, options_.client_gid, AT_EMPTY_PATH) != 0) {
    return base::fail_errno(errno, fmt::format("cannot set the owner of {}", options_.socket_path));
  }
  return {};
}

void Server::accept_clients() {
  for (;;) {
    UniqueFd socket(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!socket) return;
    ucred peer{};
    socklen_t size = sizeof peer;
    const bool known = ::getsockopt(socket.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0;
    if (!known || (peer.uid != 0 && peer.uid != options_.client_uid)) {
      log_.warning("a stranger was turned away", {{"uid", peer.uid}, {"pid", peer.pid}});
      continue;
    }
    if (connections_.size() >= kConnectionsMax) {
      log_.warning("too many clients", {{"pid", peer.pid}});
      continue;
    }
    auto connection = std::make_shared<Connection>();
    connection->id = next_connection_++;
    connection->socket = std::move(socket);
    const auto watched =
        loop_.watch(connection->socket.get(), EPOLLIN,
                    [this, weak = std::weak_ptr<Connection>(connection)](std::uint32_t events) {
                      if (const auto alive = weak.lock()) on_ready(alive, events);
                    });
    if (watched) connections_[connection->id] = std::move(connection);
  }
}

void Server::on_ready(const std::shared_ptr<Connection>& connection, std::uint32_t events) {
  if (events & EPOLLOUT) flush(*connection);
  if (!connection->socket || !(events & (EPOLLIN | EPOLLHUP | EPOLLERR))) return;
  if (!read_some(*connection)) return;
  while (connection->socket && next_frame(connection)) {
  }
}

bool Server::read_some(Connection& connection) {
  std::array<std::uint8_t, kReadBytes> buffer;
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int) * kFrameFdsMax)> control;
  iovec part{buffer.data(), buffer.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  const ssize_t count =
      ::recvmsg(connection.socket.get(), &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  if (count < 0 && (errno == EAGAIN || errno == EINTR)) return false;
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); count >= 0 && header;
       header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t fds = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < fds; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(header) + i * sizeof(int), sizeof fd);
      connection.fds.emplace_back(fd);
    }
  }
  if (count <= 0) {
    drop(connection, "");
    return false;
  }
  if (connection.fds.size() > kWaitingFdsMax || (message.msg_flags & MSG_CTRUNC)) {
    drop(connection, "more descriptors than frames");
    return false;
  }
  connection.incoming.insert(connection.incoming.end(), buffer.begin(), buffer.begin() + count);
  return true;
}

bool Server::next_frame(const std::shared_ptr<Connection>& connection) {
  const base::BytesView bytes(connection->incoming);
  if (bytes.size() < kFrameHeaderBytes) return false;
  const auto header = decode_header(bytes.first(kFrameHeaderBytes));
  if (!header) {
    drop(*connection, header.error().message);
    return false;
  }
  const std::size_t total = kFrameHeaderBytes + header->body_bytes;
  if (bytes.size() < total) {
    connection->incoming.reserve(total);
    return false;
  }
  if (!take_frame(connection, *header, bytes.subspan(kFrameHeaderBytes, header->body_bytes)))
    return false;
  connection->incoming.erase(connection->incoming.begin(),
                             connection->incoming.begin() + static_cast<std::ptrdiff_t>(total));
  // A pod's large ConfigMaps pass through here once; the room for them is not kept.
  if (connection->incoming.empty() && connection->incoming.capacity() > kReadBytes)
    connection->incoming = base::Bytes();
  return true;
}

bool Server::take_frame(const std::shared_ptr<Connection>& connection, const FrameHeader& header,
                        base::BytesView body) {
  if (connection->fds.size() < header.fds) {
    drop(*connection, "a frame lacks its descriptors");
    return false;
  }
  std::vector<UniqueFd> fds;
  for (std::size_t i = 0; i < header.fds; ++i) {
    fds.push_back(std::move(connection->fds.front()));
    connection->fds.pop_front();
  }
  if (!connection->greeted) {
    if (header.kind == FrameKind::Hello) return greet(*connection, body);
    drop(*connection, "it did not greet");
    return false;
  }
  if (header.kind != FrameKind::Request) {
    drop(*connection, "it sent something else than a request");
    return false;
  }
  auto request = decode_request(body);
  if (!request) {
    // One bad request is answered; its frame was whole, so the next one can be found.
    send(*connection, FrameKind::Reply, header.id, encode_reply(Failed{std::move(request).error()}),
         {});
    return static_cast<bool>(connection->socket);
  }
  if (connection->requests >= kRequestsAtOnceMax) {
    send(*connection, FrameKind::Reply, header.id,
         encode_reply(
             Failed{base::make_error(Errc::ResourceExhausted, "too many requests at once")}),
         {});
    return static_cast<bool>(connection->socket);
  }
  spawn(serve_request(connection, header.id, *std::move(request), std::move(fds)));
  return static_cast<bool>(connection->socket);
}

bool Server::greet(Connection& connection, base::BytesView body) {
  const auto hello = decode_hello(body);
  if (!hello) {
    drop(connection, hello.error().message);
    return false;
  }
  const auto version = choose_version(*hello);
  if (!version) {
    send(connection, FrameKind::Reply, 0, encode_reply(Failed{version.error()}), {});
    drop(connection, version.error().message);
    return false;
  }
  connection.greeted = true;
  Welcome welcome;
  welcome.version = *version;
  welcome.incarnation = incarnation_;
  welcome.oci_runtime = keeper_->oci_runtime();
  welcome.cgroups = keeper_->cgroup_version() == CgroupVersion::V1 ? "v1" : "v2";
  welcome.log_folder = keeper_->log_folder();
  send(connection, FrameKind::Welcome, 0, encode_welcome(welcome), {});
  log_.info("a client greets", {{"client", hello->client.substr(0, 64)}, {"version", *version}});
  return static_cast<bool>(connection.socket);
}

Job<void> Server::serve_request(std::shared_ptr<Connection> connection, std::uint64_t id,
                                Request request, std::vector<UniqueFd> fds) {
  ++connection->requests;
  Answer answer = co_await keeper_->handle(connection->id, std::move(request), std::move(fds));
  --connection->requests;
  if (connection->socket)
    send(*connection, FrameKind::Reply, id, encode_reply(answer.reply), std::move(answer.fds));
  if (keeper_->powered_off() && power_off_) loop_.post(std::exchange(power_off_, nullptr));
}

void Server::tell_all(const Event& event) {
  const base::Bytes body = encode_event(event);
  const auto connections = connections_;
  for (const auto& [id, connection] : connections) {
    if (connection->greeted && connection->socket) send(*connection, FrameKind::Event, 0, body, {});
  }
}

void Server::tell(ConnectionId id, std::uint64_t session, const SessionEnded& event) {
  const auto found = connections_.find(id);
  if (found == connections_.end()) return;
  const auto connection = found->second;
  send(*connection, FrameKind::Event, session, encode_event(event), {});
}

void Server::send(Connection& connection, FrameKind kind, std::uint64_t id, const base::Bytes& body,
                  std::vector<UniqueFd> fds) {
  if (body.size() + kFrameHeaderBytes > kFrameBytesMax) {
    return drop(connection, fmt::format("an answer of {} bytes fits into no frame", body.size()));
  }
  const auto header = encode_header(
      {static_cast<std::uint32_t>(body.size()), kind, static_cast<std::uint8_t>(fds.size()), id});
  Outgoing frame;
  frame.bytes.reserve(header.size() + body.size());
  frame.bytes.insert(frame.bytes.end(), header.begin(), header.end());
  frame.bytes.insert(frame.bytes.end(), body.begin(), body.end());
  frame.fds = std::move(fds);
  connection.outgoing_bytes += frame.bytes.size();
  connection.outgoing.push_back(std::move(frame));
  if (connection.outgoing_bytes > kOutgoingBytesMax) return drop(connection, "it does not read");
  flush(connection);
}

void Server::flush(Connection& connection) {
  while (!connection.outgoing.empty()) {
    Outgoing& frame = connection.outgoing.front();
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int) * kFrameFdsMax)> control{};
    iovec part{frame.bytes.data() + frame.sent, frame.bytes.size() - frame.sent};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    if (!frame.fds.empty()) {
      message.msg_control = control.data();
      message.msg_controllen = CMSG_SPACE(sizeof(int) * frame.fds.size());
      cmsghdr* header = CMSG_FIRSTHDR(&message);
      header->cmsg_level = SOL_SOCKET;
      header->cmsg_type = SCM_RIGHTS;
      header->cmsg_len = CMSG_LEN(sizeof(int) * frame.fds.size());
      for (std::size_t i = 0; i < frame.fds.size(); ++i) {
        const int fd = frame.fds[i].get();
        std::memcpy(CMSG_DATA(header) + i * sizeof(int), &fd, sizeof fd);
      }
    }
    const ssize_t count = ::sendmsg(connection.socket.get(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno == EAGAIN) break;
    if (count < 0) return drop(connection, "");
    frame.fds.clear();
    frame.sent += static_cast<std::size_t>(count);
    connection.outgoing_bytes -= static_cast<std::size_t>(count);
    if (frame.sent == frame.bytes.size()) connection.outgoing.pop_front();
  }
  loop_.change(connection.socket.get(), connection.outgoing.empty() ? EPOLLIN : EPOLLIN | EPOLLOUT);
}

void Server::drop(Connection& connection, std::string_view why) {
  if (!connection.socket) return;
  if (!why.empty()) log_.warning("a client is cut off", {{"why", why}});
  loop_.unwatch(connection.socket.get());
  connection.socket.reset();
  connection.outgoing.clear();
  const ConnectionId id = connection.id;
  if (keeper_) keeper_->connection_closed(id);
  connections_.erase(id);
}

}  // namespace hypermesh::keeper
