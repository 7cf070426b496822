// consensus_replica --cluster FOLDER --index I [--level info]: one replica of the cluster in
// FOLDER, with its log and state there, until it is ended. Prints "ready" when it answers clients.

#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <base/async/task_scope.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>

#include "../transport/quic_node.hpp"
#include "consensus/log/disk_files.hpp"
#include "consensus/log/segment_log.hpp"
#include "consensus/node/begin_log.hpp"
#include "consensus/node/request_service.hpp"
#include "filled_state.hpp"
#include "replica_folder.hpp"
#include "state/rocksdb_storage.hpp"

namespace {

using namespace hypermesh::consensus;
using namespace std::chrono_literals;
using bench::must;

// Whenever it gets SIGUSR1: the bytes of UDP payloads that it has sent and received since it began,
// in the file `traffic`, which is complete when it is there.
base::Task<> tell_traffic(const stoq::QuicTransport& transport, std::filesystem::path own) {
  boost::asio::signal_set signals(co_await boost::asio::this_coro::executor, SIGUSR1);
  for (;;) {
    const auto [error, signal] = co_await signals.async_wait(base::use_result);
    if (error) co_return;
    const auto totals = transport.totals();
    must(base::write_private_file(own / "traffic",
                                  fmt::format("{} {}", totals.bytes_sent, totals.bytes_received)),
         "tell of the traffic");
  }
}

base::Task<> serve(std::filesystem::path folder, std::size_t index, base::Log lines) {
  const auto executor = co_await boost::asio::this_coro::executor;
  const auto own = bench::of_replica(folder, index);
  base::SystemRng rng;
  base::SystemClock clock;
  const auto genesis = must(bench::read_genesis(folder), "read the genesis");
  bench::QuicNode quic(
      must(stoq::open_identity((own / "identity").string(), rng), "open the identity"));
  stoq::QuicTransport& transport = quic.start(executor, {.limits = bench::no_limits()});
  const auto& identity = quic.identity();
  const auto endpoint =
      must(endpoint_of(must(bench::read_member(folder, index), "read the endpoint")), "endpoint");

  const auto cipher = must(bench::open_keys(own), "open the keys");
  const auto storage =
      must(hypermesh::state::open_rocksdb_storage(own / "state", {}, *cipher, lines), "state");
  // The folder was made for this replica, and its log is there from its first start on.
  const bool first_start = !std::filesystem::exists(own / "log");
  LogOptions log_options;
  log_options.payload_bytes_max = kRecordBytesMax;
  auto log = must(open_segment_log(must(open_disk_files(own / "log"), "log"), *cipher, log_options),
                  "log");

  if (first_start) must(begin_log(*log, genesis), "begin the log");

  base::BlockingPool pool(3);
  stoq::rpc::Server server({executor, &clock, nullptr, lines});
  stoq::rpc::Peers peers({executor, &transport, &clock, &rng, nullptr, &server},
                         {.backoff_min = 20ms, .backoff_max = 500ms});
  const auto node = must(ReplicaNode::open({executor, &pool, &peers, &server, &clock, &identity.key,
                                            genesis, storage.get(), std::move(log), lines},
                                           {}),
                         "open the replica");
  RequestService service(*node, server);
  node->start();
  server.serve(must(transport.listen(endpoint, {.alpn = {"stoq/1", "stoq-bulk/1"}}), "listen"),
               [&peers](const auto& connection) { peers.adopt(connection); });
  fmt::print("ready\n");
  std::fflush(stdout);
  base::TaskScope scope(executor);
  scope.spawn(tell_traffic(transport, own));

  boost::asio::signal_set signals(executor, SIGTERM, SIGINT);
  (void)co_await signals.async_wait(base::use_result);
  scope.cancel();
  co_await scope.join();
  co_await server.drain(0s);
  co_await node->stop();
  co_await peers.stop(0s);
  co_await server.stop(0s);
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("One replica of a cluster on loopback.");
  std::string folder, level = "warning";
  std::size_t index = 0;
  app.add_option("--cluster", folder, "The cluster's folder")->required();
  app.add_option("--index", index, "Which of its replicas, from 0")->required();
  app.add_option("--level", level, "What is logged to standard error");
  CLI11_PARSE(app, argc, argv);
  base::LogSink sink(STDERR_FILENO, base::LogSink::Format::Human);
  must(sink.set_levels(level), "--level");
  boost::asio::io_context context(1);
  boost::asio::co_spawn(context,
                        serve(folder, index, base::Log(sink, fmt::format("replica{}", index))),
                        [&context](const std::exception_ptr& thrown) {
                          if (thrown) std::rethrow_exception(thrown);
                          context.stop();
                        });
  context.run();
}
