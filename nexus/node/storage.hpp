#pragma once

// A node's durable part: the state store, the audit log beside it, the objects on both.

#include <base/async/blocking_pool.hpp>
#include <base/crypto.hpp>
#include <base/log.hpp>
#include <base/metrics.hpp>
#include <filesystem>
#include <memory>

#include "audit/audit_log.hpp"
#include "objects/secret_keys.hpp"
#include "objects/state_object_store.hpp"
#include "state/embedded_state_store.hpp"
#include "state/folder_lock.hpp"

namespace nexus {

/// What every part of a node borrows.
struct NodeBasics {
  base::Executor executor;
  base::BlockingPool& pool;
  const base::Clock& clock;
  base::Rng& rng;
  base::Metrics& metrics;
  base::Log log;
};

struct StorageOptions {
  bool memory = false;  ///< Nothing survives a restart.
  bool fsync = true;    ///< A write is on disk before it is acknowledged.
};

class Storage {
 public:
  /// Opens everything under `folder`; `key` signs receipts and is borrowed. A second process on the
  /// same folder is refused with the first one's pid.
  static base::Task<base::Result<std::unique_ptr<Storage>>> open(NodeBasics basics,
                                                                 StorageOptions options,
                                                                 std::filesystem::path folder,
                                                                 const base::SigningKey& key);

  StateObjectStore& objects() { return *objects_; }
  AuditLog& audit() { return *audit_; }
  /// Await before destruction.
  base::Task<> close();

 private:
  Storage(FolderLock lock, SecretKeys keys) : lock_(std::move(lock)), keys_(std::move(keys)) {}
  base::Task<base::Result<>> open_parts(NodeBasics basics, StorageOptions options,
                                        std::filesystem::path folder, const base::SigningKey& key);

  FolderLock lock_;
  SecretKeys keys_;
  std::unique_ptr<EmbeddedStateStore> state_;
  std::unique_ptr<AuditLog> audit_;
  std::unique_ptr<StateObjectStore> objects_;
};

}  // namespace nexus
