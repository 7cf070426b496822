#pragma once

#include <map>
#include <unordered_map>

#include "state/storage.hpp"

namespace hypermesh::state {

/// Storage in a map, of one thread: for tests and the simulator. A snapshot shares the map; only a
/// write under a living snapshot copies it.
class MemoryStorage final : public Storage {
 public:
  base::Result<std::optional<std::string>> get(std::string_view key) const override;
  base::Result<> scan(std::string_view from, std::string_view end,
                      const Visit& visit) const override;
  std::unique_ptr<Reader> snapshot() const override;
  base::Result<> write(const Batch& batch) override;
  base::Result<> flush() override;
  base::Result<> reopen() override;

  /// Writes fail with ResourceExhausted from now on, until this is off and `reopen` was called.
  void set_full(bool full) { full_ = full; }
  /// What a power cut leaves: the state of the last flush. `reopen` also does this.
  void lose_unflushed();

 private:
  using Map = std::map<std::string, std::string, std::less<>>;
  class Snapshot;

  std::shared_ptr<Map> map_ = std::make_shared<Map>();
  // Values of the last flush for the keys written since; lets a power cut be played without a copy
  // of the map.
  std::unordered_map<std::string, std::optional<std::string>> before_;
  bool full_ = false, failed_ = false;
};

}  // namespace hypermesh::state
