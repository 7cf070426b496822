// etcd_failover --endpoints MEMBER,... --kill PID: writes to all those members all the time, kills
// the process of another one, the leader (SIGKILL), and prints the milliseconds from there to the
// acknowledgement of a write that began after it. A write begins every 10 ms at each: what was
// handed to a leader that is gone is not waited for.

#include <CLI/CLI.hpp>
#include <array>
#include <csignal>

#include "etcd_connection.hpp"

namespace {

using namespace bench;
using namespace std::chrono_literals;
using base::MonotonicTime;

constexpr base::Duration kBefore = 500ms, kEvery = 10ms, kLimit = 30s;
constexpr int kEventsMax = 16;
constexpr std::size_t kReadBytes = 64u << 10;

base::Result<double> measure(const std::vector<std::string>& endpoints, pid_t victim) {
  const base::SystemClock clock;
  const MonotonicTime begin = clock.now();
  MonotonicTime killed = MonotonicTime::max(), back = MonotonicTime::max();
  std::uint64_t acknowledged = 0;
  // What fails was under way when its leader died; the next one tells.
  const auto ended = [&](const Operation& operation, const base::Result<>& outcome) {
    if (!outcome) return;
    ++acknowledged;
    if (operation.began >= killed) back = std::min(back, clock.now());
  };
  const int epoll = epoll_create1(EPOLL_CLOEXEC);
  if (epoll < 0) return base::fail_errno(errno, "epoll_create1");
  std::vector<std::unique_ptr<EtcdConnection>> members;
  for (std::uint32_t i = 0; i < endpoints.size(); ++i) {
    members.push_back(std::make_unique<EtcdConnection>(endpoints[i], ended));
    TRY_DO(members.back()->connect(epoll, i));
  }
  std::uint64_t number = 0;
  base::Bytes room(kReadBytes);
  std::array<epoll_event, kEventsMax> events{};
  for (MonotonicTime next = begin; back == MonotonicTime::max();) {
    const auto now = clock.now();
    if (now > begin + kLimit)
      return base::fail(base::Errc::TimedOut, "no write was acknowledged after the kill");
    if (now >= begin + kBefore && killed == MonotonicTime::max()) {
      if (acknowledged == 0) return base::fail(base::Errc::Unavailable, "nothing is written");
      killed = clock.now();
      if (kill(victim, SIGKILL) != 0) return base::fail_errno(errno, "kill the leader");
    }
    if (now >= next) {
      next = now + kEvery;
      for (std::uint32_t i = 0; i < members.size(); ++i) {
        Operation put{.key = key_of(number++), .value = {}, .began = clock.now()};
        TRY_DO(members[i]->begin(put));
        TRY_DO(members[i]->send(epoll, i));
      }
    }
    const int count = epoll_wait(epoll, events.data(), kEventsMax, 1);
    if (count < 0 && errno != EINTR) return base::fail_errno(errno, "epoll_wait");
    for (int i = 0; i < count; ++i) {
      const std::uint32_t member = events[i].data.u32;
      if ((events[i].events & ~EPOLLOUT) != 0) TRY_DO(members[member]->receive(room));
      TRY_DO(members[member]->send(epoll, member));
    }
  }
  close(epoll);
  return std::chrono::duration<double, std::milli>(back - killed).count();
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Kills etcd's leader; prints the milliseconds until a write is acknowledged again.");
  std::vector<std::string> endpoints;
  pid_t victim = 0;
  app.add_option("--endpoints", endpoints, "The other members, as 127.0.0.1:2379,...")
      ->delimiter(',')
      ->required();
  app.add_option("--kill", victim, "The leader's process")->required();
  CLI11_PARSE(app, argc, argv);
  const auto took = measure(endpoints, victim);
  if (!took) {
    fmt::print(stderr, "etcd_failover: {}\n", took.error().describe());
    return 1;
  }
  fmt::print("{:.1f}\n", *took);
}
