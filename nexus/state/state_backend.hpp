#pragma once

#include <base/error.hpp>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace nexus {

/// An ordered key-value store of raw bytes: what the embedded state store needs below it.
///
/// Calls block and may come from any thread; `prepare` and `write` from one at a time.
/// Implementations: RocksDbBackend, MemoryBackend.
class StateBackend {
 public:
  struct Batch {
    std::vector<std::pair<std::string, std::string>>
        delete_ranges;  ///< [first, second); done first.
    std::vector<std::pair<std::string, std::optional<std::string>>>
        writes;  ///< In this order; empty: delete.

    void put(std::string_view key, std::string value) {
      writes.emplace_back(key, std::move(value));
    }
    void remove(std::string_view key) { writes.emplace_back(key, std::nullopt); }
  };
  using Entries = std::vector<std::pair<std::string, std::string>>;

  /// The store as it was when the view was made.
  class View {
   public:
    virtual ~View() = default;
    virtual base::Result<std::optional<std::string>> get(std::string_view key) const = 0;
    /// Keys in [from, end) in order, at most `entries_max`, and none after `bytes_max` are reached;
    /// an empty `end` has no bound.
    virtual base::Result<Entries> scan(std::string_view from, std::string_view end,
                                       std::size_t entries_max, std::size_t bytes_max) const = 0;
    /// The last key in [from, end) and its value.
    virtual base::Result<std::optional<std::pair<std::string, std::string>>> last(
        std::string_view from, std::string_view end) const = 0;
  };

  virtual ~StateBackend() = default;
  virtual std::unique_ptr<View> view() const = 0;
  /// Before writes, while the caller holds no view: repairs what an earlier failure left.
  /// Errors: as write.
  virtual base::Result<> prepare() = 0;
  /// All or nothing. On success the batch is on disk.
  /// Errors: ResourceExhausted (disk full), DataLoss, Unavailable (the disk fails).
  virtual base::Result<> write(const Batch& batch) = 0;
};

}  // namespace nexus
