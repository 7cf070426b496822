#pragma once

// A node's durable part: the state store, the audit log beside it, the objects on both.

#include <audit/audit_log.hpp>
#include <base/async/blocking_pool.hpp>
#include <base/config/effective.hpp>
#include <base/crypto.hpp>
#include <base/log.hpp>
#include <base/metrics.hpp>
#include <filesystem>
#include <memory>
#include <objects/secret_keys.hpp>
#include <objects/state_object_store.hpp>
#include <state/embedded_state_store.hpp>
#include <state/folder_lock.hpp>

namespace apps {

/// What every part of a node borrows.
struct NodeBasics {
  base::Executor executor;
  base::BlockingPool& pool;
  const base::Clock& clock;
  base::Rng& rng;
  base::Metrics& metrics;
  base::Log log;
};

class Storage {
 public:
  /// Opens everything under `folder`; `key` signs receipts and is borrowed. A second process on the
  /// same folder is refused with the first one's pid.
  static base::Task<base::Result<std::unique_ptr<Storage>>> open(
      NodeBasics basics, const base::config::Effective& config, std::filesystem::path folder,
      const base::SigningKey& key);

  nexus::StateObjectStore& objects() { return *objects_; }
  nexus::AuditLog& audit() { return *audit_; }
  /// Await before destruction.
  base::Task<> close();

 private:
  Storage(nexus::FolderLock lock, nexus::SecretKeys keys)
      : lock_(std::move(lock)), keys_(std::move(keys)) {}
  base::Task<base::Result<>> open_parts(NodeBasics basics, const base::config::Effective& config,
                                        std::filesystem::path folder, const base::SigningKey& key);

  nexus::FolderLock lock_;
  nexus::SecretKeys keys_;
  std::unique_ptr<nexus::EmbeddedStateStore> state_;
  std::unique_ptr<nexus::AuditLog> audit_;
  std::unique_ptr<nexus::StateObjectStore> objects_;
};

}  // namespace apps
