// A load on our own cluster through its own protocol: the requests of hypermesh/consensus/node,
// over QUIC. Clients are spread evenly over the replicas; those of one replica share a connection.
//
// consensus_load --cluster FOLDER and the options of load_options.hpp: prints as etcd_load does.

#include <fmt/format.h>

#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include "../transport/quic_node.hpp"
#include "consensus/execution/command.hpp"
#include "consensus/node/replica_node.hpp"
#include "consensus/node/request_client.hpp"
#include "load_options.hpp"
#include "replica_folder.hpp"
#include "stoq/peers.hpp"

namespace {

using namespace bench;
using namespace hypermesh;
using namespace hypermesh::consensus;
using namespace std::chrono_literals;

constexpr base::Duration kLimit = 15s;

class Clients {
 public:
  Clients(const LoadOptions& options, stoq::rpc::Peers& peers, const Genesis& genesis,
          const base::Executor& executor)
      : options_(options), load_(options, clock_.now()), over_(executor) {
    const auto configuration = first_configuration(genesis);
    for (const auto& key : genesis.voters) {
      const auto endpoint = must(endpoint_of(*configuration.find(key)), "endpoint");
      nodes_.push_back(
          std::make_unique<RequestClient>(executor, peers.to(stoq::NodeId::of(key), endpoint)));
    }
  }

  base::Task<> run() {
    for (std::uint32_t i = 0; i < options_.clients; ++i) give_work(i);
    while (!load_.over(clock_.now())) {
      if (load_.stuck(clock_.now())) die("no answer for long");
      (void)co_await over_.wait_for(50ms);
    }
    for (auto& node : nodes_) co_await node->stop();
  }
  const std::string& failure() const { return load_.failure(); }
  Report report() { return load_.report(); }

 private:
  void give_work(std::uint32_t client) {
    while (const auto operation = load_.next(client, clock_.now())) ask(client, *operation);
    if (load_.over(clock_.now())) over_.notify();
  }

  void ask(std::uint32_t client, const Operation& operation) {
    const std::string key(operation.key.data(), operation.key.size());
    RequestClient::What what;
    if (operation.read) {
      what = GetRequest{key};
    } else {
      state::Transaction put;
      put.writes.push_back({key, std::string(base::as_text(operation.value))});
      what = OrderRequest{encode_on_state(state::encode(state::Operation{0, std::move(put)}))};
    }
    nodes_[client % nodes_.size()]->ask(std::move(what), kLimit,
                                        [this, client, operation](RequestClient::Answer answer) {
                                          const auto good = check(operation, answer);
                                          if (good) {
                                            load_.done(client, operation, clock_.now());
                                          } else {
                                            load_.failed(client, good.error().describe());
                                          }
                                          give_work(client);
                                        });
  }

  static base::Result<> check(const Operation& operation, const RequestClient::Answer& answer) {
    if (!answer) return std::unexpected(answer.error());
    if (!operation.read) {
      if (std::get<OrderReply>(*answer).number > 0) return {};
      return base::fail(base::Errc::DataLoss, "a write without a revision");
    }
    const auto& entry = std::get<GetReply>(*answer).entry;
    if (!entry) return base::fail(base::Errc::NotFound, "a key that was filled is not there");
    return check_value(operation.key, base::as_bytes(entry->value));
  }

  const LoadOptions& options_;
  base::SystemClock clock_;
  Load load_;
  base::Event over_;
  std::vector<std::unique_ptr<RequestClient>> nodes_;
};

base::Task<> run(const LoadOptions& options, std::filesystem::path folder, Report& report,
                 std::string& failure) {
  const auto executor = co_await boost::asio::this_coro::executor;
  base::SystemRng rng;
  base::SystemClock clock;
  QuicNode quic(must(stoq::open_identity((folder / "client").string(), rng), "open the identity"));
  stoq::Transport& transport = quic.start(executor, {.limits = no_limits()});
  stoq::rpc::Peers peers({executor, &transport, &clock, &rng},
                         {.backoff_min = 20ms, .backoff_max = 200ms});
  {
    Clients clients(options, peers, must(read_genesis(folder), "read the genesis"), executor);
    co_await clients.run();
    failure = clients.failure();
    report = clients.report();
  }
  co_await peers.stop(0s);
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app(
      "A closed-loop load on a cluster of consensus_cluster. Prints operations, seconds, "
      "operations/s, p50, p99, maximum, longest gap (microseconds) and failures.");
  LoadOptions options;
  add_load_options(app, options);
  std::string folder;
  app.add_option("--cluster", folder, "The cluster's folder")->required();
  CLI11_PARSE(app, argc, argv);
  Report report;
  std::string failure;
  boost::asio::io_context context(1);
  boost::asio::co_spawn(context, run(options, folder, report, failure),
                        [&context](const std::exception_ptr& thrown) {
                          if (thrown) std::rethrow_exception(thrown);
                          context.stop();
                        });
  context.run();
  if (!failure.empty()) fmt::print(stderr, "consensus_load: {}\n", failure);
  fmt::print("{}\n", report.line());
  return report.failures == 0 ? 0 : 1;
}
