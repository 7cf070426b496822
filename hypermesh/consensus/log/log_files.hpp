#pragma once

#include <base/bytes.hpp>
#include <cstdint>
#include <string>
#include <vector>

#include "consensus/log/segment_scan.hpp"

namespace hypermesh::consensus {

/// The files of one log, in one folder, for its user alone. What a call has not promised to be on
/// disk may be there after a crash, in part or not at all.
///
/// read(), list() and remove() are called by any thread, the others by one at a time.
/// Implementations: DiskFiles, testing::MemoryFiles.
class LogFiles {
 public:
  virtual ~LogFiles() = default;

  /// How a file is called in errors and reports.
  virtual std::string path(const std::string& name) const = 0;
  virtual base::Result<std::vector<std::string>> list() const = 0;

  struct Content {
    base::Bytes bytes;
    std::vector<ByteRange> unreadable;  ///< Zeros stand for what the disk would not give.
  };
  /// All of a file, or its first `bytes_max`.
  virtual base::Result<Content> read(const std::string& name, std::uint64_t bytes_max) const = 0;
  static constexpr std::uint64_t kWhole = ~std::uint64_t{0};

  /// Makes a file of `size` bytes, `head` and then zeros, with its space reserved; replaces one of
  /// this name. On disk, with its name, when the call returns.
  /// Errors: ResourceExhausted (disk full: names the free bytes and what to do), of the system.
  virtual base::Result<> create(const std::string& name, base::BytesView head,
                                std::uint64_t size) = 0;
  /// Inside the size that create() gave, behind everything written before.
  virtual base::Result<> write(const std::string& name, std::uint64_t offset,
                               base::BytesView bytes) = 0;
  /// Brings what was written to disk. After an error nothing is known of what is on disk.
  virtual base::Result<> sync(const std::string& name) = 0;
  /// Forgets what lies behind `size`. On disk when the call returns.
  virtual base::Result<> cut(const std::string& name, std::uint64_t size) = 0;
  virtual base::Result<> remove(const std::string& name) = 0;
};

}  // namespace hypermesh::consensus
