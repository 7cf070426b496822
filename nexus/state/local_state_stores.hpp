#pragma once

#include <base/log.hpp>
#include <filesystem>

#include "state/embedded_state_store.hpp"
#include "state/rocksdb_backend.hpp"

namespace nexus {

/// The durable store of a node that stands alone, in `folder`, which the caller holds with a
/// FolderLock. Blocks while the write-ahead log is replayed. `pool`, `clock` and `metrics` are
/// borrowed.
base::Result<std::unique_ptr<EmbeddedStateStore>> open_rocksdb_state_store(
    const base::Executor& executor, base::BlockingPool& pool, const std::filesystem::path& folder,
    const RocksDbOptions& options, const base::Clock& clock, base::Metrics& metrics, base::Log log,
    EmbeddedStateStore::Limits limits = {});

}  // namespace nexus
