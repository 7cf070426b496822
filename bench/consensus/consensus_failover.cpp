// consensus_failover --cluster FOLDER [--trials N]: four replicas in FOLDER, and a client that
// writes all the time. In each trial the primary is killed (SIGKILL), what was acknowledged is read
// again, and the replica is started again and catches up. Prints a line for each trial: the
// milliseconds from the kill to the acknowledgement of a write that began after it.

#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "replica_processes.hpp"
#include "steady_writes.hpp"

namespace {

using namespace bench;
using namespace hypermesh::consensus;
using namespace std::chrono_literals;
using base::Result;
using base::Task;

constexpr std::size_t kReplicas = 4;
constexpr unsigned kAtOnce = 8;
constexpr base::Duration kSettles = 30s;  // Longer, and the cluster counts as stuck.
constexpr base::Duration kLook = 20ms, kAfterwards = 300ms;
constexpr std::uint64_t kKillWithinMs = 400;  // Of writing; at random.

class Failover {
 public:
  Failover(SureClient& client, ReplicaProcesses& processes)
      : client_(client), processes_(processes), writes_(client, "failover/", kAtOnce) {}

  Task<> trial() {
    const auto before = co_await settled();
    writes_.start();
    co_await base::sleep_for(std::chrono::milliseconds(100 + rng_.below(kKillWithinMs)));
    const auto all = must(co_await client_.statuses(), "ask everybody");
    for (const StatusReply& status : all) {
      if (status.view != before.view || status.leader != before.leader)
        die("the primary changed although nothing failed: " + describe(all));
    }
    const std::size_t leader = place_of(before.leader);
    const auto killed = client_.clock().now();
    processes_.kill(leader);
    const auto back = must(co_await writes_.acknowledged_since(killed), "write");
    co_await base::sleep_for(kAfterwards);
    co_await writes_.stop();
    if (writes_.failure()) die(writes_.failure()->describe());
    for (std::size_t i = 0; i < kReplicas; ++i) {
      if (i == leader) continue;
      const auto status = must(co_await client_.status(i), "ask a survivor");
      if (status.leader == before.leader) die("the one that was killed is still called primary");
      (void)must(co_await writes_.check(client_.replica(i), false, checked_), "read");
    }
    processes_.start(leader);
    (void)co_await settled();
    checked_ = must(co_await writes_.check(client_.replica(leader), true, checked_), "read again");
    fmt::print("{:.1f}\n", std::chrono::duration<double, std::milli>(back - killed).count());
    std::fflush(stdout);
  }

  /// Every replica in turn has all of it.
  Task<> check_all() {
    for (std::size_t i = 0; i < kReplicas; ++i)
      (void)must(co_await writes_.check(client_.replica(i), false, 0), "read all");
  }

 private:
  /// All run, agree on the primary, and have executed the same.
  Task<StatusReply> settled() {
    const auto end = client_.clock().now() + kSettles;
    std::string why;
    for (;; co_await base::sleep_for(kLook)) {
      if (client_.clock().now() > end) die("the cluster does not settle: " + why);
      const auto all = co_await client_.statuses();
      if (!all) {
        why = all.error().describe();
        continue;
      }
      const auto& first = all->front();
      const bool agree = std::ranges::all_of(*all, [&](const StatusReply& each) {
        return each.votes && each.view == first.view && each.leader == first.leader &&
               each.applied == first.applied && each.connected + 1u == kReplicas;
      });
      if (agree && processes_.runs(place_of(first.leader))) co_return first;
      why = describe(*all);
    }
  }
  static std::string describe(const std::vector<StatusReply>& all) {
    std::string text;
    for (const StatusReply& each : all) {
      text +=
          fmt::format("view {} slot {} with {} others; ", each.view, each.applied, each.connected);
    }
    return text;
  }
  std::size_t place_of(const base::PublicKey& key) const {
    for (std::size_t i = 0; i < kReplicas; ++i)
      if (client_.key_of(i) == key) return i;
    die("the primary is no replica");
  }

  SureClient& client_;
  ReplicaProcesses& processes_;
  SteadyWrites writes_;
  base::SystemRng rng_;
  std::uint64_t checked_ = 0;
};

Task<> measure(std::filesystem::path folder, unsigned trials) {
  ReplicaProcesses processes(folder);
  for (std::size_t i = 0; i < kReplicas; ++i) processes.start(i);
  SureClient client(co_await boost::asio::this_coro::executor, folder, "client", kReplicas,
                    kReplicas);
  Failover failover(client, processes);
  for (unsigned i = 0; i < trials; ++i) co_await failover.trial();
  co_await failover.check_all();
  co_await client.stop();
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Kills the primary again and again; prints the milliseconds without one.");
  std::string folder;
  unsigned trials = 4;
  app.add_option("--cluster", folder, "A folder that is there")->required();
  app.add_option("--trials", trials, "How often; default 4");
  CLI11_PARSE(app, argc, argv);
  make_cluster(folder, {.voters = kReplicas});
  boost::asio::io_context context(1);
  run(context, measure(folder, trials));
}
