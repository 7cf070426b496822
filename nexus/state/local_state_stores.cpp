#include "state/local_state_stores.hpp"

namespace nexus {

base::Result<std::unique_ptr<EmbeddedStateStore>> open_rocksdb_state_store(
    const base::Executor& executor, base::BlockingPool& pool, const std::filesystem::path& folder,
    const RocksDbOptions& options, const base::Clock& clock, base::Metrics& metrics, base::Log log,
    EmbeddedStateStore::Limits limits) {
  TRY(auto backend, open_rocksdb_backend(folder, options, std::move(log)));
  return EmbeddedStateStore::open(executor, pool, std::move(backend), clock, metrics, limits);
}

}  // namespace nexus
