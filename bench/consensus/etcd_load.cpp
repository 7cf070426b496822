// A load on etcd through its own protocol, gRPC: a connection for each client, spread evenly over
// the members, all on one thread.
//
// etcd_load --endpoints 127.0.0.1:2379,... and the options of load_options.hpp: prints
// "OPERATIONS SECONDS OPERATIONS/S P50 P99 MAX GAP FAILURES", times in microseconds. A failure is
// told and fails the run.

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>

#include "etcd_session.hpp"
#include "load_options.hpp"

namespace {

using namespace bench;

constexpr std::size_t kReadBytes = 64u << 10;
constexpr int kEventsMax = 64, kLookMilliseconds = 50;

/// "127.0.0.1:2379".
base::Result<sockaddr_in> parse_endpoint(const std::string& text) {
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

/// A client's connection.
class Client {
 public:
  Client(Load& load, std::uint32_t number, const std::string& endpoint, const base::Clock& clock)
      : endpoint_(endpoint),
        session_(endpoint, [&load, number, &clock](const Operation& operation, auto outcome) {
          if (outcome) return load.done(number, operation, clock.now());
          load.failed(number, outcome.error().describe());
        }) {}

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

base::Result<> give_work(Load& load, Client& client, std::uint32_t number, int epoll,
                         const base::Clock& clock) {
  while (const auto operation = load.next(number, clock.now())) TRY_DO(client.begin(*operation));
  return client.send(epoll, number);
}

base::Result<Report> run(const LoadOptions& options, const std::vector<std::string>& endpoints) {
  const base::SystemClock clock;
  const int epoll = epoll_create1(EPOLL_CLOEXEC);
  if (epoll < 0) return base::fail_errno(errno, "epoll_create1");
  Load load(options, clock.now());
  std::vector<std::unique_ptr<Client>> clients;
  for (std::uint32_t i = 0; i < options.clients; ++i) {
    const std::string& endpoint = endpoints[i % endpoints.size()];
    TRY_DO(clients.emplace_back(std::make_unique<Client>(load, i, endpoint, clock))
               ->connect(epoll, i));
  }
  for (std::uint32_t i = 0; i < options.clients; ++i)
    TRY_DO(give_work(load, *clients[i], i, epoll, clock));

  base::Bytes room(kReadBytes);
  std::array<epoll_event, kEventsMax> events{};
  while (!load.over(clock.now())) {
    if (load.stuck(clock.now()))
      return base::fail(base::Errc::TimedOut,
                        fmt::format("no answer for {} s", kAnswerMax.count()));
    const int count = epoll_wait(epoll, events.data(), kEventsMax, kLookMilliseconds);
    if (count < 0 && errno != EINTR) return base::fail_errno(errno, "epoll_wait");
    for (int i = 0; i < count; ++i) {
      const std::uint32_t number = events[i].data.u32;
      if ((events[i].events & ~EPOLLOUT) != 0) TRY_DO(clients[number]->receive(room));
      TRY_DO(give_work(load, *clients[number], number, epoll, clock));
    }
  }
  close(epoll);
  if (!load.failure().empty()) fmt::print(stderr, "etcd_load: {}\n", load.failure());
  return load.report();
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app(
      "A closed-loop load on etcd. Prints operations, seconds, operations/s, p50, p99, "
      "maximum, longest gap (microseconds) and failures.");
  LoadOptions options;
  add_load_options(app, options);
  std::vector<std::string> endpoints;
  app.add_option("--endpoints", endpoints, "Members, as 127.0.0.1:2379,...")
      ->delimiter(',')
      ->required();
  CLI11_PARSE(app, argc, argv);
  const auto report = run(options, endpoints);
  if (!report) {
    fmt::print(stderr, "etcd_load: {}\n", report.error().describe());
    return 1;
  }
  fmt::print("{}\n", report->line());
  return report->failures == 0 ? 0 : 1;
}
