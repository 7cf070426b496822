#pragma once

// One round of calls: as many at once as there are callers, until `count` are done.

#include <algorithm>
#include <base/async/task_scope.hpp>
#include <stoq/rpc.hpp>
#include <vector>

#include "process.hpp"
#include "rpc/diagnostics.hpp"

namespace bench {

constexpr std::size_t kCallers = 64, kPayloadBytes = 100;

struct Round {
  std::size_t left = 0;
  std::vector<double> seconds;
};

inline base::Task<> call_until_done(stoq::rpc::Caller& caller, Round& round) {
  stoq::v1::PingRequest request;
  request.set_payload(std::string(kPayloadBytes, 'x'));
  while (round.left > 0) {
    --round.left;
    const double start = wall_seconds();
    const auto reply = must(co_await caller.call(stoq::kPing, request), "call");
    if (reply.payload() != request.payload()) die("the answer is another");
    round.seconds.push_back(wall_seconds() - start);
  }
}

/// Warms up, then prints "CALLS CLIENT-CPU SERVER-CPU WALL P50-MS P99-MS". The server tells its CPU
/// time whenever it is asked.
inline base::Task<> measure_calls(std::vector<stoq::rpc::Caller*> callers, Pipe& server,
                                  std::size_t count) {
  const auto executor = co_await boost::asio::this_coro::executor;
  for (const std::size_t calls : {count / 10, count}) {
    Round round{.left = calls};
    round.seconds.reserve(calls);
    base::TaskScope scope(executor);
    server.put(0);
    const double server_before = server.get(), before = cpu_seconds(), start = wall_seconds();
    for (std::size_t i = 0; i < kCallers; ++i)
      scope.spawn(call_until_done(*callers[i % callers.size()], round));
    co_await scope.join();
    const double cpu = cpu_seconds() - before, wall = wall_seconds() - start;
    server.put(0);
    const double server_cpu = server.get() - server_before;
    std::ranges::sort(round.seconds);
    if (calls != count) continue;
    std::printf("%zu %.6f %.6f %.6f %.3f %.3f\n", calls, cpu, server_cpu, wall,
                round.seconds[calls / 2] * 1000, round.seconds[calls * 99 / 100] * 1000);
  }
}

/// Answers `pipe` with this process's CPU time.
inline base::Task<> tell_cpu(Pipe& pipe) {
  for (;;) {
    while (!pipe.ready()) co_await base::sleep_for(std::chrono::milliseconds(20));
    pipe.get();
    pipe.put(cpu_seconds());
  }
}

}  // namespace bench
