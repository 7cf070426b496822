#pragma once

#include <base/log.hpp>
#include <filesystem>

#include "at_rest/record_cipher.hpp"
#include "state/storage.hpp"

namespace hypermesh::state {

struct RocksDbStorageOptions {
  std::uint64_t cache_bytes = 32u << 20;        ///< Blocks read from disk, sealed as they are.
  std::uint64_t write_buffer_bytes = 4u << 20;  ///< Before it goes to a sorted file; at most two.
  int open_files_max = 256;
  /// Writes are refused while the file system has less room than this, so that what runs beside
  /// (compaction, the consensus log) still finds some. 0: only when the disk itself refuses.
  std::uint64_t free_bytes_min = 64u << 20;
};

/// RocksDB without a log of its own: what was written after the last flush is applied again from
/// the consensus log, so no byte is written twice. Every value is sealed with its key as context;
/// keys are stored as they are, since ranges need their order.
///
/// `cipher` is borrowed. The folder is the caller's alone.
/// Errors: FailedPrecondition (another process has it open), DataLoss (damaged),
/// ResourceExhausted, Forbidden.
base::Result<std::unique_ptr<Storage>> open_rocksdb_storage(const std::filesystem::path& folder,
                                                            const RocksDbStorageOptions& options,
                                                            at_rest::RecordCipher& cipher,
                                                            base::Log log);

}  // namespace hypermesh::state
