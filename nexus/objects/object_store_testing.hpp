#pragma once

#include <memory>

#include "objects/secret_keys.hpp"
#include "objects/state_object_store.hpp"
#include "state/embedded_state_store.hpp"
#include "state/memory_backend.hpp"
#include "state/temporary_folder_testing.hpp"

namespace nexus {

/// A real object store with audit log on a state in memory, for tests of what stands on it.
/// Link nexus_objects and nexus_state_embedded.
///
///   TestObjectStore test;
///   co_await test.open(executor);  ...  test.store().create(...)  ...  co_await test.close();
///
/// Opened again after `close` it starts from what was written, as a restarted daemon does.
class TestObjectStore {
 public:
  base::Task<base::Result<>> open(base::Executor executor) {
    CO_TRY(state_, EmbeddedStateStore::open(executor, pool_,
                                            std::make_unique<BorrowedMemoryBackend>(memory_),
                                            clock_, *metrics_, {}));
    CO_TRY(audit_, co_await AuditLog::open(executor, pool_, folder_.path() / "audit", *state_,
                                           identity_, clock_, *metrics_, {}, {}));
    if (!keys_) {
      CO_TRY(auto keys, SecretKeys::from_file(folder_.path() / "secret.keys", rng_));
      keys_ = std::make_unique<SecretKeys>(std::move(keys));
    }
    CO_TRY(store_, co_await StateObjectStore::open(
                       executor, {*state_, *audit_, *keys_, clock_, rng_, *metrics_, {}}, {}));
    co_return base::Result<>();
  }
  /// Every watch must be gone.
  base::Task<> close() {
    if (store_) co_await store_->close();
    store_.reset();
    if (audit_) co_await audit_->close();
    audit_.reset();
    if (state_) co_await state_->close();
    state_.reset();
  }

  StateObjectStore& store() { return *store_; }
  AuditLog& audit() { return *audit_; }
  EmbeddedStateStore& state() { return *state_; }
  SecretKeys& keys() { return *keys_; }
  /// From now on writes fail as on a full disk.
  void set_full(bool full) { memory_.set_full(full); }
  void replace_keys(SecretKeys keys) { keys_ = std::make_unique<SecretKeys>(std::move(keys)); }
  const std::filesystem::path& folder() const { return folder_.path(); }
  base::Metrics& metrics() { return *metrics_; }

 private:
  TemporaryFolder folder_;
  base::BlockingPool pool_{1};
  base::SystemClock clock_;
  base::SeededRng rng_{42};
  base::SigningKey identity_ = base::SigningKey::generate(rng_);
  std::unique_ptr<base::Metrics> metrics_ = base::make_prometheus_metrics();
  MemoryBackend memory_;
  std::unique_ptr<SecretKeys> keys_;
  std::unique_ptr<EmbeddedStateStore> state_;
  std::unique_ptr<AuditLog> audit_;
  std::unique_ptr<StateObjectStore> store_;
};

}  // namespace nexus
