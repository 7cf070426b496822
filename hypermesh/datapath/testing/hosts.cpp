#include "datapath/testing/hosts.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <cerrno>
#include <csignal>
#include <cstring>

#include "datapath/links.hpp"

namespace hypermesh::datapath::testing {
namespace {

constexpr timeval kPatience{3, 0};

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t size = 0;
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

SocketAddress socket_address(const IpAddress& address, std::uint16_t port) {
  SocketAddress result;
  if (address.is_v6()) {
    auto& in = reinterpret_cast<sockaddr_in6&>(result.storage);
    in.sin6_family = AF_INET6;
    in.sin6_port = htons(port);
    std::memcpy(&in.sin6_addr, address.bytes().data(), 16);
    result.size = sizeof in;
  } else {
    auto& in = reinterpret_cast<sockaddr_in&>(result.storage);
    in.sin_family = AF_INET;
    in.sin_port = htons(port);
    std::memcpy(&in.sin_addr, address.bytes().data(), 4);
    result.size = sizeof in;
  }
  return result;
}

UniqueFd open_socket(int netns, const IpAddress& address, int type) {
  auto fd = socket_in(netns, address.is_v6() ? AF_INET6 : AF_INET, type, 0);
  BASE_ASSERT(fd.has_value(), "a socket in a namespace of the test");
  const int on = 1;
  ::setsockopt(fd->get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  ::setsockopt(fd->get(), SOL_SOCKET, SO_RCVTIMEO, &kPatience, sizeof kPatience);
  ::setsockopt(fd->get(), SOL_SOCKET, SO_SNDTIMEO, &kPatience, sizeof kPatience);
  return std::move(*fd);
}

base::Result<std::string> read_some(int fd) {
  char text[256];
  const ssize_t got = ::recv(fd, text, sizeof text, 0);
  if (got < 0) return base::fail_errno(errno, "recv");
  return std::string(text, static_cast<std::size_t>(got));
}

}  // namespace

void become_the_machine() {
  static const bool done = [] {
    BASE_ASSERT(::unshare(CLONE_NEWNET | CLONE_NEWNS) == 0, "these tests need root");
    BASE_ASSERT(::mount(nullptr, "/", nullptr, MS_REC | MS_SLAVE, nullptr) == 0, "own mounts");
    // As systemd leaves it: what is mounted in one namespace appears in its copies unless they say
    // no.
    BASE_ASSERT(::mount(nullptr, "/", nullptr, MS_REC | MS_SHARED, nullptr) == 0, "shared mounts");
    auto socket = NetlinkSocket::open(NETLINK_ROUTE);
    NetlinkBatch batch;
    change_link(batch, 1, {.up = true});
    BASE_ASSERT(socket && socket->send(batch), "loopback is up");
    return true;
  }();
  BASE_ASSERT(done, "once");
}

base::Result<std::unique_ptr<NodeHolder>> NodeHolder::start(const NodeIsolation& node) {
  int report[2];
  BASE_ASSERT(::pipe2(report, O_CLOEXEC) == 0, "a pipe");
  UniqueFd reader(report[0]), writer(report[1]);
  const pid_t pid = ::fork();
  BASE_ASSERT(pid >= 0, "a process");
  if (pid == 0) {
    reader.reset();
    const auto entered = enter_node_namespaces(node);
    const std::string text = entered ? "ok" : entered.error().describe();
    if (::write(writer.get(), text.data(), text.size()) < 0) ::_exit(1);
    writer.reset();
    for (;;) ::pause();
  }
  writer.reset();
  auto holder = std::make_unique<NodeHolder>();
  holder->pid_ = pid;
  std::string text(4096, '\0');
  const ssize_t got = ::read(reader.get(), text.data(), text.size());
  text.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
  if (text != "ok") return base::fail(base::Errc::Internal, text);
  holder->netns_.reset(::open(fmt::format("/proc/{}/ns/net", pid).c_str(), O_RDONLY | O_CLOEXEC));
  return holder;
}

UniqueFd NodeHolder::mount_namespace() const {
  return UniqueFd(::open(fmt::format("/proc/{}/ns/mnt", pid_).c_str(), O_RDONLY | O_CLOEXEC));
}

void NodeHolder::kill() {
  netns_.reset();
  if (pid_ < 0) return;
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
  pid_ = -1;
}

NodeHolder::~NodeHolder() {
  kill();
}

Responder::Responder(int netns, const IpAddress& address, std::uint16_t port, std::string text)
    : text_(std::move(text)), stop_(::eventfd(0, EFD_CLOEXEC)) {
  tcp_ = open_socket(netns, address, SOCK_STREAM);
  udp_ = open_socket(netns, address, SOCK_DGRAM);
  const SocketAddress at = socket_address(address, port);
  BASE_ASSERT(::bind(tcp_.get(), at.get(), at.size) == 0, "the address is usable at once");
  BASE_ASSERT(::bind(udp_.get(), at.get(), at.size) == 0, "the address is usable at once");
  BASE_ASSERT(::listen(tcp_.get(), 64) == 0, "listening");
  thread_ = std::thread([this] { serve(); });
}

void Responder::serve() {
  for (;;) {
    pollfd waits[] = {{stop_.get(), POLLIN, 0}, {tcp_.get(), POLLIN, 0}, {udp_.get(), POLLIN, 0}};
    if (::poll(waits, 3, -1) < 0) continue;
    if (waits[0].revents != 0) return;
    if (waits[1].revents != 0) {
      sockaddr_storage from{};
      socklen_t size = sizeof from;
      const UniqueFd peer(::accept(tcp_.get(), reinterpret_cast<sockaddr*>(&from), &size));
      char host[INET6_ADDRSTRLEN] = "";
      if (from.ss_family == AF_INET6) {
        ::inet_ntop(AF_INET6, &reinterpret_cast<sockaddr_in6&>(from).sin6_addr, host, sizeof host);
      } else {
        ::inet_ntop(AF_INET, &reinterpret_cast<sockaddr_in&>(from).sin_addr, host, sizeof host);
      }
      const std::string answer = text_ + " to " + host;
      if (peer) (void)::send(peer.get(), answer.data(), answer.size(), MSG_NOSIGNAL);
    }
    if (waits[2].revents != 0) {
      char request[64];
      sockaddr_storage from{};
      socklen_t size = sizeof from;
      if (::recvfrom(udp_.get(), request, sizeof request, 0, reinterpret_cast<sockaddr*>(&from),
                     &size) >= 0) {
        (void)::sendto(udp_.get(), text_.data(), text_.size(), 0,
                       reinterpret_cast<const sockaddr*>(&from), size);
      }
    }
  }
}

Responder::~Responder() {
  const std::uint64_t one = 1;
  BASE_ASSERT(::write(stop_.get(), &one, sizeof one) == sizeof one, "the thread is told");
  thread_.join();
}

base::Result<std::string> ask_tcp(int netns, const IpAddress& address, std::uint16_t port) {
  const UniqueFd fd = open_socket(netns, address, SOCK_STREAM);
  const SocketAddress at = socket_address(address, port);
  if (::connect(fd.get(), at.get(), at.size) != 0) return base::fail_errno(errno, "connect");
  return read_some(fd.get());
}

UdpClient::UdpClient(int netns, const IpAddress& server, std::uint16_t port)
    : fd_(open_socket(netns, server, SOCK_DGRAM)) {
  const SocketAddress at = socket_address(server, port);
  if (::connect(fd_.get(), at.get(), at.size) != 0) refused_ = errno;
}

base::Result<> UdpClient::say() {
  if (refused_ != 0) return base::fail_errno(refused_, "connect");
  if (::send(fd_.get(), "?", 1, 0) < 0) return base::fail_errno(errno, "send");
  return {};
}

base::Result<std::string> UdpClient::ask() {
  TRY_DO(say());
  return read_some(fd_.get());
}

base::Result<std::string> ask_udp(int netns, const IpAddress& address, std::uint16_t port) {
  return UdpClient(netns, address, port).ask();
}

base::Result<> say_udp(int netns, const IpAddress& address, std::uint16_t port) {
  return UdpClient(netns, address, port).say();
}

}  // namespace hypermesh::datapath::testing
