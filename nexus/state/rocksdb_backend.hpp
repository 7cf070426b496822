#pragma once

#include <base/log.hpp>
#include <filesystem>
#include <memory>

#include "state/state_backend.hpp"

namespace nexus {

struct RocksDbOptions {
  std::uint64_t cache_bytes = 4u << 20;  ///< Blocks read from disk.
  std::uint64_t write_buffer_bytes =
      4u << 20;  ///< Before it goes to a sorted file. At most two are held.
  int open_files_max = 64;
  /// Writes are refused while the file system has less room than this, so that what runs beside
  /// (compaction, recovery, the audit log) still finds some. 0: only when the disk itself refuses.
  std::uint64_t free_bytes_min = 16u << 20;
  /// fsync before a commit is acknowledged. Off, a loss of power may lose the last commits, in
  /// order.
  bool sync = true;
};

/// RocksDB, tuned for a small footprint. Every write is one batch with one fsync of the write-ahead
/// log.
///
/// A full disk is answered with ResourceExhausted and changes nothing; the next write finds out by
/// itself whether there is room again.
///
/// Errors: FailedPrecondition (another process has it open), DataLoss (damaged), ResourceExhausted,
/// Forbidden.
base::Result<std::unique_ptr<StateBackend>> open_rocksdb_backend(
    const std::filesystem::path& folder, const RocksDbOptions& options, base::Log log);

}  // namespace nexus
