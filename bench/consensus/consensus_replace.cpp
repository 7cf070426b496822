// consensus_replace --cluster FOLDER [--leader]: replaces one of four replicas in FOLDER while a
// client writes all the time: a fifth becomes a member and fetches what it lacks, is made a voter
// in the place of the first, or of the primary, which then is removed and ended. What was
// acknowledged is read again from the new four. Prints the longest time without an acknowledgement,
// milliseconds, from the first step to a second after the last, the longest of a second before, and
// how many writes were acknowledged. A write that fails fails it.

#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "consensus/execution/command.hpp"
#include "replica_processes.hpp"
#include "steady_writes.hpp"

namespace {

using namespace bench;
using namespace hypermesh::consensus;
using namespace std::chrono_literals;
using base::Task;

constexpr std::size_t kVoters = 4, kNewcomer = 4;
constexpr unsigned kAtOnce = 32;
constexpr Slot kCheckpointInterval = 200;
constexpr base::Duration kStepMax = 60s, kLook = 20ms, kLimit = 5s, kBefore = 1s, kAfterwards = 1s;

class Replacement {
 public:
  Replacement(std::filesystem::path folder, ReplicaProcesses& processes, SureClient& client,
              SureClient& steward)
      : folder_(std::move(folder)),
        processes_(processes),
        client_(client),
        operator_(steward),
        writes_(client, "replace/", kAtOnce) {}

  Task<> run(bool leader) {
    co_await wait("the cluster is ready", 0, [](const StatusReply& s) { return s.connected == 3; });
    writes_.start();
    co_await wait("there is a checkpoint", 0, [](const StatusReply& s) { return s.stable > 0; });
    (void)writes_.take_longest_gap();
    co_await base::sleep_for(kBefore);
    const auto usual = writes_.take_longest_gap();
    const auto before = must(co_await client_.status(0), "ask");

    const std::size_t old = leader ? place_of(before.leader) : place_of_a_backup(before.leader);
    const auto newcomer = must(read_member(folder_, kNewcomer), "read the newcomer's folder");
    co_await order("add a member", encode(OnCluster<ChangeMembers>{0, {{newcomer}, {}}}));
    processes_.start(kNewcomer);
    ChangeVoters change{before.epoch, {}, {}};
    for (std::size_t i = 0; i <= kVoters; ++i)
      if (i != old) change.voters.push_back(client_.key_of(i));
    change.copies.push_back(co_await verified_copy());
    co_await order("change the voters", encode(OnCluster<ChangeVoters>{0, change}));
    for (std::size_t i = 0; i <= kVoters; ++i) {
      if (i == old) continue;
      co_await wait("the new voters vote", i,
                    [&](const StatusReply& s) { return s.epoch > before.epoch && s.votes; });
    }
    co_await order("remove a member",
                   encode(OnCluster<ChangeMembers>{0, {{}, {client_.key_of(old)}}}));
    processes_.kill(old);
    co_await base::sleep_for(kAfterwards);

    co_await writes_.stop();
    if (writes_.failure()) co_await give_up();
    const auto gap = writes_.take_longest_gap();
    const auto ended = must(co_await client_.status(kNewcomer), "ask the newcomer");
    if (ended.view > 0) fmt::print(stderr, "{} changes of views in the new epoch\n", ended.view);
    for (std::size_t i = 0; i <= kVoters; ++i)
      if (i != old) (void)must(co_await writes_.check(client_.replica(i), false, 0), "read all");
    fmt::print("{:.1f} {:.1f} {}\n", std::chrono::duration<double, std::milli>(gap).count(),
               std::chrono::duration<double, std::milli>(usual).count(), writes_.acknowledged());
  }

 private:
  // Says how far everybody is.
  Task<> give_up() {
    std::string far;
    for (std::size_t i = 0; i <= kVoters; ++i) {
      const auto status = co_await client_.status(i);
      if (!status) continue;
      far += fmt::format("; replica {} in epoch {}, view {}, at slot {}, stable {}, {} connected",
                         i, status->epoch, status->view, status->applied, status->stable,
                         status->connected);
    }
    die(writes_.failure()->describe() + far);
  }

  template <class Good>
  Task<> wait(const char* what, std::size_t replica, Good good) {
    const auto end = client_.clock().now() + kStepMax;
    for (;; co_await base::sleep_for(kLook)) {
      if (writes_.failure()) co_await give_up();
      const auto status = co_await client_.status(replica);
      if (status && good(*status)) co_return;
      if (client_.clock().now() > end)
        die(fmt::format("replica {}: not in time: {}", replica, what));
    }
  }

  Task<> order(const char* what, base::Bytes command) {
    (void)must(co_await operator_.order(std::move(command)), what);
  }

  // Of a checkpoint that the others have not left behind meanwhile.
  Task<Copy> verified_copy() {
    const auto end = client_.clock().now() + kStepMax;
    for (;; co_await base::sleep_for(kLook)) {
      if (client_.clock().now() > end) die("the newcomer has no copy in time");
      const auto others = must(co_await client_.status(0), "ask");
      const auto own = co_await client_.status(kNewcomer);
      if (!own || own->applied < others.stable) continue;
      const auto reply = co_await client_.replica(kNewcomer).ask(CopyRequest{}, kLimit);
      if (!reply) continue;
      const auto& copy = std::get<CopyReply>(*reply).copy;
      if (copy.slot >= others.stable) co_return copy;
    }
  }

  std::size_t place_of(const base::PublicKey& key) const {
    for (std::size_t i = 0; i < kVoters; ++i)
      if (client_.key_of(i) == key) return i;
    die("the primary is no replica");
  }
  std::size_t place_of_a_backup(const base::PublicKey& leader) const {
    return place_of(leader) == 0 ? 1 : 0;
  }

  const std::filesystem::path folder_;
  ReplicaProcesses& processes_;
  SureClient& client_;
  SureClient& operator_;
  SteadyWrites writes_;
};

Task<> measure(std::filesystem::path folder, bool leader) {
  const auto executor = co_await boost::asio::this_coro::executor;
  ReplicaProcesses processes(folder);
  for (std::size_t i = 0; i < kVoters; ++i) processes.start(i);
  SureClient client(executor, folder, "client", kVoters + 1, kVoters);
  SureClient steward(executor, folder, "operator", kVoters, kVoters);
  Replacement replacement(folder, processes, client, steward);
  co_await replacement.run(leader);
  co_await steward.stop();
  co_await client.stop();
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Replaces a replica under load; prints the longest silence and the writes.");
  std::string folder;
  bool leader = false;
  app.add_option("--cluster", folder, "A folder that is there")->required();
  app.add_flag("--leader", leader, "The one that is primary");
  CLI11_PARSE(app, argc, argv);
  make_cluster(folder,
               {.voters = kVoters, .spares = 1, .checkpoint_interval = kCheckpointInterval});
  boost::asio::io_context context(1);
  run(context, measure(folder, leader));
}
