// consensus_transfer --cluster FOLDER [--keys N]: what the others send to bring a replica up to
// date that was away while 1 % of the state changed and the blocks that changed it were let go. N
// values of 256 bytes, 3,906,250 (1 GB) if not given. Prints the megabytes (10^6 bytes) of UDP
// payloads that came to it until it had executed what the others have, by its transport's count,
// then what those three sent meanwhile, what they tell each other all the time among it; the
// values, and how many changed.

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <set>

#include "consensus/execution/command.hpp"
#include "filled_state.hpp"
#include "replica_processes.hpp"
#include "sure_client.hpp"

namespace {

using namespace bench;
using namespace hypermesh;
using namespace hypermesh::consensus;
using namespace std::chrono_literals;
using base::Task;

constexpr std::size_t kReplicas = 4, kAway = 3, kWritesAtOnce = 100;
constexpr Slot kCheckpointInterval = 100;
constexpr base::Duration kStepMax = 300s, kLook = 100ms, kLimit = 10s;

class Transfer {
 public:
  Transfer(SureClient& client, ReplicaProcesses& processes, std::uint64_t keys)
      : client_(client), processes_(processes), keys_(keys) {}

  Task<> run() {
    const auto begun = co_await wait("the checkpoint of the state is certified", 0,
                                     [](const StatusReply& s) { return s.stable > 0; });
    (void)co_await wait("the last is up to date", kAway, [&](const StatusReply& s) {
      return s.stable >= begun.stable && s.connected == 3;
    });
    processes_.kill(kAway);
    co_await change();
    // Blocks are kept behind the checkpoint before the last. What changes nothing fills slots too.
    const auto changed = must(co_await client_.status(0), "ask");
    const Slot gone = changed.applied + 2 * kCheckpointInterval;
    for (;;) {
      const auto status = must(co_await client_.status(0), "ask");
      if (status.stable >= gone) break;
      (void)must(co_await client_.order(encode_on_state(state::encode(state::Operation{}))),
                 "order");
    }
    co_await base::sleep_for(1s);
    const auto ahead = must(co_await client_.status(0), "ask");
    const std::uint64_t before = sent();
    processes_.start(kAway);
    (void)co_await wait("the state is there", kAway,
                        [&](const StatusReply& s) { return s.applied >= ahead.applied; });
    const std::uint64_t came = processes_.traffic(kAway).received, after = sent();
    co_await check();
    fmt::print("{:.2f} {:.2f} {} {}\n", static_cast<double>(came) / 1e6,
               static_cast<double>(after - before) / 1e6, keys_, changed_.size());
  }

 private:
  template <class Good>
  Task<StatusReply> wait(const char* what, std::size_t replica, Good good) {
    const auto end = client_.clock().now() + kStepMax;
    for (;; co_await base::sleep_for(kLook)) {
      const auto status = co_await client_.status(replica);
      if (status && good(*status)) co_return *status;
      if (client_.clock().now() > end)
        die(fmt::format("replica {}: not in time: {}", replica, what));
    }
  }

  std::uint64_t sent() const {
    std::uint64_t sum = 0;
    for (std::size_t i = 0; i < kReplicas; ++i)
      if (i != kAway) sum += processes_.traffic(i).sent;
    return sum;
  }

  // New values for keys that are there already.
  base::Bytes put(const std::vector<std::uint64_t>& numbers) {
    state::Transaction transaction;
    for (const std::uint64_t number : numbers) {
      std::string value(kFilledValueBytes, '\0');
      rng_.fill(std::span(reinterpret_cast<std::uint8_t*>(value.data()), value.size()));
      last_ = {filled_key(number), value};
      transaction.writes.push_back({filled_key(number), std::move(value)});
    }
    return encode_on_state(state::encode(state::Operation{0, std::move(transaction)}));
  }

  Task<> change() {
    std::vector<std::uint64_t> together;
    while (changed_.size() < keys_ / 100) {
      const std::uint64_t number = rng_.below(keys_);
      if (!changed_.insert(number).second) continue;
      together.push_back(number);
      if (together.size() < kWritesAtOnce && changed_.size() < keys_ / 100) continue;
      (void)must(co_await client_.order(put(together)), "change the state");
      together.clear();
    }
  }

  Task<> check() {
    const auto reply =
        must(co_await client_.replica(kAway).ask(GetRequest{last_.first, true}, kLimit), "read");
    const auto& entry = std::get<GetReply>(reply).entry;
    if (!entry || entry->value != last_.second) die("the replica has not what was written last");
  }

  SureClient& client_;
  ReplicaProcesses& processes_;
  const std::uint64_t keys_;
  base::SystemRng rng_;
  std::set<std::uint64_t> changed_;
  std::pair<std::string, std::string> last_;
};

Task<> measure(std::filesystem::path folder, std::uint64_t keys) {
  ReplicaProcesses processes(folder);
  for (std::size_t i = 0; i < kReplicas; ++i) processes.start(i);
  SureClient client(co_await boost::asio::this_coro::executor, folder, "client", kReplicas,
                    kReplicas);
  Transfer transfer(client, processes, keys);
  co_await transfer.run();
  co_await client.stop();
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("What it costs to bring a replica up to date; prints MB, keys and changed keys.");
  std::string folder;
  std::uint64_t keys = 1'000'000'000 / kFilledValueBytes;
  app.add_option("--cluster", folder, "A folder that is there")->required();
  app.add_option("--keys", keys, "Of 256 bytes each; 3,906,250 are 1 GB");
  CLI11_PARSE(app, argc, argv);
  make_cluster(folder, {.voters = kReplicas, .checkpoint_interval = kCheckpointInterval});
  fill_state(folder, keys);
  boost::asio::io_context context(1);
  run(context, measure(folder, keys));
}
