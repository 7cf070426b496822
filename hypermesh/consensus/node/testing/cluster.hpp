#pragma once

// Replicas of one process, over a transport in memory, with logs and states on disk.

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <filesystem>

#include "at_rest/testing/fixed_key_cipher.hpp"
#include "consensus/log/disk_files.hpp"
#include "consensus/log/segment_log.hpp"
#include "consensus/node/begin_log.hpp"
#include "consensus/node/replica_node.hpp"
#include "consensus/node/request_service.hpp"
#include "state/rocksdb_storage.hpp"
#include "transport/memory_transport.hpp"

namespace hypermesh::consensus::testing {

using namespace std::chrono_literals;
using base::Errc;
using base::Result;
using base::Task;

struct TestReplica {
  TestReplica(const base::Executor& executor, stoq::MemoryNetwork& network, Genesis made,
              std::string name, std::filesystem::path where, std::uint16_t port)
      : executor(executor),
        genesis(std::move(made)),
        key(key_of(name)),
        folder(where / name),
        endpoint(*stoq::Endpoint::of("::1", port)),
        transport(executor, network, stoq::NodeId::of(key.public_key())) {}

  static base::SigningKey key_of(std::string_view name) {
    return *base::SigningKey::from_seed(base::sha256(name));
  }

  void open(ReplicaOptions options = {}) {
    const auto opened = try_open(std::move(options));
    if (!opened) throw std::runtime_error(opened.error().describe());
  }
  /// After an error it is closed.
  Result<> try_open(ReplicaOptions options = {}) {
    TRY(auto made, open_node(std::move(options)));
    node = std::move(made);
    requests = std::make_unique<RequestService>(*node, *server);
    node->start();
    server->serve(*transport.listen(endpoint, {.alpn = {"stoq/1", "stoq-bulk/1"}}),
                  [this](const auto& connection) { peers->adopt(connection); });
    return {};
  }
  /// While it is closed.
  void lose_disk() { std::filesystem::remove_all(folder); }
  Task<> close() {
    co_await server->drain(0s);
    co_await node->stop();
    co_await peers->stop(0s);
    co_await server->stop(0s);
    let_go();
  }

  Result<std::unique_ptr<ReplicaNode>> open_node(ReplicaOptions options) {
    std::filesystem::create_directories(folder);
    TRY(auto opened, state::open_rocksdb_storage(folder / "state", {}, *state_cipher, {}));
    TRY(auto files, open_disk_files(folder / "log"));
    if (wrap_files) files = wrap_files(std::move(files));
    TRY(auto log, open_segment_log(std::move(files), *log_cipher, log_options));
    if (!std::exchange(begun, true)) TRY_DO(begin_log(*log, genesis));
    storage = wrap_storage ? wrap_storage(std::move(opened)) : std::move(opened);
    pool = std::make_unique<base::BlockingPool>(3);
    server = std::make_unique<stoq::rpc::Server>(
        stoq::rpc::Server::Parts{executor, &clock, nullptr, {}});
    peers = std::make_unique<stoq::rpc::Peers>(
        stoq::rpc::Peers::Parts{executor, &transport, &clock, &rng, nullptr, server.get()},
        stoq::rpc::PeersOptions{.backoff_min = 10ms, .backoff_max = 100ms});
    auto made = ReplicaNode::open({executor,
                                   pool.get(),
                                   peers.get(),
                                   server.get(),
                                   &clock,
                                   &key,
                                   genesis,
                                   storage.get(),
                                   std::move(log),
                                   {}},
                                  std::move(options));
    if (!made) let_go();
    return made;
  }
  void let_go() {
    requests.reset();
    node.reset();
    peers.reset();
    server.reset();
    storage.reset();
    pool.reset();
  }

  base::Executor executor;
  Genesis genesis;
  base::SystemClock clock;
  base::SystemRng rng;
  base::SigningKey key;
  std::filesystem::path folder;
  stoq::Endpoint endpoint;
  stoq::MemoryTransport transport;
  bool begun = false;  // Its log.
  LogOptions log_options{.segment_bytes = 9 << 20};
  at_rest::FixedKeyCipher cipher;
  at_rest::RecordCipher* log_cipher = &cipher;
  at_rest::RecordCipher* state_cipher = &cipher;
  std::function<std::unique_ptr<LogFiles>(std::unique_ptr<LogFiles>)> wrap_files;
  std::function<std::unique_ptr<state::Storage>(std::unique_ptr<state::Storage>)> wrap_storage;
  std::unique_ptr<base::BlockingPool> pool;
  std::unique_ptr<stoq::rpc::Server> server;
  std::unique_ptr<stoq::rpc::Peers> peers;
  std::unique_ptr<state::Storage> storage;
  std::unique_ptr<ReplicaNode> node;
  std::unique_ptr<RequestService> requests;
};

class ClusterTest : public ::testing::Test {
 protected:
  using Replicas = std::vector<std::unique_ptr<TestReplica>>;

  /// `voters` of `nodes` replicas vote; `strangers` more are no members. Again, it goes on with
  /// what the last body left on disk.
  void run(std::size_t voters, std::size_t nodes, std::function<Task<>(Replicas&)> body,
           std::size_t strangers = 0) {
    if (replicas.empty()) make_replicas(voters, nodes, strangers);
    boost::asio::co_spawn(context, whole(std::move(body)), [](const std::exception_ptr& thrown) {
      if (thrown) std::rethrow_exception(thrown);
    });
    context.restart();
    context.run();
  }

  ~ClusterTest() override {
    replicas.clear();
    std::filesystem::remove_all(folder);
  }

  boost::asio::io_context context;
  stoq::MemoryNetwork network;
  Replicas replicas;
  std::filesystem::path folder = make_folder();

 private:
  void make_replicas(std::size_t voters, std::size_t nodes, std::size_t strangers) {
    Genesis genesis;
    genesis.name = "test";
    genesis.window = 8;
    genesis.checkpoint_interval = 10;
    for (std::size_t i = 0; i < nodes; ++i) {
      const auto key = TestReplica::key_of(name(i)).public_key();
      genesis.members.push_back({key, Role::Node, "[::1]:" + std::to_string(port(i))});
      if (i < voters) genesis.voters.push_back(key);
    }
    genesis.members.push_back({TestReplica::key_of("operator").public_key(), Role::Operator, ""});
    const auto executor = context.get_executor();
    for (std::size_t i = 0; i < nodes + strangers; ++i) {
      replicas.push_back(
          std::make_unique<TestReplica>(executor, network, genesis, name(i), folder, port(i)));
    }
  }
  static std::string name(std::size_t i) { return "n" + std::to_string(i + 1); }
  static std::uint16_t port(std::size_t i) { return static_cast<std::uint16_t>(1000 + i); }
  static std::filesystem::path make_folder() {
    auto pattern = (std::filesystem::temp_directory_path() / "replicas-XXXXXX").string();
    EXPECT_NE(mkdtemp(pattern.data()), nullptr);
    return pattern;
  }
  Task<> whole(std::function<Task<>(Replicas&)> body) {
    co_await body(replicas);
    for (auto& replica : replicas) {
      if (replica->node) co_await replica->close();
    }
  }
};

/// Orders a command in the operator's name, through `replica`.
inline Task<Result<BundleResult>> order_as_operator(TestReplica& replica, std::uint64_t sequence,
                                                    base::Bytes command) {
  const auto key = TestReplica::key_of("operator");
  auto bundle = std::make_shared<Bundle>();
  bundle->client = key.public_key();
  bundle->sequence = sequence;
  bundle->operations.push_back(std::move(command));
  bundle->signature = key.sign(signed_bytes(cluster_of(replica.genesis), *bundle));
  co_return co_await awaited<Result<BundleResult>>(
      replica.executor, [&](auto done) { replica.node->relay(bundle, 20s, std::move(done)); });
}

inline base::Bytes put(std::string key, std::string value) {
  const state::Operation operation{0,
                                   state::Transaction{{}, {{std::move(key), std::move(value), 0}}}};
  return encode_on_state(state::encode(operation));
}

}  // namespace hypermesh::consensus::testing
