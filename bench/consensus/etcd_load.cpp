// A load on etcd through its own protocol, gRPC: a connection for each client, spread evenly over
// the members, all on one thread.
//
// etcd_load --endpoints 127.0.0.1:2379,... and the options of load_options.hpp: prints
// "OPERATIONS SECONDS OPERATIONS/S P50 P99 MAX GAP FAILURES", times in microseconds. A failure is
// told and fails the run.

#include <fmt/format.h>

#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <array>
#include <cstdio>

#include "etcd_connection.hpp"
#include "load_options.hpp"

namespace {

using namespace bench;

constexpr std::size_t kReadBytes = 64u << 10;
constexpr int kEventsMax = 64, kLookMilliseconds = 50;

base::Result<> give_work(Load& load, EtcdConnection& client, std::uint32_t number, int epoll,
                         const base::Clock& clock) {
  while (const auto operation = load.next(number, clock.now())) TRY_DO(client.begin(*operation));
  return client.send(epoll, number);
}

base::Result<Report> run(const LoadOptions& options, const std::vector<std::string>& endpoints) {
  const base::SystemClock clock;
  const int epoll = epoll_create1(EPOLL_CLOEXEC);
  if (epoll < 0) return base::fail_errno(errno, "epoll_create1");
  Load load(options, clock.now());
  std::vector<std::unique_ptr<EtcdConnection>> clients;
  for (std::uint32_t i = 0; i < options.clients; ++i) {
    const std::string& endpoint = endpoints[i % endpoints.size()];
    auto ended = [&load, i, &clock](const Operation& operation, const base::Result<>& outcome) {
      if (outcome) return load.done(i, operation, clock.now());
      load.failed(i, outcome.error().describe());
    };
    clients.push_back(std::make_unique<EtcdConnection>(endpoint, std::move(ended)));
    TRY_DO(clients.back()->connect(epoll, i));
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
