#pragma once

#include <base/error.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace hypermesh::state {

/// Reads ordered byte keys. Errors of every call: DataLoss (a stored value does not open),
/// Unavailable (the disk does not answer).
class Reader {
 public:
  /// Return false to stop. The views live for the call only.
  using Visit = std::function<bool(std::string_view key, std::string_view value)>;

  virtual ~Reader() = default;
  virtual base::Result<std::optional<std::string>> get(std::string_view key) const = 0;
  /// Keys in [from, end) in byte order; an empty `end` is the end of all keys.
  virtual base::Result<> scan(std::string_view from, std::string_view end,
                              const Visit& visit) const = 0;
};

/// An ordered store of byte keys: what lies below the replicated state.
///
/// Reads outside a snapshot see every write that returned. `write`, `flush` and `reopen` come from
/// one thread at a time. Implementations: MemoryStorage, RocksDbStorage.
class Storage : public Reader {
 public:
  struct Batch {
    std::vector<std::pair<std::string, std::string>> delete_ranges;  ///< [first, second); first.
    /// In this order; empty: delete.
    std::vector<std::pair<std::string, std::optional<std::string>>> writes;

    void put(std::string key, std::string value) {
      writes.emplace_back(std::move(key), std::move(value));
    }
    void remove(std::string key) { writes.emplace_back(std::move(key), std::nullopt); }
  };

  /// Everything as it was at this moment. Released before the storage goes.
  virtual std::unique_ptr<Reader> snapshot() const = 0;

  /// All of it or nothing, and in order: after a crash the store holds the batches up to one of
  /// them. Errors: ResourceExhausted (disk full), Unavailable. After an error nothing more is
  /// written until `reopen`.
  virtual base::Result<> write(const Batch& batch) = 0;
  /// What was written so far survives a loss of power. Errors: as `write`.
  virtual base::Result<> flush() = 0;
  /// Goes on after a failed write, with what is on disk: batches after the last `flush` may be
  /// gone. Errors: ResourceExhausted (still no room), as opening.
  virtual base::Result<> reopen() = 0;
};

/// First key after all that start with `prefix`; empty when there is none.
std::string end_of_prefix(std::string_view prefix);

}  // namespace hypermesh::state
