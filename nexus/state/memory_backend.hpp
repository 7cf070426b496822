#pragma once

#include <map>
#include <mutex>

#include "state/state_backend.hpp"

namespace nexus {

/// Keeps everything in memory, for tests. A view is a copy.
class MemoryBackend final : public StateBackend {
 public:
  std::unique_ptr<View> view() const override;
  base::Result<> prepare() override { return {}; }
  base::Result<> write(const Batch& batch) override;

  /// While true, writes fail as they do on a full disk.
  void set_full(bool full);
  /// So many of the views that are made from now on fail, as those of a disk that is gone do.
  void fail_views(int count);
  void clear();

 private:
  using Map = std::map<std::string, std::string, std::less<>>;
  class MemoryView;

  mutable std::mutex mutex_;
  std::shared_ptr<const Map> map_ =
      std::make_shared<const Map>();  // Guarded by mutex_; replaced, never changed.
  bool full_ = false;                 // Guarded by mutex_.
  mutable int failing_views_ = 0;     // Guarded by mutex_.
};

/// A MemoryBackend that outlives the store on it, as a disk outlives a process. `memory` is
/// borrowed.
class BorrowedMemoryBackend final : public StateBackend {
 public:
  explicit BorrowedMemoryBackend(MemoryBackend& memory) : memory_(memory) {}
  std::unique_ptr<View> view() const override { return memory_.view(); }
  base::Result<> prepare() override { return memory_.prepare(); }
  base::Result<> write(const Batch& batch) override { return memory_.write(batch); }

 private:
  MemoryBackend& memory_;
};

}  // namespace nexus
