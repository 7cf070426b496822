#include "node/storage.hpp"

#include "state/local_state_stores.hpp"
#include "state/memory_backend.hpp"

namespace nexus {

using base::Result;

base::Task<Result<std::unique_ptr<Storage>>> Storage::open(NodeBasics basics,
                                                           StorageOptions options,
                                                           std::filesystem::path folder,
                                                           const base::SigningKey& key) {
  CO_TRY(auto lock, FolderLock::acquire(folder));
  CO_TRY(auto keys, SecretKeys::from_file(folder / "secrets.key", basics.rng));
  std::unique_ptr<Storage> storage(new Storage(std::move(lock), std::move(keys)));
  auto opened = co_await storage->open_parts(basics, options, std::move(folder), key);
  if (!opened) {
    co_await storage->close();
    co_return std::unexpected(std::move(opened).error());
  }
  co_return storage;
}

base::Task<Result<>> Storage::open_parts(NodeBasics basics, StorageOptions options,
                                         std::filesystem::path folder,
                                         const base::SigningKey& key) {
  if (options.memory) {
    basics.log.warning("state is kept in memory only: nothing survives a restart");
    CO_TRY(state_,
           EmbeddedStateStore::open(basics.executor, basics.pool, std::make_unique<MemoryBackend>(),
                                    basics.clock, basics.metrics, {}));
  } else {
    RocksDbOptions rocksdb;
    rocksdb.sync = options.fsync;
    if (!options.fsync)
      basics.log.warning("fsync is off: a loss of power may lose acknowledged writes");
    CO_TRY(state_, open_rocksdb_state_store(basics.executor, basics.pool, folder / "store", rocksdb,
                                            basics.clock, basics.metrics,
                                            basics.log.with_component("store")));
  }
  CO_TRY(audit_,
         co_await AuditLog::open(basics.executor, basics.pool, folder / "audit", *state_, key,
                                 basics.clock, basics.metrics, basics.log.with_component("audit"),
                                 {.state_synced = options.fsync}));
  CO_TRY(objects_,
         co_await StateObjectStore::open(basics.executor,
                                         {*state_, *audit_, keys_, basics.clock, basics.rng,
                                          basics.metrics, basics.log.with_component("objects")},
                                         {}));
  co_return Result<>();
}

base::Task<> Storage::close() {
  if (objects_) co_await objects_->close();
  if (audit_) co_await audit_->close();
  if (state_) co_await state_->close();
}

}  // namespace nexus
