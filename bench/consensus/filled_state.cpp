#include "filled_state.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "../transport/process.hpp"
#include "consensus/execution/executor.hpp"
#include "replica_folder.hpp"
#include "state/rocksdb_storage.hpp"

namespace bench {

using namespace hypermesh;
using namespace hypermesh::consensus;

namespace {

constexpr std::size_t kBundlesPerBlock = 24;  // Each of one transaction.

// By where they lie in the tree: neighbours are written together.
std::vector<std::uint64_t> in_tree_order(std::uint64_t keys) {
  std::vector<std::pair<base::Digest, std::uint64_t>> hashed;
  hashed.reserve(keys);
  for (std::uint64_t i = 0; i < keys; ++i)
    hashed.emplace_back(
        base::sha256(base::as_bytes(state::full_key(state::Space::User, filled_key(i)))), i);
  std::ranges::sort(hashed);
  std::vector<std::uint64_t> order;
  order.reserve(keys);
  for (const auto& [digest, number] : hashed) order.push_back(number);
  return order;
}

class Blocks {
 public:
  Blocks(const Genesis& genesis, Executor& executor, const base::PublicKey& client)
      : cluster_(cluster_of(genesis)), executor_(executor), client_(client) {}

  // The signature is not looked at when a block is executed.
  void add(state::Transaction transaction) {
    auto bundle = std::make_shared<Bundle>();
    bundle->client = client_;
    bundle->sequence = next_++;
    bundle->operations.push_back(
        encode_on_state(state::encode(state::Operation{0, std::move(transaction)})));
    bundles_.push_back(std::move(bundle));
    if (bundles_.size() == kBundlesPerBlock) execute();
  }
  void execute() {
    Block block{executor_.applied() + 1, executor_.applied_digest(), executor_.applied() + 1, 0,
                std::exchange(bundles_, {})};
    const auto done = must(executor_.apply(*make_link(cluster_, std::move(block))), "execute");
    for (const auto& result : done.results) {
      if (result.refused || result.outcomes.at(0).refused) die("a write is refused");
    }
  }

 private:
  const ClusterId cluster_;
  Executor& executor_;
  const base::PublicKey client_;
  std::uint64_t next_ = 1;
  std::vector<BundlePtr> bundles_;
};

void fill_first(const std::filesystem::path& cluster, const Genesis& genesis, std::uint64_t keys) {
  const auto own = of_replica(cluster, 0);
  const auto cipher = must(open_keys(own), "make the keys");
  const auto storage = must(
      state::open_rocksdb_storage(own / "state", {.write_buffer_bytes = 64u << 20}, *cipher, {}),
      "make the state");
  const auto executor =
      must(Executor::open(genesis, *storage,
                          {.tree_cache_bytes = 256u << 20, .waiting_keys_max = 64 * 1024}),
           "open the state");
  base::SystemRng system;
  const auto client = must(stoq::open_identity((cluster / "client").string(), system),
                           "read the client's identity");
  Blocks blocks(genesis, *executor, client.key.public_key());
  base::SeededRng rng(1);
  state::Transaction transaction;
  for (const std::uint64_t number : in_tree_order(keys)) {
    std::string value(kFilledValueBytes, '\0');
    rng.fill(std::span(reinterpret_cast<std::uint8_t*>(value.data()), value.size()));
    transaction.writes.push_back({filled_key(number), std::move(value)});
    if (transaction.writes.size() == state::kWritesMax) blocks.add(std::exchange(transaction, {}));
  }
  if (!transaction.writes.empty()) blocks.add(std::move(transaction));
  do {
    blocks.execute();
  } while (executor->applied() % genesis.checkpoint_interval != 0);
  must(executor->machine().flush(), "write the state");
}

// Sorted files are never changed: one copy of their bytes is enough.
void copy_folder(const std::filesystem::path& from, const std::filesystem::path& to) {
  for (const char* name : {"ring", "ring.key"}) std::filesystem::copy_file(from / name, to / name);
  std::filesystem::create_directories(to / "state");
  for (const auto& each : std::filesystem::directory_iterator(from / "state")) {
    const auto copy = to / "state" / each.path().filename();
    if (each.path().extension() == ".sst") {
      std::filesystem::create_hard_link(each.path(), copy);
    } else if (each.is_regular_file()) {
      std::filesystem::copy_file(each.path(), copy);
    }
  }
}

}  // namespace

std::string filled_key(std::uint64_t number) {
  return fmt::format("filled/{:09}", number);
}

base::Result<std::unique_ptr<at_rest::KeyRing>> open_keys(const std::filesystem::path& replica) {
  base::SystemRng rng;
  const at_rest::KeyFile master{replica / "ring.key"};
  if (std::filesystem::exists(replica / "ring"))
    return at_rest::open_key_ring(replica / "ring", master, rng);
  return at_rest::make_key_ring(replica / "ring", master, rng);
}

void fill_state(const std::filesystem::path& cluster, std::uint64_t keys) {
  const auto genesis = must(read_genesis(cluster), "read the genesis");
  fill_first(cluster, genesis, keys);
  for (std::size_t i = 1; i < genesis.voters.size(); ++i)
    copy_folder(of_replica(cluster, 0), of_replica(cluster, i));
}

}  // namespace bench
