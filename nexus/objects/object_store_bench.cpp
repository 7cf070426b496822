// The store as a node uses it: RocksDB with fsync, audit records, cache. Prints lines "figure NAME
// VALUE UNIT ...".
//
//   nexus_store_bench [FOLDER]    FOLDER on the disk to measure; a temporary one by default

#include <fmt/format.h>
#include <malloc.h>

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <fstream>

#include "objects/state_object_store.hpp"
#include "state/local_state_stores.hpp"
#include "state/temporary_folder_testing.hpp"

namespace nexus {
namespace {

using Clock = std::chrono::steady_clock;

double milliseconds_since(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

double pss_megabytes() {
  std::ifstream in("/proc/self/smaps_rollup");
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with("Pss:")) return std::stod(line.substr(4)) / 1024;
  }
  return 0;
}

// About the size of a pod with one container, as it is stored.
Json pod(int number) {
  return {{"apiVersion", "v1"},
          {"kind", "Pod"},
          {"metadata",
           {{"name", fmt::format("web-{:05}", number)},
            {"namespace", "default"},
            {"labels", {{"app", "web"}, {"pod-template-hash", "6d4cf56db6"}}},
            {"ownerReferences",
             {{{"apiVersion", "apps/v1"},
               {"kind", "ReplicaSet"},
               {"name", "web-6d4cf56db6"},
               {"controller", true}}}}}},
          {"spec",
           {{"restartPolicy", "Always"},
            {"terminationGracePeriodSeconds", 30},
            {"containers",
             {{{"name", "web"},
               {"image", "registry.example.org/team/web:1.27"},
               {"imagePullPolicy", "IfNotPresent"},
               {"ports", {{{"containerPort", 8080}, {"protocol", "TCP"}}}},
               {"env", {{{"name", "A"}, {"value", "1"}}, {{"name", "B"}, {"value", "2"}}}},
               {"resources",
                {{"limits", {{"cpu", "200m"}, {"memory", "32Mi"}}},
                 {"requests", {{"cpu", "20m"}, {"memory", "16Mi"}}}}},
               {"readinessProbe",
                {{"httpGet", {{"path", "/"}, {"port", 8080}}},
                 {"periodSeconds", 1},
                 {"failureThreshold", 3}}}}}}}},
          {"status",
           {{"phase", "Running"},
            {"podIP", "fd00:1::1a"},
            {"conditions", {{{"type", "Ready"}, {"status", "True"}}}}}}};
}

struct Node {
  explicit Node(std::filesystem::path where) : folder(std::move(where)) {}

  base::Task<> open(base::Executor executor) {
    const auto check = [](const auto& result) {
      BASE_ASSERT(result.has_value(), result ? "" : result.error().describe());
    };
    auto opened_state =
        open_rocksdb_state_store(executor, pool, folder / "db", {}, clock, *metrics, {});
    check(opened_state);
    state = std::move(*opened_state);
    auto opened_audit = co_await AuditLog::open(executor, pool, folder / "audit", *state, identity,
                                                clock, *metrics, {}, {});
    check(opened_audit);
    audit = std::move(*opened_audit);
    auto opened_keys = SecretKeys::from_file(folder / "secret.keys", rng);
    check(opened_keys);
    keys = std::make_unique<SecretKeys>(std::move(*opened_keys));
    auto opened = co_await StateObjectStore::open(
        executor, {*state, *audit, *keys, clock, rng, *metrics, {}}, {});
    check(opened);
    store = std::move(*opened);
  }
  base::Task<> close() {
    co_await store->close();
    store.reset();
    co_await audit->close();
    audit.reset();
    co_await state->close();
    state.reset();
  }

  std::filesystem::path folder;
  base::BlockingPool pool{2};
  base::SystemClock clock;
  base::SystemRng rng;
  base::SeededRng identity_rng{1};
  base::SigningKey identity = base::SigningKey::generate(identity_rng);
  std::unique_ptr<base::Metrics> metrics = base::make_prometheus_metrics();
  std::unique_ptr<EmbeddedStateStore> state;
  std::unique_ptr<AuditLog> audit;
  std::unique_ptr<SecretKeys> keys;
  std::unique_ptr<StateObjectStore> store;
};

base::Task<> write_many(StateObjectStore& store, int writers, int each, int& next, bool print) {
  base::TaskScope scope(co_await base::asio::this_coro::executor);
  std::vector<double> took;
  const auto start = Clock::now();
  for (int writer = 0; writer < writers; ++writer) {
    scope.spawn([](StateObjectStore& to, int count, int& number,
                   std::vector<double>& times) -> base::Task<> {
      for (int i = 0; i < count; ++i) {
        const auto begun = Clock::now();
        const auto done = co_await to.create({"bench", "admin", "unix", ""}, pod(number++));
        BASE_ASSERT(done.has_value(), done ? "" : done.error().describe());
        times.push_back(milliseconds_since(begun));
      }
    }(store, each, next, took));
  }
  co_await scope.join();
  const double seconds = milliseconds_since(start) / 1000;
  std::ranges::sort(took);
  if (!print) co_return;
  fmt::print(
      "figure object_write_{}_p50_ms {:.3f} ms creates with fsync and audit record, {} writers\n",
      writers, took[took.size() / 2], writers);
  fmt::print("figure object_write_{}_p99_ms {:.3f} ms likewise\n", writers,
             took[took.size() * 99 / 100]);
  fmt::print("figure object_write_{}_rate {:.0f} 1/s likewise\n", writers, took.size() / seconds);
}

base::Task<> measure(Node& node, base::Executor executor) {
  const double before = pss_megabytes();
  co_await node.open(executor);
  fmt::print(
      "figure store_empty_pss_mb {:.1f} MB of the store alone, beyond {:.1f} MB of an empty "
      "process\n",
      pss_megabytes() - before, before);
  int next = 0;
  co_await write_many(*node.store, 1, 400, next, true);
  co_await write_many(*node.store, 16, 50, next, true);
  co_await write_many(*node.store, 64, 40, next, true);
  co_await write_many(*node.store, 64, (10'000 - next + 63) / 64, next, false);
  fmt::print("figure store_10000_pss_mb {:.1f} MB likewise, with {} objects of {} bytes\n",
             pss_megabytes() - before, node.store->all("Pod").size(), pod(0).dump().size());
  const auto verify_start = Clock::now();
  BASE_ASSERT((co_await node.audit->verify_all()).has_value(), "the audit log verifies");
  fmt::print("figure audit_verify_10000_ms {:.1f} ms the whole audit log\n",
             milliseconds_since(verify_start));
  co_await node.close();
  ::malloc_trim(0);
  const auto start = Clock::now();
  co_await node.open(executor);
  fmt::print(
      "figure store_restart_10000_ms {:.1f} ms open state, audit log and cache with {} objects\n",
      milliseconds_since(start), node.store->all("Pod").size());
  const auto read_start = Clock::now();
  for (int i = 0; i < 10'000; ++i)
    (void)co_await node.store->get({"Pod", "default", fmt::format("web-{:05}", i)});
  fmt::print("figure object_read_us {:.2f} us get, from the cache\n",
             milliseconds_since(read_start) / 10);
  co_await node.close();
}

}  // namespace
}  // namespace nexus

int main(int argc, char** argv) {
  nexus::TemporaryFolder temporary;
  nexus::Node node(argc > 1 ? std::filesystem::path(argv[1]) : temporary.path());
  base::asio::io_context context;
  base::asio::co_spawn(context, nexus::measure(node, context.get_executor()),
                       [](std::exception_ptr thrown) {
                         if (thrown) std::rethrow_exception(thrown);
                       });
  context.run();
  return 0;
}
